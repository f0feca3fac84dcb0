"""What the tests of the override share."""
import copy

import torch
import torch.nn as nn

from acon_mm import swap_activations
from acon_mm.base import AconBase


def swap(model, placement='all'):
    return swap_activations(model, dict(type='AconC'), placement)


def acons(model):
    """Activations of the ACON family by their paths."""
    return {n: m for n, m in model.named_modules() if isinstance(m, AconBase)}


def widths(model):
    return {name: act.num_channels for name, act in acons(model).items()}


def all_gradients(model, *inputs):
    model(*inputs).square().sum().backward()
    return all(p.grad is not None and bool(p.grad.isfinite().all())
               for act in acons(model).values() for p in act.parameters())


class Two(nn.Module):
    """Two widths behind one activation; subclasses write the forward."""

    def __init__(self, **acts):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 1)
        self.relu = nn.ReLU()
        for name, act in acts.items():
            setattr(self, name, act)

    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))))


IMAGE = torch.randn(2, 3, 5, 5, generator=torch.manual_seed(1))


def check_like_stock(stock, image=IMAGE):
    """The swapped module computes the same and trains all that is new."""
    model = copy.deepcopy(stock)
    swap(model)
    torch.testing.assert_close(model(image), stock(image), atol=0.05, rtol=0)
    model(image).square().sum().backward()
    for name, act in acons(model).items():
        for parameter in act.parameters():
            assert parameter.grad is not None, name
    return model


def left(report):
    return {one.path: one.reason for one in report.left}


class Block(nn.Module):
    """One activation between two convolutions; subclasses call them."""

    def __init__(self, inplace=True):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.relu = nn.ReLU(inplace=inplace)
