"""What the check of an override sees in the run of a model."""
import pytest
import torch
import torch.nn as nn

from acon_mm import AconC
from acon_mm.check import compare, watch
from acon_mm.check.weights import kept
from acon_mm.override import SwapReport


class Toy(nn.Sequential):

    def __init__(self, act):
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), act)


def toys(act):
    """A stock model, and one with ``act`` on the same weights."""
    stock, model = Toy(nn.ReLU()), Toy(act)
    model.load_state_dict(stock.state_dict(), strict=False)
    return stock, model


def test_channels_in_another_dimension_are_found():
    # as wide as the image is high, so that it fits there too
    stock, model = toys(AconC(96, init='match', channel_dim=2))
    with pytest.raises(AssertionError, match=(
            r'\(2\) 1 takes dimension 2 of \(2, 4, 96, 128\) for the')):
        compare.check_outputs(stock, model)


class Functional(nn.Module):
    """One activation that is a module, and one that is a function."""

    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 1), nn.ReLU()

    def forward(self, x):
        return nn.functional.gelu(self.act(self.conv(x)))


@pytest.mark.parametrize('told', [True, False])
def test_an_activation_that_nobody_told_is_found(told):
    stock, model = Functional(), Functional()
    model.load_state_dict(stock.state_dict())
    model.act = AconC(4, init='match')
    model.swap_report = SwapReport('Functional', 'AconC')
    model.swap_report.functional += [('forward', 'F.gelu')] * told
    if told:
        assert compare.check_outputs(stock, model).limit == 0
        return
    with pytest.raises(AssertionError, match='in the model still runs'):
        compare.check_outputs(stock, model)


def test_a_clamp_that_keeps_a_number_off_zero_is_no_activation():
    with watch.Watch(nn.Identity()) as seen:
        nn.functional.normalize(torch.randn(2, 3))
        torch.randn(3).clamp_min(.1)
        assert seen.ran == []
        torch.randn(3).clamp_min(0)
        nn.functional.relu6(torch.randn(3))
    assert seen.ran == ['', '']


class Bound(nn.Module):
    """An activation that knows its own copy."""

    def __init__(self):
        super().__init__()
        self.act, self.id = AconC(4, init='match'), id(self)

    def forward(self, x):
        return self.act(x) + (id(self) != self.id)


def test_a_copy_that_computes_another_is_found():
    with pytest.raises(AssertionError, match=r'\(2\) a deep copy deviates'):
        compare.check_outputs(*toys(Bound()))


def test_a_buffer_that_grew_is_taken_back():
    class Growing(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer('table', torch.zeros(1, 1))
            self.register_buffer('count', torch.zeros(1))

    module = Growing()
    with kept(module):
        module.table, module.count[0] = torch.ones(1, 3), 7.
    assert module.table.tolist() == [[0.]]
    assert module.count == 0
