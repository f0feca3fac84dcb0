"""What models keep beside their weights: given back, and compared."""
import copy
import random
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import IMAGE, acons, swap

from acon_mm import swap_activations


def left(report):
    return {one.path: one.reason for one in report.left}


class Block(nn.Module):
    """Subclasses write the forward."""

    def __init__(self, inplace=True):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.relu = nn.ReLU(inplace=inplace)


class Meter:

    def __init__(self):
        self.value, self.count, self.past = None, 0, []


class Cache(dict):

    def __setitem__(self, key, value):
        assert torch.is_tensor(value)
        super().__setitem__(key, value)


class Keeping(Block):
    """In what helper objects and nested collections hold."""

    def __init__(self):
        super().__init__(inplace=False)
        self.memory = [torch.zeros(4)]
        self.nested = {'a': {'b': (torch.zeros(4), )}}
        self.meter, self.cache, self.log = Meter(), Cache(), {'mean': []}
        self.array = np.zeros(4, np.float32)
        self.generator = torch.Generator()
        self.numpy, self.random = np.random.default_rng(0), random.Random(0)

    def forward(self, x):
        y = self.relu(self.a(x))
        mean = y.detach().mean((0, 2, 3))
        self.memory[0].mul_(.9).add_(mean)
        self.nested['a']['b'][0].add_(mean)
        self.meter.value = mean
        self.meter.count += 1
        self.meter.past.append(mean)
        self.log['mean'].append(mean)
        self.cache[len(self.cache)] = mean
        self.array += mean.numpy()
        noise = torch.rand((), generator=self.generator)
        return y + self.memory[0].view(-1, 1, 1) + noise + (
            self.numpy.random() + self.random.random())


def test_what_objects_and_collections_hold_is_given_back():
    model = Keeping()
    first = copy.deepcopy(model)(IMAGE)
    assert len(swap(model).swapped) == 1
    assert not model.memory[0].any() and not model.nested['a']['b'][0].any()
    assert model.meter.value is None and model.meter.count == 0
    assert model.meter.past == [] and model.log == {'mean': []}
    assert not model.cache and not model.array.any()
    # and so all draw from where they were
    torch.testing.assert_close(model(IMAGE), first, atol=.02, rtol=0)


class Noisy(Block):

    def __init__(self):
        super().__init__()
        self.generator = torch.Generator()

    def forward(self, x):
        x = self.a(x)
        x = x + .01 * torch.randn(x.shape, generator=self.generator)
        return self.b(self.relu(x)) + x


class Counted(Block):

    def __init__(self):
        super().__init__()
        self.memory = [torch.zeros(())]

    def forward(self, x):
        x = self.a(x)
        self.memory[0].add_(1)
        return self.b(self.relu(x)) + x + self.memory[0]


class Averaged(Block):
    """A buffer has the mean of what the activation got, and rectified."""

    def __init__(self):
        super().__init__()
        self.register_buffer('mean', torch.zeros(4))

    def forward(self, x):
        x = self.a(x)
        y = self.relu(x)
        if self.training:
            self.mean.lerp_(x.detach().mean((0, 2, 3)), .1)
            return y
        return y - self.mean.view(-1, 1, 1)


class Feature(Block):
    """A trainer reads it, for a loss of its own."""

    def forward(self, x):
        x = self.a(x)
        y = self.relu(x)
        self.feature = x
        return self.b(y)


class InObject(Block):

    def __init__(self):
        super().__init__()
        self.meter = Meter()

    def forward(self, x):
        x = self.a(x)
        y = self.relu(x)
        self.meter.value = (x == 0).float().mean()
        return self.b(y)


class Hooked(Block):
    """Features for a distillation are kept by a hook."""

    def __init__(self):
        super().__init__()
        self.norm, self.features = nn.BatchNorm2d(4), []
        self.norm.register_forward_hook(
            lambda *args: self.features.append(args[2]))

    def forward(self, x):
        self.features.clear()
        return self.b(self.relu(self.norm(self.a(x))))


class Before(Block):
    """Of the call before, if that was of the same shape."""

    def __init__(self):
        super().__init__()
        self.before = None

    def forward(self, x):
        x = self.a(x)
        y = self.relu(x)
        out = y
        if self.before is not None and self.before.shape == y.shape:
            out = y + self.before
        self.before = x.detach()
        return out


@pytest.mark.parametrize('kind', [
    Noisy, Counted, Averaged, Feature, InObject, Hooked, Before])
def test_an_input_that_is_read_again_wherever_it_is_kept(kind):
    model = kind()
    assert left(swap(model)) == dict(
        relu='inplace, and its input is read again')
    assert not acons(model)


@pytest.mark.parametrize('kind', [Noisy, Counted, Feature, Hooked])
def test_what_is_kept_is_no_hindrance(kind):
    model = kind()
    model.relu.inplace = False
    assert not left(swap(model)) and len(acons(model)) == 1


class Writing(Block):
    """To weights, by functions that name them otherwise."""

    def __init__(self):
        super().__init__()
        self.teacher, self.linear = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        with torch.no_grad():
            torch._foreach_mul_(list(self.teacher.parameters()), .9)
            self.b.weight.detach().clamp_(min=0.)
            torch.clamp(self.linear.weight, 0., .1, out=self.linear.weight)
        return self.b(self.relu(self.a(x)))


def test_weights_that_are_written_to_by_other_names_are_given_back():
    model = Writing()
    before = copy.deepcopy(model.state_dict())
    assert len(swap(model).swapped) == 1
    for name, value in before.items():
        assert value.equal(model.state_dict()[name]), name


class Named(NamedTuple):
    image: torch.Tensor


class Plain:

    def __init__(self, image):
        self.image = image


class Doubling(Block):

    def forward(self, batch):
        batch.image.mul_(2.)
        return self.relu(self.a(batch.image))


@pytest.mark.parametrize('kind', [Named, Plain])
def test_objects_of_the_user_stay_as_they_are(kind):
    batch, model = kind(IMAGE.clone()), Doubling()
    swap_activations(model, dict(type='AconC'), 'all', inputs=(batch, ))
    assert len(acons(model)) == 1 and batch.image.equal(IMAGE)


class Freed(Block):

    def forward(self, x):
        x = self.a(x) + 0
        y = F.relu(x)
        x.untyped_storage().resize_(0)
        return self.b(y)


def test_an_input_whose_memory_is_freed():
    reasons = left(swap(Freed()))
    assert 'was freed before its backward pass' in reasons['act1']


class Asking(Block):

    def forward(self, x):
        x = self.relu(self.a(x))
        return x if self.relu.inplace else x * 2


def test_an_activation_is_asked_whether_it_works_in_place():
    model = Asking(inplace=False)
    assert len(swap(model).swapped) == 1
    model(IMAGE)
