"""What models keep beside what they return is compared too."""
import random

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import IMAGE, Block, acons, left, swap


class Meter:
    value = None


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


class Random(Block):
    """One output is never the same, the other is always."""

    def forward(self, x):
        x = self.a(x)
        return (self.b(self.relu(x)) + x,
                torch.tensor(random.SystemRandom().random()))


def test_an_output_that_repeats_is_compared_beside_one_that_does_not():
    model = Random()
    assert left(swap(model)) == dict(
        relu='inplace, and its input is read again')
    model.relu.inplace = False
    assert not left(swap(model)) and len(acons(model)) == 1


@pytest.mark.parametrize('kind', [Noisy, Counted, Feature, Hooked])
def test_what_is_kept_is_no_hindrance(kind):
    model = kind()
    model.relu.inplace = False
    assert not left(swap(model)) and len(acons(model)) == 1


class Doubtful(Block):
    """Makes a difference of what rounding leaves in a second look."""

    def __init__(self):
        super().__init__()
        self.relu = nn.Hardswish()  # ACON is far enough from it to round
        self.register_buffer('count', torch.zeros(()))

    def forward(self, x):
        x = self.a(x) * 4
        self.count += 1
        y = self.relu(x)
        rest = y - x * (x + 3).clamp(0, 6) / 6
        return y + 1e9 * rest + self.count


def test_a_count_is_no_difference_where_a_pass_is_repeated():
    model = Doubtful()
    assert not left(swap(model)) and len(acons(model)) == 1


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
