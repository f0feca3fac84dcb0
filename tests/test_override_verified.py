"""What the second look of the override finds, in modules as people write."""
import copy
from dataclasses import dataclass

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import (
    IMAGE,
    Two,
    acons,
    check_like_stock,
    left,
    swap,
    widths,
)
from torch import Tensor
from torch.distributions import Normal

from acon_mm import AconC


class OwnChildren(nn.Module):
    """Calls all that is in it, a seat too."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        for module in self.children():
            x = F.relu(module(x))
        return x


class OwnSequential(nn.Sequential):

    def __init__(self):
        super().__init__(nn.Conv2d(3, 3, 1), nn.ReLU())

    def forward(self, x):
        return F.relu(super().forward(x) - .1)


@pytest.mark.parametrize('cls, times', [
    (OwnChildren, 'runs 4 times, not 2'),
    (OwnSequential, 'runs 2 times, not 1')])
def test_a_seat_that_its_module_would_run_as_a_layer_is_left(cls, times):
    model = cls()
    stock = copy.deepcopy(model)
    assert times in left(swap(model))['act1']
    assert type(model) is cls
    if cls is OwnChildren:
        assert torch.equal(model(IMAGE), stock(IMAGE))


@dataclass
class Answer:
    logits: Tensor


class Aliased(Two):
    """Its input is read again after it was changed in place."""

    def __init__(self, pack):
        super().__init__(relu=nn.ReLU(inplace=True))
        self.c, self.pack = nn.Conv2d(3, 4, 1), pack

    def forward(self, x):
        y = self.c(x)
        self.relu(y)
        return self.pack(y)


@pytest.mark.parametrize('pack', [
    Answer, lambda y: Normal(y, 1.), lambda y: torch.complex(y, y),
    lambda y: {'a': [Answer(y)]}, lambda y: (y * 100).int(),
    lambda y: y > -.1])
def test_outputs_of_any_kind_are_compared(pack):
    model = Aliased(pack)
    assert 'inplace' in left(swap(model))['relu']
    assert not acons(model)


class AliasedInTraining(Two):

    def __init__(self):
        super().__init__(relu=nn.ReLU(inplace=True))

    def forward(self, x):
        x = self.a(x)
        y = self.relu(x)
        return (self.b(y), self.b(x)) if self.training else self.b(y)


def test_what_training_returns_is_compared_too():
    model = AliasedInTraining()
    assert 'inplace' in left(swap(model))['relu']
    assert not acons(model)


class Root(Two):

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.b(self.relu(self.a(x) ** 2 + 1).sqrt()) + self.function(
            F.relu(self.b(self.a(x))))


@pytest.mark.parametrize('function, fine', [
    (torch.sqrt, False), (lambda y: y ** .5, False),
    (lambda y: torch.log(y + 1e-6), False), (lambda y: y ** 2, True)])
def test_no_root_and_no_logarithm_gets_a_negative_number(function, fine):
    model = Root(function)
    reasons = left(swap(model))
    assert [*reasons] == ([] if fine else ['act1'])
    assert fine or 'a root or a logarithm' in reasons['act1']
    assert len(acons(model)) == 1 + fine  # the shared one is sound
    assert not model(IMAGE).isnan().any()


class Detections(Two):

    def forward(self, x):
        y = self.b(F.relu(self.a(x)).sqrt())
        return y[y > .3], y


def test_a_root_where_the_number_of_outputs_varies():
    model = Detections()
    assert 'a root or a logarithm' in left(swap(model))['act1']
    assert not model(IMAGE)[1].isnan().any() and not acons(model)


class Added(nn.Module):
    """What a block returns is added to, as in MobileNetV3 and EfficientNet."""

    def __init__(self, act):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), act)

    def forward(self, x):
        y = self.block(x)
        y += x
        return y


def test_an_output_that_is_added_to_is_no_input_that_changes():
    model = Added(nn.SiLU(inplace=True))
    assert widths(check_like_stock(model)) == {'block.2': 3}


class AddedBefore(nn.Module):
    """The input of the activation in ``block`` is added to afterwards."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 1)
        self.block = nn.Sequential(nn.SiLU(), nn.Conv2d(4, 4, 1))

    def forward(self, x):
        y = self.a(x)
        z = self.block(y)
        y += 1
        return z, y


