"""The override on any module: seats, widths and what is left alone."""
import copy
import pickle

import pytest
import torch
import torch.nn as nn
from mmcv.cnn.bricks.transformer import FFN
from mmengine.optim import build_optim_wrapper
from override_cases import all_gradients, swap, widths

from acon_mm import AconC, swap_activations
from acon_mm.override.per_width import ActPerWidth


class Loop(nn.Module):
    """One activation behind a list of layers, as in MMDetection's heads."""

    def __init__(self, *widths):
        super().__init__()
        self.fcs = nn.ModuleList(
            nn.Linear(i, o) for i, o in zip(widths, widths[1:]))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        for fc in self.fcs:
            x = self.relu(fc(x))
        return x


def test_a_loop_over_layers_of_one_width():
    model = Loop(4, 8, 8)
    report = swap(model)
    assert [(s.path, s.width) for s in report.swapped] == [('relu', 8)]
    assert all_gradients(model, torch.randn(3, 4))


def test_a_loop_over_layers_of_different_widths_gets_one_act_for_each():
    model, stock = Loop(4, 8, 6, 8), Loop(4, 8, 6, 8)
    stock.load_state_dict(model.state_dict())
    report = swap(model)
    assert [(s.path, s.new, s.width) for s in report.swapped] == [
        ('relu', 'ActPerWidth', None)]
    assert {n: p.shape[0] for n, p in model.relu.named_parameters()
            if n.endswith('p1')} == {'acts.6.p1': 6, 'acts.8.p1': 8}
    x = torch.randn(3, 4)
    torch.testing.assert_close(model(x), stock(x), atol=0.02, rtol=0)
    assert all_gradients(model, x)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(x), model(x))
    fresh = Loop(4, 8, 6, 8)
    swap(fresh)
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(fresh(x), model(x))
    assert swap(model).left[0].reason == 'already there'


def test_a_width_that_no_act_serves_is_an_error():
    act = ActPerWidth(AconC, [4, 8])
    with pytest.raises(ValueError, match='widths 4, 8 got .* 5 channels'):
        act(torch.randn(2, 5))


class Branches(nn.Module):
    """Activations that run, that may run and that never run."""

    def __init__(self, project, fcs=0):
        super().__init__()
        self.project = project
        self.fcs = nn.ModuleList(nn.Linear(4, 4) for _ in range(fcs))
        self.branches = nn.ModuleList([nn.ModuleList()])
        self.fc = nn.Linear(4, 6)
        self.relu, self.gate, self.spare = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x):
        for fc in self.fcs:
            x = self.relu(fc(x))
        for k in range(1):
            for fc in self.branches[k]:
                x = self.spare(fc(x))
        if self.project:
            x = self.gate(self.fc(x))
        return x


@pytest.mark.parametrize('project, fcs, live', [
    (True, 0, ['gate']), (True, 2, ['relu', 'gate']), (False, 1, ['relu'])])
def test_what_never_runs_gets_no_parameters(project, fcs, live):
    model = Branches(project, fcs)
    report = swap(model)
    assert [s.path for s in report.swapped] == live
    assert {entry.path for entry in report.left
            if entry.reason == 'never called'} == (
                {'relu', 'gate', 'spare'} - set(live))
    assert all_gradients(model, torch.randn(2, 4))


class Passing(nn.Module):
    """A method that gets its layers from the caller, as in SABLHead."""

    def __init__(self):
        super().__init__()
        self.first = nn.ModuleList([nn.Linear(4, 6)])
        self.second = nn.ModuleList([nn.Linear(6, 8)])
        self.relu = nn.ReLU()

    def run(self, x, first, second):
        for fc in first:
            x = self.relu(fc(x))
        for fc in second:
            x = self.relu(fc(x))
        return x

    def forward(self, x):
        return self.run(x, self.first, self.second)


def test_layers_that_a_caller_hands_over():
    model = Passing()
    report = swap(model)
    assert [(s.path, s.width) for s in report.swapped] == [
        ('act1', 6), ('act2', 8)]
    assert all_gradients(model, torch.randn(2, 4))


