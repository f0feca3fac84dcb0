"""The override on ordinary code, judged by what runs."""
import copy

import pytest
import torch
from override_cases import acons
from styles import CASES, Case
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from acon_mm import swap_activations
from acon_mm.override import seated

OPERATORS = {'relu', 'leaky_relu', 'gelu', 'silu', 'clamp_min', 'hardtanh',
             '_transformer_encoder_layer_fwd'}
# nothing is swapped where each is code that belongs to no module or cannot be
# rewritten, or where the module asks for its class, reads what is written in
# place, or has no gradient
LEFT = {'HelperFunctionOutside', 'StaticMethod', 'LoopOverKinds',
        'HookedWithAFunction', 'AsksForTheKind', 'Asserts',
        'InplaceAndAnAliasInAList', 'ReadAfterInplaceFunction',
        'WithoutGradient', 'ActivatedByADecorator', 'KeptByAnObject',
        'TensorMethodByItsName'}


class Remaining(TorchDispatchMode):
    """Counts the stock activations that run."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.partition('::')[2].rstrip('_')
        self.count += name in OPERATORS
        return func(*args, **(kwargs or {}))


def outputs(value) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [
        tensor for item in value for tensor in outputs(item)]


def run(model: nn.Module, case: Case) -> list[Tensor]:
    return outputs(model(*(x.clone() for x in case.inputs)))


def build(case: Case) -> nn.Module:
    model = case.make()
    for parameter in model.parameters():
        if parameter.is_floating_point() and parameter.dim() > 1:
            nn.init.normal_(parameter, std=.3)
    return model.eval()


@pytest.mark.parametrize('name', CASES)
def test_what_runs_is_swapped_and_the_rest_is_told(name):
    case = CASES[name]
    stock = build(case)
    model = copy.deepcopy(stock)
    for one in (stock, model):
        if case.prepare:
            case.prepare(one)
    report = swap_activations(model, dict(type='AconC'), 'all')
    assert not model.training
    acts = acons(model)
    assert bool(acts) != (name in LEFT)
    with torch.no_grad():
        for act in acts.values():
            act.p1.fill_(1.), act.p2.zero_(), act.beta.fill_(1e12)
        for ours, theirs in zip(run(model, case), run(stock, case),
                                strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        with Remaining() as remaining:
            run(model, case)
    told = [entry for entry in report.left if entry.reason != 'never called']
    assert remaining.count <= len(told) + len(report.functional)

    dims = []
    for act in acts.values():
        nn.init.constant_(act.p2, .5), nn.init.ones_(act.beta)
        act.register_forward_pre_hook(
            lambda act, args: dims.append(act.channel_dim % args[0].dim()
                                          - case.dim % args[0].dim()))
    before = run(model, case)
    assert len(dims) >= len(acts) - ('OnlyInTraining' == name)
    assert not any(dims)
    with torch.no_grad():  # as a fused kernel would not
        for ours, theirs in zip(run(model, case), before, strict=True):
            torch.testing.assert_close(ours, theirs)
    if case.trains and acts:
        sum(t.square().sum() for t in run(model.train(), case)).backward()
        assert all(act.p1.grad is not None for act in acts.values())


@pytest.mark.parametrize('name', [
    'KeptInAList', 'KeptInADict', 'KeptWithArguments'])
def test_a_method_that_is_kept_as_well_is_swapped_there_too(name):
    case = CASES[name]
    model = build(case)
    report = swap_activations(model, dict(type='AconC'), 'all')
    assert {entry.reason for entry in report.left} <= {'never called'}
    with Remaining() as remaining:
        run(model, case)
    assert not remaining.count and not report.functional


def test_code_of_several_methods_is_no_ones():
    report = swap_activations(build(CASES['ActivatedByADecorator']),
                              dict(type='AconC'), 'all')
    assert report.functional == [('wrapper', 'relu')] * 2 + [
        ('first', 'relu'), ('second', 'relu')]
    assert {entry.reason for entry in report.left} == {'never called'}


def test_a_method_without_its_input_is_told_without_a_second_look():
    report = swap_activations(build(CASES['TensorMethodByItsName']),
                              dict(type='AconC'), 'all', verify=False)
    assert report.functional == [('forward', 'relu')] * 2
    assert not report.swapped


def test_code_that_no_rewriting_fits_is_left(monkeypatch):
    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return torch.relu(self.conv(x))

    def fail(function, change):
        raise SyntaxError('none of its kind')

    monkeypatch.setattr(seated, 'rewrite', fail)
    model = Net()
    report = swap_activations(model, dict(type='AconC'), 'all')
    assert [entry.reason for entry in report.left] == [
        'cannot be put there: none of its kind']
    assert type(model) is Net and not acons(model)
