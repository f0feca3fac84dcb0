"""Batch norm and ACON as one op, on the CPU."""
import copy
import re

import pytest
import torch
import torch.nn.functional as F
from norm_cases import (
    CASES,
    EPS,
    MOMENTUM,
    assert_matches,
    assert_meta_matches,
    describe,
    joined,
    leaves_of,
    normed_meta,
)
from torch import nn

from acon_mm import functional
from acon_mm.benchmark.measure import saved_bytes
from acon_mm.functional.cpu import norm as native
from acon_mm.functional.cpu import op

CONTIGUOUS = ((3, 6, 11, 13), 1, torch.contiguous_format)
CHANNELS_LAST = ((3, 6, 11, 13), 1, torch.channels_last)


@pytest.fixture
def calls(monkeypatch):
    """Grows whenever the kernels compute the op."""
    seen, run = [], native.forward
    monkeypatch.setattr(native, 'forward',
                        lambda *args: seen.append(1) or run(*args))
    return seen


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('case', CASES, ids=describe)
def test_value_gradients_and_statistics(case, dtype, calls):
    assert_matches(case, dtype)
    assert len(calls) == 1


@pytest.mark.parametrize('layout', [CONTIGUOUS, CHANNELS_LAST])
def test_a_mean_far_from_zero(layout):
    assert_matches((layout, 'channel'), torch.float32, level=300.,
                   tolerance=1e-3)


@pytest.mark.parametrize('layout', [CONTIGUOUS, CHANNELS_LAST])
def test_does_not_depend_on_the_threads(layout, monkeypatch):
    monkeypatch.setattr(op, 'GRAIN', 1)
    monkeypatch.setattr(op, 'CHUNK', 7)
    op.make_plan.cache_clear()
    threads, results = torch.get_num_threads(), []
    leaves = leaves_of((layout, 'sample'), torch.float32)
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            y = functional.norm_acon(*leaves[:4], None, None, *leaves[4:])
            results.append([y, *torch.autograd.grad(y.square().sum(),
                                                    leaves)])
        assert_matches((layout, 'sample'), torch.float32)
    finally:
        torch.set_num_threads(threads)
        op.make_plan.cache_clear()
    for result in results[1:]:
        assert all(map(torch.equal, results[0], result))


def test_keeps_its_input_alone():
    x = torch.randn(2, 8, 40, 40, requires_grad=True)
    p1 = torch.randn(8, requires_grad=True)
    kept = saved_bytes(lambda: functional.norm_acon(x, p1, 0., 1.))
    assert x.numel() * 4 <= kept <= x.numel() * 4 + 2048


@pytest.mark.parametrize('case', CASES[4:8], ids=describe)
def test_second_derivatives(case):
    dim, seconds = case[0][1], []
    for dtype in (torch.float32, torch.float64):
        leaves = [leaf.detach().to(dtype).requires_grad_()
                  for leaf in leaves_of(case, torch.float32)]
        y = functional.norm_acon(*leaves[:4], None, None, *leaves[4:],
                                 channel_dim=dim)
        first = torch.autograd.grad(y.square().sum(), leaves,
                                    create_graph=True)
        seconds.append(torch.autograd.grad(
            sum(g.square().sum() for g in first), leaves))
    for ours, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(
            ours.double(), theirs, rtol=1e-3,
            atol=1e-4 * theirs.abs().max().item())


def test_derivatives_of_the_two_in_a_row():
    leaves = [leaf.detach().double().requires_grad_() for leaf in leaves_of(
        (((2, 2, 3), 1, torch.contiguous_format), 'sample'), torch.float32)]

    def op(x, p1, p2, beta, weight, bias):
        return functional.norm_acon(x, p1, p2, beta, None, None, weight, bias)

    assert torch.autograd.gradcheck(op, leaves)


@pytest.mark.parametrize('change', [
    lambda x: x.double(), lambda x: x.half(), lambda x: x[:1, :, :1, :1]])
def test_inputs_that_the_two_take_by_themselves(change, calls):
    x = change(torch.randn(3, 6, 5, 5))
    own = torch.float64 if x.dtype == torch.float64 else torch.float32
    running = [torch.zeros(6, dtype=own), torch.ones(6, dtype=own)]
    twins = [torch.zeros(6, dtype=own), torch.ones(6, dtype=own)]
    try:
        right = F.silu(F.batch_norm(x, *twins, training=True))
    except (RuntimeError, ValueError) as error:
        # one value, or float16 on the CPU of PyTorch 2.1
        assert x.numel() == 6 or x.dtype == torch.float16
        with pytest.raises(type(error), match=re.escape(str(error))):
            functional.norm_acon(x, 1., 0., 1., *running)
        return
    torch.testing.assert_close(
        functional.norm_acon(x, 1., 0., 1., *running), right)
    torch.testing.assert_close(running, twins)
    assert not calls


@pytest.mark.parametrize('shape', [(3, 6, 5, 5), (3, 6)])
def test_a_beta_of_each_element_runs_apart(shape, calls):
    x = torch.randn(shape)
    y = functional.norm_acon(x, 1., 0., torch.ones_like(x))
    torch.testing.assert_close(
        y, F.silu(F.batch_norm(x, None, None, training=True)))
    assert not calls


