"""Seats in code of all kinds, and what is told of code that does not run."""
from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import IMAGE, Two, acons, check_like_stock, swap, widths

from acon_mm import swap_activations
from acon_mm.override import NothingToSwap

if TYPE_CHECKING:
    from nowhere import Something


class BuiltAtFirstCall(Two):

    def __init__(self, refuses_squares):
        super().__init__()
        self.block, self.refuses_squares = None, refuses_squares

    def forward(self, x):
        x = F.relu(self.a(x))
        if self.block is None:
            self.block = nn.Sequential(nn.Conv2d(4, 5, 1), nn.ReLU())
        if self.refuses_squares and x.shape[2] == x.shape[3]:
            raise ValueError('no squares')
        return self.block(x)


@pytest.mark.parametrize('refuses_squares', [False, True])
def test_a_module_that_a_run_makes_is_no_seat(refuses_squares):
    model = BuiltAtFirstCall(refuses_squares)
    report = swap(model)
    assert widths(model) == {'act1': 4} and model.block is None
    assert report.functional  # what the new block does is told
    assert model(IMAGE[..., :4]).shape == (2, 5, 5, 4)


class Generous(Two):
    """Has every attribute."""

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return None

    def forward(self, x):
        return F.relu(self.b(F.relu(self.a(x))))


def test_a_module_that_has_every_attribute_ends():
    model = Generous()
    swap(model)
    assert widths(model) == {'act1': 6, 'act2': 4}


class Register(type):
    known: dict[str, type] = {}

    def __init__(cls, name, bases, namespace):
        super().__init__(name, bases, namespace)
        assert name not in Register.known
        Register.known[name] = cls


class Registered(nn.Module, metaclass=Register):

    def __init__(self, twice):
        super().__init__()
        self.a, self.twice = nn.Conv2d(3, 3, 1), twice

    def forward(self, x):
        x = F.relu(self.a(x))
        return F.silu(self.a(x)) if self.twice else x


def test_each_way_of_seating_has_a_name_of_its_own():
    models = [Registered(twice) for twice in (False, True, False)]
    assert [len(swap(model).swapped) for model in models] == [1, 2, 1]
    assert all(isinstance(model, Registered) for model in models)
    assert type(models[0]) is type(models[2])


class SavesFeatures(Two):

    def forward(self, x):
        self.act1 = F.relu(self.a(x))
        return F.relu(self.b(self.act1))


def test_a_name_that_the_code_uses_is_not_taken():
    model = SavesFeatures()
    report = swap(model)
    assert [one.width for one in report.swapped] == [4, 6]
    assert not {'act1'} & widths(model).keys()
    model(IMAGE).sum().backward()
    assert model.act1.shape == (2, 4, 5, 5)


class Keywords(Two):

    def forward(self, x):
        x = F.leaky_relu(negative_slope=.2, input=self.a(x))
        return F.relu(inplace=False, input=self.b(x))


class Annotated(Two):

    def forward(self, x: Something) -> Something:

        def inner(y: Something) -> Something:
            return F.relu(y)

        return inner(self.b(F.relu(self.a(x))))


@pytest.mark.parametrize('cls', [Keywords, Annotated])
def test_calls_in_any_form_are_like_stock(cls):
    assert len(acons(check_like_stock(cls()))) == 2


class WithLambda(Two):

    def __init__(self):
        super().__init__()
        self.activate = lambda x: F.relu(x)

    def forward(self, x):
        return self.activate(self.relu(self.a(x)))


def test_a_lambda_of_the_constructor_is_told():
    report = swap(WithLambda())
    assert [one.path for one in report.swapped] == ['relu']
    assert report.functional == [('__init__', 'relu')]


def test_a_graph_module_can_be_copied():

    class Both(Two):

        def forward(self, x):
            return F.relu(super().forward(x))

    model = torch.fx.symbolic_trace(Both())
    report = swap(model)
    assert acons(model) and ('forward', 'relu') in report.functional
    twin = copy.deepcopy(model)
    twin.recompile()
    assert torch.equal(twin(IMAGE), model(IMAGE))


class Picky(nn.Module):
    """Runs on nothing that is tried."""

    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())

    def forward(self, batch):
        return F.relu(self.a(batch['image']) - .1)


def test_functions_of_what_does_not_run_are_told():
    model = Picky()
    report = swap(model)
    assert widths(model) == {'a.1': 4}
    assert report.functional == [('forward', 'relu')]
    assert 'called as functions: relu in forward' in str(report)


def test_with_inputs_it_runs():
    model = Picky()
    report = swap_activations(model, dict(type='AconC'), 'all',
                              inputs=({'image': IMAGE}, ))
    assert len(report.swapped) == 2 and not report.functional


class ByName(Two):

    def forward(self, *, image):
        return F.relu(self.a(image))


def test_inputs_may_have_names():
    model = ByName()
    swap_activations(model, dict(type='AconC'), 'all',
                     inputs=dict(image=IMAGE))
    assert widths(model) == {'act1': 4}


def test_inputs_that_do_not_fit_are_an_error_with_the_models_words():
    with pytest.raises(ValueError, match=(
            r'Two does not run on the given inputs \(.*channels.*\): hand')):
        swap_activations(Two(), dict(type='AconC'), 'all',
                         inputs=(IMAGE[:, :2], ))


class OnlyFunctions(nn.Module):

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 1)

    def forward(self, batch):
        return F.relu(self.a(batch['image']))


def test_what_was_never_seen_is_not_called_empty():
    with pytest.raises(NothingToSwap, match=(
            r'OnlyFunctions runs on nothing that was tried .*inputs=')):
        swap(OnlyFunctions())


class Branches(Two):

    def forward(self, x, more=False):
        x = F.relu(self.a(x))
        return F.silu(self.b(x)) if more else self.b(x)


def test_functions_of_a_branch_that_did_not_run_are_told():
    report = swap(Branches())
    assert [one.path for one in report.swapped] == ['act1']
    assert report.functional == [('forward', 'silu')]


class Classifier(nn.Module):
    """The LeNet of tutorials: its images are of one size alone."""

    def __init__(self, side):
        super().__init__()
        self.a = nn.Conv2d(1, 4, 5)
        self.fc = nn.Linear(4 * ((side - 4) // 2)**2, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.a(x)), 2)
        return F.relu(self.fc(x.flatten(1)))


@pytest.mark.parametrize('side', [28, 32])
def test_small_images_are_tried(side):
    model = Classifier(side)
    swap(model)
    assert widths(model) == {'act1': 4, 'act2': 10}


class Diffusion(Two):

    def forward(self, x, t):
        return F.silu(self.a(x) + t.view(-1, 1, 1, 1)) + 0 * self.a(x)


class Video(Two):

    def forward(self, x):
        b, t, c, h, w = x.shape
        return F.relu(self.a(x.reshape(b * t, c, h, w)))


class Graph(nn.Module):
    """Nodes, and who is next to whom."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 4)

    def forward(self, x, adjacency):
        return adjacency @ F.relu(self.fc(x))


@pytest.mark.parametrize('cls', [Diffusion, Video, Graph])
def test_more_kinds_of_inputs_are_tried(cls):
    model = cls()
    swap(model)
    assert widths(model) == {'act1': 4}
