"""What a pass does not show: other branches, other widths, other modes."""
import pickle
import random

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import (
    IMAGE,
    Two,
    acons,
    left,
    swap,
    widths,
)

from acon_mm import swap_activations

ELSEWHERE = 'called in code that has not run, too'


def image(*shape):
    return torch.randn(shape, generator=torch.manual_seed(3))


class Conditional(Two):

    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(2, 4, 1)

    def forward(self, x, condition=None):
        x = self.relu(self.a(x))
        if condition is not None:
            x = x + self.relu(self.c(condition))
        return self.relu(self.b(x))


def test_a_shared_activation_stays_where_nothing_ran():
    model = Conditional()
    report = swap(model)
    assert widths(model) == dict(act1=4, act2=6)
    assert left(report) == dict(relu=ELSEWHERE)
    ran = []
    model.relu.register_forward_hook(lambda *_: ran.append(1))
    model(IMAGE)
    assert not ran
    model(IMAGE, image(2, 2, 5, 5))
    assert ran


class Auxiliary(nn.Module):

    def __init__(self, width):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, width, 1)
        self.relu = nn.ReLU()

    def forward(self, x, auxiliary=False):
        x = self.relu(self.a(x))
        return self.relu(self.b(x)) if auxiliary else x


def test_another_width_of_code_that_has_not_run_has_what_was_there():
    model = Auxiliary(5)
    report = swap(model)
    assert widths(model) == dict(relu=4)
    assert left(report) == dict(relu=ELSEWHERE)
    act, = acons(model).values()
    act.p1.data.fill_(2.)
    hidden = act(model.a(IMAGE))
    torch.testing.assert_close(model(IMAGE), hidden)
    with pytest.warns(UserWarning, match='shape .2, 5, 5, 5., which no pass'):
        last = model(IMAGE, True)
    torch.testing.assert_close(last, F.relu(model.b(hidden)))
    twin = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(twin(IMAGE, True), last)


def test_the_same_width_there_has_the_same_activation():
    model = Auxiliary(4)
    swap(model)
    act, = acons(model).values()
    act.p1.data.fill_(2.)
    torch.testing.assert_close(
        model(IMAGE, True), act(model.b(act(model.a(IMAGE)))))


class SharedPReLU(Two):

    def __init__(self):
        super().__init__(relu=nn.PReLU())


def test_what_nothing_calls_any_more_wants_no_gradient():
    model = SharedPReLU()
    swap(model)
    assert len(widths(model)) == 2
    model(IMAGE).sum().backward()
    assert all(p.grad is not None for p in model.parameters()
               if p.requires_grad)


def test_a_prelu_that_still_runs_trains():
    model = Conditional()
    model.relu = nn.PReLU()
    swap(model)
    assert model.relu.weight.requires_grad
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.PReLU(), nn.Conv2d(4, 2, 1),
                          nn.PReLU())
    swap_activations(model, dict(type='AconC'), ['1'])
    assert model[3].weight.requires_grad


def test_slopes_are_those_of_dimension_one():
    model = nn.Sequential(nn.Conv1d(3, 6, 1), nn.Linear(8, 7), nn.PReLU(6))
    with torch.no_grad():
        model[2].weight.copy_(torch.linspace(0., .5, 6))
    x = image(2, 3, 8)
    before = model(x)
    swap(model)
    assert model[2].num_channels == 6 and model[2].channel_dim == 1
    torch.testing.assert_close(model(x), before, atol=.05, rtol=0)


class Merging(nn.Module):
    """LoRA's: the update is part of the weight in eval mode."""
    times = 0

    def __init__(self):
        super().__init__()
        self.f, self.g = nn.Linear(8, 4), nn.Linear(4, 2)
        self.register_buffer('mask', torch.ones(4))
        self.update, self.merged = nn.Parameter(torch.ones(4, 8)), False

    def train(self, mode=True):
        super().train(mode)
        self.times += 1
        self.mask = torch.rand(4)
        if mode == self.merged:
            self.f.weight.data += (-1 if mode else 1) * self.update.data
            self.merged = not mode
        return self

    def forward(self, x):
        return F.relu(self.g(F.relu(self.f(x))))


@pytest.mark.parametrize('training', [True, False])
def test_a_train_that_changes_the_model_changes_nothing(training):
    model = Merging().train(training)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    times, merged = model.times, model.merged
    swap(model)
    assert len(acons(model)) == 2
    assert (model.times, model.merged) == (times, merged)
    assert model.training == training
    after = model.state_dict()
    assert all(torch.equal(after[key], value)
               for key, value in before.items())


class Slimmable(nn.Module):

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        width = random.choice([2, 4, 6, 8]) if self.training else 8
        x = F.relu(F.conv2d(x, self.a.weight[:width], self.a.bias[:width]))
        x = F.conv2d(x, self.b.weight[:, :width], self.b.bias)
        return F.relu(x)


def test_a_width_that_is_drawn_in_training_is_no_width():
    model = Slimmable()
    report = swap(model)
    assert list(widths(model).values()) == [4] and len(report.left) == 1
    random.seed(0)
    for _ in range(20):
        model.train()(IMAGE)


class OutOfOrder(nn.Module):

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1), nn.ReLU()])
        self.heads = nn.ModuleDict(dict(one=nn.Conv2d(4, 2, 1)))

    def forward(self, x, key):
        x = self.layers[2](self.layers[0](x))
        return self.heads[key](self.layers[1](x))


def test_no_width_is_guessed_from_a_lists_order():
    with pytest.raises(ValueError, match='of OutOfOrder.layers.2'):
        swap(OutOfOrder())
    model = OutOfOrder()
    swap_activations(model, dict(type='AconC'), 'all', inputs=(IMAGE, 'one'))
    assert widths(model) == {'layers.2': 8}


class Scores(nn.Module):
    """A score of each node for each other."""

    def __init__(self):
        super().__init__()
        self.f, self.g = nn.Linear(5, 4), nn.Linear(5, 3)

    def forward(self, x, bias):
        return F.relu(self.f(x) @ self.f(x).t() + bias) @ F.relu(self.g(x))


def test_the_number_of_nodes_is_no_width():
    model = Scores()
    report = swap_activations(model, dict(type='AconC'), 'all',
                              inputs=(image(6, 5), image(6, 6)))
    assert list(widths(model).values()) == [3] and len(report.left) == 1
    model(image(7, 5), image(7, 7))


class Diffusion(nn.Module):
    """A step of time, whose layers come before the image's."""

    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(8, 6), nn.SiLU(),
                                  nn.Linear(6, 4))
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)

    def forward(self, x, t):
        angles = t[:, None] * torch.arange(1., 5.)
        t = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        return self.b(F.silu(self.a(x) + t[..., None, None]))


def test_a_diffusion_models_image_and_time():
    model = Diffusion()
    swap(model)
    assert widths(model) == {'act1': 4, 'time.1': 6}