def test_an_input_that_changes_of_a_layer_in_a_sequence():
    model = AddedBefore()
    stock = model(IMAGE)
    report = swap(model)
    assert [*left(report)] == ['block.act1'] and not report.swapped
    for ours, theirs in zip(model(IMAGE), stock, strict=True):
        torch.testing.assert_close(ours, theirs)


class Dropped(nn.Module):
    """Stochastic depth: a training pass leaves most blocks out."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(4))
        self.acts = nn.ModuleList(nn.ReLU() for _ in range(4))

    def forward(self, x):
        for conv, act in zip(self.convs, self.acts):
            if not self.training or torch.rand(()) < .6:
                x = x + act(conv(x))
        return x


def test_a_layer_that_one_pass_drops_is_no_dead_one():
    model = Dropped()
    assert len(swap(model).swapped) == 4
    assert len(acons(model)) == 4


class Dead(Two):
    """Draws numbers, and still no gradient reaches its activation."""

    def forward(self, x):
        x = x + torch.rand(())
        return self.b(self.a(x)) + self.relu(self.b(self.a(x))).detach()


def test_a_dead_one_is_left_whatever_is_drawn():
    assert left(swap(Dead())) == {'relu': 'no gradient reaches it'}


class Inference(Two):

    def forward(self, x):
        with torch.inference_mode():
            y = self.relu(self.a(x))
        return F.relu(self.b(y.clone()))


def test_inference_mode_lets_no_gradient_through():
    model = Inference()
    assert left(swap(model)) == {'relu': 'no gradient reaches it'}
    assert widths(model) == {'act1': 6}


class Gate(nn.Module):
    """MobileNetV3's x * relu6(x + 3) / 6, and MobileNetV2's use of it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 1)
        self.relu6, self.plain = nn.ReLU6(), nn.ReLU6()

    def forward(self, x):
        y = self.plain(self.a(x))
        z = self.b(y)
        return z * self.relu6(z + 3) / 6


def test_a_relu6_that_bounds_a_gate_stays():
    model = Gate()
    report = swap(model)
    assert widths(model) == {'plain': 4}
    assert left(report) == {'relu6': 'a gate, whose bounds count'}


class ScaledLeaky(nn.LeakyReLU):
    """StyleGAN's."""

    def forward(self, x):
        return super().forward(x) * 2**.5


class Sharp(nn.ReLU):
    """A ReLU by another name computes the same."""


def test_in_a_subclass_that_computes_another_the_parents_is_swapped():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), ScaledLeaky(.2), nn.Conv2d(4, 6, 1), Sharp())
    stock = copy.deepcopy(model)
    report = swap(model)
    assert widths(model) == {'1.act1': 4, '3': 6} and not report.functional
    assert isinstance(model[1], ScaledLeaky)
    assert model[1].act1.p2.tolist() == pytest.approx([.2] * 4)
    image = torch.randn(2, 3, 5, 5, generator=torch.manual_seed(0))
    torch.testing.assert_close(model(image), stock(image), atol=.05, rtol=0)


@pytest.mark.parametrize('threshold, value, is_relu', [
    (0, 0, True), (.5, 0, False), (0, 1, False)])
def test_a_threshold_at_zero_is_a_relu(threshold, value, is_relu):

    class Calls(Two):

        def forward(self, x):
            return F.threshold(super().forward(x), threshold, value)

    model = Calls(relu=nn.Threshold(threshold, value))
    report = swap(model)
    assert len(acons(model)) == (3 if is_relu else 0)
    told = [one.old for one in report.left] + [
        name for _, name in report.functional]
    assert told == ([] if is_relu else ['Threshold', 'threshold'])


def test_as_they_begin_they_are_near_what_they_replace():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Threshold(0, 0))
    stock = copy.deepcopy(model)
    swap(model)
    assert isinstance(model[1], AconC)
    torch.testing.assert_close(model(IMAGE), stock(IMAGE), atol=.01, rtol=0)