def test_integers_are_refused():
    with pytest.raises(TypeError, match='int64: convert it'):
        functional.norm_acon(torch.ones(2, 3, 4, dtype=torch.int64), 1., 0.,
                             1.)


def test_what_is_not_a_number_stays_so():
    x = torch.randn(2, 3, 8, 8)
    x[1, 1, 3, 3] = torch.nan
    mean, variance = torch.zeros(3), torch.ones(3)
    y = functional.norm_acon(x, 1., 0., 1., mean, variance)
    channels = torch.tensor([False, True, False])
    assert torch.equal(y.isnan().all(0).all(-1).all(-1), channels)
    assert torch.equal(y.isnan().any(0).any(-1).any(-1), channels)
    assert torch.equal(mean.isnan(), channels)
    assert torch.equal(variance.isnan(), channels)


def test_without_gradients_the_statistics_follow():
    x, mean, variance = torch.randn(4, 3, 5, 5), torch.zeros(3), torch.ones(3)
    with torch.no_grad():
        functional.norm_acon(x, 1., 0., 1., mean, variance, momentum=1.)
    torch.testing.assert_close(mean, x.mean((0, 2, 3)))
    torch.testing.assert_close(variance, x.var((0, 2, 3)))


def test_a_graph_shows_the_two():
    targets = []

    def record(graph, inputs):
        targets.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    def layer(x):
        return functional.norm_acon(x, 1., 0., 1.)

    x = torch.randn(2, 3, 4, 4)
    compiled = torch.compile(layer, fullgraph=True, backend=record)
    torch.testing.assert_close(compiled(x), layer(x))
    assert any('batch_norm' in target for target in targets)


@pytest.mark.parametrize('norm_cfg', [
    dict(type='BN'), dict(type='BN', momentum=.3, eps=.1), None], ids=str)
@pytest.mark.parametrize('shape, memory_format', [
    ((1, 48, 5, 4), torch.contiguous_format),
    ((6, 48, 5, 4), torch.contiguous_format),
    ((6, 48, 5, 4), torch.channels_last)])
def test_meta_acon(shape, memory_format, norm_cfg, calls):
    x = torch.randn(shape).contiguous(memory_format=memory_format)
    assert_meta_matches(normed_meta(norm_cfg), x + 2.)
    assert len(calls) == 1


def test_second_derivatives_of_meta_acon():
    pair, x = normed_meta(), torch.randn(4, 48, 3, 3)
    twin, seconds = copy.deepcopy(pair).double(), []
    for modules, run in ((pair, joined), (twin, nn.Module.__call__)):
        leaf = x.to(modules[0].weight.dtype, copy=True).requires_grad_()
        wanted = [leaf, modules[0].weight, modules[1].fc1.weight]
        first = torch.autograd.grad(
            run(modules, leaf).square().sum(), wanted, create_graph=True)
        seconds.append(torch.autograd.grad(first[0].square().sum(), wanted))
    for ours, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(
            ours.double(), theirs, rtol=1e-2,
            atol=1e-3 * theirs.abs().max().item())


@pytest.mark.parametrize('change', [
    dict(norm_cfg=dict(type='GN', num_groups=4)), dict(level='pixel'),
    dict(level='layer')], ids=str)
def test_betas_that_the_modules_compute(change, calls):
    pair = normed_meta(**change)
    assert joined(pair, torch.randn(4, 48, 3, 3)) is None
    assert not calls


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16,
                                   torch.bfloat16], ids=str)
@pytest.mark.parametrize('case', CASES, ids=describe)
def test_on_a_gpu(case, dtype):
    assert_matches(case, dtype, 'cuda')


@pytest.mark.gpu
@pytest.mark.parametrize('shape', [(4, 64, 200, 336), (3, 512, 7, 7)])
@pytest.mark.parametrize('memory_format', [torch.contiguous_format,
                                           torch.channels_last], ids=str)
def test_large_inputs_on_a_gpu(shape, memory_format):
    assert_matches(((shape, 1, memory_format), 'channel'), torch.float32,
                   'cuda', level=3.)


@pytest.mark.gpu
@pytest.mark.parametrize('memory_format', [torch.contiguous_format,
                                           torch.channels_last], ids=str)
@pytest.mark.parametrize('shape', [(1, 48, 5, 4), (6, 48, 37, 41)])
def test_meta_acon_on_a_gpu(shape, memory_format):
    x = torch.randn(shape).contiguous(memory_format=memory_format)
    assert_meta_matches(normed_meta(), x + 2., device='cuda')


@pytest.mark.gpu
def test_repeats_to_the_bit_on_a_gpu():
    leaves = [leaf.detach().cuda().requires_grad_() for leaf in leaves_of(
        (((4, 64, 100, 168), 1, torch.contiguous_format), 'sample'),
        torch.bfloat16)]
    results = []
    for _ in range(3):
        y = functional.norm_acon(*leaves[:4], None, None, *leaves[4:],
                                 MOMENTUM, EPS)
        results.append([y, *torch.autograd.grad(y.sum(), leaves)])
    for result in results[1:]:
        assert all(map(torch.equal, results[0], result))
