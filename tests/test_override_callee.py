"""Calls that call another thing another time, and code that nobody called."""
import copy
import functools
import pickle
import warnings

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import IMAGE, Two, acons, all_gradients, left, swap, widths

from acon_mm import AconC

ELSEWHERE = 'called in code that has not run, too'


class Argument(nn.Module):

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 1)

    def forward(self, x, act=F.relu):
        return act(self.a(x))


class Chosen(Argument):
    hard = True

    def __init__(self):
        super().__init__()
        self.relu, self.other = nn.ReLU(), nn.Tanh()

    def forward(self, x, act=None):
        act = self.relu if act is None else self.other
        return act(act(self.a(x)) - 1)


class Condition(Argument):

    def forward(self, x, act=None):
        return (F.relu if act is None else act)(self.a(x))


class ByName(Argument):

    def forward(self, x, act=None):
        return getattr(torch, 'relu' if act is None else 'tanh')(self.a(x))


class ByKey(Argument):

    def __init__(self):
        super().__init__()
        self.acts = dict(relu=F.relu, tanh=torch.tanh)

    def forward(self, x, act=None):
        return self.acts['relu' if act is None else 'tanh'](self.a(x))


class Partial(Argument):

    def forward(self, x, act=None):
        act = functools.partial(F.leaky_relu, negative_slope=(
            .1 if act is None else 1.))
        return act(self.a(x))


class Kept(Argument):

    def __init__(self):
        super().__init__()
        self.act = F.relu

    def forward(self, x, act=None):
        self.act = self.act if act is None else act
        return self.act(self.a(x))


class Slope(Argument):

    def forward(self, x, act=None):
        slope = 0.1 if act is None else 1.0
        return F.leaky_relu(self.a(x), slope)


@pytest.mark.parametrize('kind', [
    Argument, Chosen, Condition, ByName, ByKey, Partial, Kept,
    Slope])
def test_a_seat_is_of_what_was_seen_and_of_nothing_else(kind):
    stock = kind()
    model = copy.deepcopy(stock)
    swap(model)
    assert acons(model)
    for act in acons(model).values():
        act.beta.data.fill_(1e12)
    torch.testing.assert_close(model(IMAGE), stock(IMAGE))
    assert all_gradients(model, IMAGE)
    twin = pickle.loads(pickle.dumps(model))
    for one in (model, twin):
        for act in acons(one).values():
            act.p1.data.fill_(7.)  # none of it runs
        torch.testing.assert_close(one(IMAGE, torch.tanh),
                                   stock(IMAGE, torch.tanh))


class Helper(Two):

    def block(self, layer, x):
        return self.relu(layer(x))

    def forward(self, x, deep=False):
        x = self.block(self.a, x)
        return self.block(self.b, x) if deep else x


class Growing(Two):

    def forward(self, x, deep=False):
        for layer in (self.a, self.b)[:1 + deep]:
            x = F.relu(layer(x))
        return x


@pytest.mark.parametrize('kind', [Helper, Growing])
def test_a_width_that_no_pass_has_shown_has_what_was_there(kind):
    stock = kind()
    model = copy.deepcopy(stock)
    swap(model)
    act, = acons(model).values()
    assert act.num_channels == 4
    act.beta.data.fill_(1e12)
    torch.testing.assert_close(model(IMAGE), stock(IMAGE))
    with pytest.warns(UserWarning, match='AconC got .+ which no pass of'):
        last = model(IMAGE, deep=True)
    torch.testing.assert_close(last, stock(IMAGE, deep=True))


def test_an_activation_of_ones_own_refuses_another_width():
    with pytest.raises(ValueError, match='AconC of 4 channels got an input'):
        nn.Sequential(nn.Conv2d(3, 6, 1), AconC(4))(IMAGE)


def test_a_vector_without_its_batch():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    swap(model)
    model[1].p1.data.fill_(7.)
    x = torch.randn(1, 3, generator=torch.manual_seed(0))
    torch.testing.assert_close(model(x[0]), model(x)[0])


def test_an_image_without_a_batch_is_one_of_a_batch():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1))
    swap(model)
    model[1].init = 'paper'
    model[1].init_weights()
    images = torch.randn(2, 3, 9, 7)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        torch.testing.assert_close(model(images[1]), model(images)[1])


class Modes(Two):

    def forward(self, x, mode='tensor'):
        return self.loss(x) if mode == 'loss' else self.relu(self.a(x))

    def loss(self, x):
        return F.relu(self.b(self.relu(self.a(x)))).mean()

    def export(self, x):
        return F.silu(self.a(x))


def test_methods_that_nobody_called_are_told():
    report = swap(model := Modes())
    assert widths(model) == dict(relu=4)
    assert left(report) == dict(relu=ELSEWHERE)
    assert report.functional == [('loss', 'relu'), ('export', 'silu')]


class Halves(nn.Module):

    def __init__(self):
        super().__init__()
        self.frozen = nn.Conv2d(3, 4, 1).bfloat16().requires_grad_(False)
        self.f = nn.Linear(4, 6)

    def forward(self, x):
        x = self.frozen(x.bfloat16()).float().mean((2, 3))
        return F.relu(self.f(x))


def test_new_parameters_are_of_the_kind_of_the_layer_in_front():
    swap(model := Halves())
    assert model.act1.p1.dtype == torch.float32
    assert all_gradients(model, IMAGE)


class NamesItself(Two):

    def train(self, mode=True):
        super(self.__class__, self).train(mode)
        return self


def test_a_super_of_the_objects_own_class_ends():
    model = NamesItself()
    swap(model)
    assert len(widths(model)) == 2
    assert model.train().training and not model.eval().training


class Named(nn.Module):

    def __init__(self):
        super().__init__()
        self.act, self.f = F.gelu, nn.ModuleDict(dict(one=nn.Linear(4, 6)))
        self.head = nn.Sequential(nn.Linear(6, 4), nn.ReLU())

    def forward(self, x, key):
        return self.head(self.act(self.f[key](x)))


def test_a_function_of_what_did_not_run_is_told():
    report = swap(model := Named())
    assert list(widths(model).values()) == [4]
    assert report.blind.startswith('Named runs on nothing that was tried')
