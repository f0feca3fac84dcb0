"""What models keep beside their weights is given back after a run."""
import copy
import random
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn as nn
from override_cases import IMAGE, Block, acons, left, swap

from acon_mm import swap_activations


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
        self.past, self.latest = [], {}
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
        self.past.append(mean)
        self.latest['mean'] = mean
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
    assert model.past == [] and model.latest == {}
    assert not model.cache and not model.array.any()
    # and so all draw from where they were
    torch.testing.assert_close(model(IMAGE), first, atol=.02, rtol=0)


class Steps(nn.Module):

    def __init__(self):
        super().__init__()
        self.register_buffer('count', torch.zeros(1))

    def forward(self, x):
        self.count += 1
        return x + self.count


class Scripted(Block):
    """Its attributes are not all Python's."""

    def __init__(self):
        super().__init__(inplace=False)
        self.steps = torch.jit.script(Steps())

    def forward(self, x):
        return self.relu(self.steps(self.a(x)))


def test_what_a_scripted_module_keeps_is_given_back():
    model = Scripted()
    assert len(swap(model).swapped) == 1
    assert not model.steps.count.any()


class Writing(Block):
    """To weights, by functions that name them otherwise."""

    def __init__(self):
        super().__init__()
        self.teacher, self.linear = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        with torch.no_grad():
            torch._foreach_mul_(list(self.teacher.parameters()), .9)
            self.b.weight.detach().clamp_(min=0.)
            torch.mul(self.teacher.weight * 1., .9, out=self.linear.weight)
        return self.b(self.relu(self.a(x)))


def test_weights_that_are_written_to_by_other_names_are_given_back():
    model = Writing()
    before = copy.deepcopy(model.state_dict())
    assert len(swap(model).swapped) == 1
    for name, value in before.items():
        assert value.equal(model.state_dict()[name]), name


class Mapped(Block):
    """Writes in place to tensors that have no memory of their own."""

    def forward(self, x):
        return torch.func.vmap(
            lambda one: self.b(self.relu(self.a(one))).mul_(2.))(x)


def test_tensors_without_memory_are_no_weights():
    report = swap_activations(
        Mapped(inplace=False), dict(type='AconC'), 'all', inputs=(IMAGE, ))
    assert left(report) == dict(relu='its width is not to be seen')


class Named(NamedTuple):
    image: torch.Tensor


class Attributes(dict):

    __getattr__ = dict.__getitem__


class Plain:

    def __init__(self, image):
        self.image = image


class Doubling(Block):

    def forward(self, batch):
        batch.image.mul_(2.)
        return self.relu(self.a(batch.image))


@pytest.mark.parametrize('kind', [
    Named, Plain, lambda image: Attributes(image=image)])
def test_objects_of_the_user_stay_as_they_are(kind):
    batch, model = kind(IMAGE.clone()), Doubling()
    swap_activations(model, dict(type='AconC'), 'all', inputs=(batch, ))
    assert len(acons(model)) == 1 and batch.image.equal(IMAGE)
