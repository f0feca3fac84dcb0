"""ACON-A, -B and -C against their formulas in float64."""
import copy
from contextlib import nullcontext

import pytest
import torch
import torch.nn as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.cnn import build_activation_layer
from torch.nn import functional as F

from acon_mm import AconA, AconB, AconC, MetaAconC
from acon_mm.functional.torch_versions import VERSION

MEMBERS = (AconA, AconB, AconC)
ALL = (*MEMBERS, MetaAconC)


def formula(act, x):
    """Tab. 1 of the paper, element by element, in float64."""
    shape = [1] * x.dim()
    shape[act.channel_dim] = -1
    value = {
        name: p.detach().double().view(shape)
        for name, p in act.named_parameters()
    }
    beta = value['beta']
    p1 = value.get('p1', 1.)
    p2 = value.get('p2', value.get('p', 0.))
    x = x.double()
    return (p1 - p2) * x / (1 + torch.exp(-beta * (p1 - p2) * x)) + p2 * x


@pytest.mark.parametrize('member', MEMBERS)
@pytest.mark.parametrize('shape, channel_dim', [
    ((4, 6), 1), ((4, 6, 5), 1), ((2, 6, 5, 3), 1), ((2, 6, 3, 2, 3), 1),
    ((2, 7, 6), -1), ((2, 3, 5, 6), -1), ((0, 6, 4, 4), 1), ((1, 6), 1)])
def test_values_are_the_papers(member, shape, channel_dim):
    act = member(6, channel_dim=channel_dim).double()
    nn.init.uniform_(act.beta, 0.2, 3.)
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(act(x), formula(act, x), rtol=1e-12,
                               atol=1e-12)


@pytest.mark.parametrize('member', ALL)
def test_gradients_of_input_and_parameters(member):
    act = member(3).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    act.eval()

    def call(x, *parameters):
        names = [name for name, _ in act.named_parameters()]
        values = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(act, values, (x, ))

    assert torch.autograd.gradcheck(call, (x, *act.parameters()))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('member', ALL)
def test_half_inputs_stay_half_and_are_computed_in_float32(member, dtype):
    act = member(4).eval()
    x = torch.randn(2, 4, 3, 3).to(dtype)
    autocast = dtype == torch.bfloat16 or VERSION >= (2, 4)
    if member is MetaAconC and not autocast:
        pytest.skip('PyTorch before 2.4 has no float16 autocast on the CPU')
    with torch.autocast('cpu', dtype) if autocast else nullcontext():
        out = act(x)
    assert out.dtype == dtype
    if member is not MetaAconC:
        torch.testing.assert_close(out, formula(act, x).to(dtype))


@pytest.mark.parametrize('member', ALL)
def test_channels_last_is_kept(member):
    x = torch.randn(2, 8, 5, 5).contiguous(memory_format=torch.channels_last)
    out = member(8)(x)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('member', MEMBERS)
def test_scripting(member):
    act, x = member(6), torch.randn(2, 6, 3, 3)
    torch.testing.assert_close(torch.jit.script(act)(x), act(x))


def test_acon_c_is_symmetric_in_its_slopes():
    act = AconC(5, init='paper')
    nn.init.uniform_(act.beta, 0.2, 3.)
    swapped = copy.deepcopy(act)
    swapped.p1, swapped.p2 = act.p2, act.p1
    x = torch.randn(3, 5, 4)
    torch.testing.assert_close(act(x), swapped(x))


def test_silu_is_the_member_with_p1_1_p2_0_beta_1():
    act = AconC(5, init='paper').double()
    for parameter, value in ((act.p1, 1.), (act.p2, 0.), (act.beta, 1.)):
        nn.init.constant_(parameter, value)
    x = torch.randn(3, 5, dtype=torch.float64)
    torch.testing.assert_close(act(x), F.silu(x))
    torch.testing.assert_close(AconA(5).double()(x), F.silu(x))