class Overwriting(nn.Module):
    """ReLU keeps its output for the backward pass, so this runs."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.conv(x)
        y = self.relu(x)
        x += 1
        return x * y


def test_an_input_that_is_overwritten_is_copied():
    stock, model, x = Overwriting(), Overwriting(), torch.randn(2, 3, 4, 4)
    model.load_state_dict(stock.state_dict())
    assert [s.path for s in swap(model).swapped] == ['act1']
    assert all_gradients(model, x)
    torch.testing.assert_close(model(x), stock(x), atol=0.1, rtol=0)


class Parent(nn.Module):

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.last = nn.Conv2d(4, 6, 1)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.last(self.relu(self.conv(x)))


class Child(Parent):

    def forward(self, x):
        return self.relu(super().forward(x))


def test_calls_in_the_parents_forward_count():
    model = Parent()
    assert [s.width for s in swap(model).swapped] == [4]
    model = Child()
    swap(model)
    assert sorted(widths(model).values()) == [4, 6]
    assert all_gradients(model, torch.randn(2, 3, 4, 4))


class Shared(nn.Module):
    """One object in two places, once under a name that nothing calls."""

    def __init__(self, first, second):
        super().__init__()
        act = nn.ReLU()
        self.activate = act
        self.a = nn.Sequential(nn.Conv2d(3, first, 1), act)
        self.b = nn.Sequential(nn.Conv2d(first, second, 1), act)

    def forward(self, x):
        return self.b(self.a(x))


@pytest.mark.parametrize('second', [4, 8])
def test_a_shared_object_gets_parameters_at_each_place(second):
    model = Shared(4, second)
    report = swap(model)
    assert [(s.path, s.width) for s in report.swapped] == [
        ('a.1', 4), ('b.1', second)]
    assert [(e.path, e.reason) for e in report.left] == [
        ('activate', 'never called')]
    assert all_gradients(model, torch.randn(2, 3, 4, 4))
    # MMEngine refuses a parameter that it meets under two names
    build_optim_wrapper(model, dict(
        optimizer=dict(type='SGD', lr=0.1),
        paramwise_cfg=dict(flat_decay_mult=0.)))


def test_tokens_have_their_channels_last():
    model = nn.Sequential(FFN(embed_dims=6, feedforward_channels=5,
                              act_cfg=dict(type='GELU'))).double()
    swap(model)
    act = model[0].layers[0][1]
    assert (act.num_channels, act.channel_dim) == (5, -1)
    with torch.no_grad():
        for parameter in act.parameters():
            parameter.normal_()
    x = torch.randn(2, 5, 5, dtype=torch.float64)
    a, b = act.p1 * x, act.p2 * x
    torch.testing.assert_close(
        act(x), (a - b) * torch.sigmoid(act.beta * (a - b)) + b)


def test_an_act_cfg_learns_where_the_channels_are():
    ffn = FFN(embed_dims=6, feedforward_channels=5,
              act_cfg=dict(type='AconC'))
    assert ffn.layers[0][1].channel_dim == -1
    assert ffn(torch.randn(2, 3, 6)).shape == (2, 3, 6)


def test_gates_stay():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4),
                          nn.Sigmoid(), nn.Hardsigmoid(), nn.Tanh())
    assert [s.path for s in swap(model).swapped] == ['1']


def test_paper_stays_in_a_backbone_deep_inside():
    def act():
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())

    model = nn.ModuleDict(dict(
        detector=nn.ModuleDict(dict(backbone=act(), head=act())),
        tracker=act()))
    report = swap(model, 'paper')
    assert [s.path for s in report.swapped] == ['detector.backbone.1']


class Unknown(nn.Module):

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(x)


def test_an_unknown_width_names_the_module_and_the_way_out():
    with pytest.raises(ValueError, match=r'width of Unknown\.relu \(ReLU\) '
                       r'cannot be known, as Unknown has no layer that tells '
                       r'what it takes: hand swap_activations\(inputs='):
        swap(Unknown())


class Batched(Unknown):

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)

    def forward(self, batch):
        return self.relu(self.conv(batch['image']))


def test_inputs_of_the_user_are_run():
    batch = dict(image=torch.randn(2, 3, 7, 6))
    with pytest.raises(ValueError, match='Batched.relu'):
        swap(Batched())
    model = Batched()
    swap_activations(model, dict(type='AconC'), 'all', inputs=(batch, ))
    assert widths(model) == dict(relu=5)


def test_without_verification_what_would_be_put_back_stays():
    class Asking(Batched):

        def forward(self, x):
            if not isinstance(self.relu, nn.ReLU):
                raise RuntimeError('no rectifier')
            return self.relu(self.conv(x))

    model = Asking()
    assert [e.reason for e in swap(model).left] == ['fails: no rectifier']
    swap_activations(model, dict(type='AconC'), 'all', verify=False)
    assert widths(model) == dict(relu=5)