def test_beta_goes_from_the_mean_to_the_maximum():
    act = AconC(7, init='paper')
    x = torch.randn(4, 7)
    lines = torch.stack([act.p1 * x, act.p2 * x])
    nn.init.zeros_(act.beta)
    torch.testing.assert_close(act(x), lines.mean(0))
    nn.init.constant_(act.beta, 1e6)
    torch.testing.assert_close(act(x), lines.amax(0))


@settings(deadline=None)
@given(p=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
       beta=st.floats(0.05, 10))
def test_first_derivative_stays_within_the_papers_bounds(p, beta):
    p2, p1 = sorted(p)
    act = AconC(1, init='paper').double()
    for parameter, value in ((act.p1, p1), (act.p2, p2), (act.beta, beta)):
        nn.init.constant_(parameter, value)
    x = torch.linspace(-60, 60, 4001, dtype=torch.float64)[:, None]
    if p1 - p2 > 1e-3:
        extreme = 2.3994 / (beta * (p1 - p2))
        x = torch.cat([x, x.new_tensor([[extreme], [-extreme]])])
    x.requires_grad_()
    slope, = torch.autograd.grad(act(x).sum(), x)
    upper = 1.0998 * p1 - 0.0998 * p2
    lower = 1.0998 * p2 - 0.0998 * p1
    assert slope.max() <= upper + 1e-3
    assert slope.min() >= lower - 1e-3
    if p1 - p2 > 1e-3:
        assert slope.max() == pytest.approx(upper, abs=1e-3)
        assert slope.min() == pytest.approx(lower, abs=1e-3)


def test_starts():
    for usual in (AconC(3), MetaAconC(3)):
        assert (usual.p1 == 1).all() and (usual.p2 == .25).all()
    paper = AconC(10000, init='paper')
    for slope in (paper.p1, paper.p2):
        assert abs(slope.mean()) < 0.05 and abs(slope.std() - 1) < 0.05
    assert (paper.beta == 1).all()
    x = torch.linspace(-4, 4, 999)[:, None]
    for member in MEMBERS:
        act = member(1, init='match')
        assert (act(x) - x.relu()).abs().max() <= 0.2785 / 100


def test_every_parameter_has_one_dimension():
    assert {name: tuple(p.shape)
            for name, p in AconC(9).named_parameters()} == dict(
                p1=(9, ), p2=(9, ), beta=(9, ))
    assert [n for n, _ in AconB(9).named_parameters()] == ['p', 'beta']
    assert [n for n, _ in AconA(9).named_parameters()] == ['beta']


@pytest.mark.parametrize('name', ['AconA', 'AconB', 'AconC', 'MetaAconC'])
@pytest.mark.parametrize('prefix', ['', 'acon_mm.'])
def test_mmcv_builds_them_by_name(name, prefix):
    act = build_activation_layer(
        dict(type=prefix + name, num_channels=4, inplace=True,
             negative_slope=0.1))
    assert type(act).__name__ == name and act.num_channels == 4


@pytest.mark.parametrize('arguments, words', [
    (dict(num_channels=0), 'num_channels=0'),
    (dict(num_channels=-3), 'num_channels=-3'),
    (dict(num_channels=2.5), 'num_channels=2.5'),
    (dict(num_channels=4, init='relu'), "init='relu'")])
@pytest.mark.parametrize('member', ALL)
def test_bad_arguments_are_named_when_building(member, arguments, words):
    with pytest.raises(ValueError, match=words):
        member(**arguments)


@pytest.mark.parametrize('member', ALL)
def test_bad_inputs_are_named(member):
    with pytest.raises(ValueError, match='of 4 channels.* 5 channels'):
        member(4)(torch.randn(2, 5, 3, 3))
    with pytest.raises(ValueError, match='num_channels=C'):
        member()(torch.randn(2, 5))
    with pytest.raises(ValueError, match=r'shape \(4,\): .*at least two'):
        member(4)(torch.randn(4))


def test_a_fixed_slope_cannot_match_another():
    from acon_mm.starts import Start
    with pytest.raises(ValueError, match='AconA cannot start with p2=0.1'):
        AconA(3, init='match').start_like(Start(p2=0.1))
