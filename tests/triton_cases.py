"""Tests of the Triton kernels, run by Triton's interpreter on the CPU.

``test_functional_triton.py`` runs them in a process of their own, since
Triton reads ``TRITON_INTERPRET`` when it is imported.
"""
import pytest
import torch
from functional_cases import CASES, Case, assert_matches, describe

from acon_mm import functional
from acon_mm.functional.cuda import grid as triton_grid
from acon_mm.functional.cuda import op as triton


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Small inputs have several tiles in each direction, and cut ones."""
    monkeypatch.setattr(triton_grid, 'TILE', 2048)
    monkeypatch.setattr(triton_grid, 'WIDE_TILE', 16)
    monkeypatch.setattr(triton_grid, 'LARGE', 1000)
    monkeypatch.setattr(triton_grid, 'LEAST_ROW', 32)
    monkeypatch.setattr(triton_grid, 'BACKWARD_STEPS', (2, 4, 1))
    monkeypatch.setattr(triton_grid, 'WIDE_FORWARD_STEPS', (1, 2, 1))
    monkeypatch.setattr(triton_grid, 'WIDE_BACKWARD_STEPS', (2, 4, 1))
    # of launches with tiles of another size
    triton_grid._launch_of.cache_clear()
    yield
    triton_grid._launch_of.cache_clear()
    functional.set_implementation('auto')


# a layer's beta is expanded to a sample's before it gets here
@pytest.mark.parametrize(
    'case', [case for case in CASES if case.beta != 'layer'], ids=describe)
def test_value_and_gradients(case):
    assert_matches(triton.acon, case, torch.float32)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize('case', [
    Case((2, 3, 5, 7), 1, 'channel'),
    Case((2, 3, 5, 7), 1, 'element'),
    Case((2, 17, 5, 7), 1, 'sample', torch.channels_last),
], ids=describe)
def test_half_types(case, dtype):
    assert_matches(triton.acon, case, dtype)


def test_reads_nothing_beyond_its_parameters():
    # beta's neighbours in memory would spoil a sum that met them
    beta = torch.full((4, 3), torch.nan)[1:3].fill_(1.).requires_grad_()
    x = torch.randn(2, 3, 5, 7).contiguous(memory_format=torch.channels_last)
    gradient, = torch.autograd.grad(triton.acon(x, 1., 0., beta).sum(), beta)
    assert gradient.isfinite().all()


def test_second_derivative():
    x = torch.randn(1, 2, 8, requires_grad=True)
    first, = torch.autograd.grad(
        triton.acon(x, 1., 0., 1.).sum(), x, create_graph=True)
    second, = torch.autograd.grad(first.sum(), x)
    s = torch.sigmoid(x)
    torch.testing.assert_close(second, s * (1 - s) * (2 + x * (1 - 2 * s)))


@pytest.mark.parametrize('beta', ['channel', 'sample', 'element'])
@pytest.mark.parametrize('affine', [False, True])
@pytest.mark.parametrize('memory_format',
                         [torch.contiguous_format, torch.channels_last])
def test_operators_are_registered_correctly(beta, affine, memory_format):
    case = Case((2, 3, 4, 5), 1, beta, memory_format, affine)
    leaves = case.make(torch.float32)
    arguments = (*leaves, *[None] * (6 - len(leaves)), 1)
    torch.library.opcheck(torch.ops.acon_mm.acon, arguments)
    with torch.no_grad():
        torch.library.opcheck(torch.ops.acon_mm.acon_backward,
                              (torch.ones_like(leaves[0]), *arguments))


def test_compile_sees_the_operators():
    functional.set_implementation('triton')
    targets = []

    def record(graph, inputs):
        targets.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    leaves = Case((2, 3, 4, 5), 1, 'sample').make(torch.float32)

    @torch.compile(fullgraph=True,
                   backend=torch._dynamo.backends.common.aot_autograd(
                       fw_compiler=record, bw_compiler=record))
    def layer(*inputs):
        return functional.acon(*inputs).square()

    compiled = torch.autograd.grad(layer(*leaves).sum(), leaves)
    assert {'acon_mm.acon.default', 'acon_mm.acon_backward.default'
            } <= set(targets)
    eager = torch.autograd.grad(
        functional.acon(*leaves).square().sum(), leaves)
    torch.testing.assert_close(compiled, eager)


def test_forced_on_a_type_that_it_does_not_take():
    functional.set_implementation('triton')
    with pytest.raises(RuntimeError, match="'triton' cannot run: x is.*64"):
        functional.acon(torch.randn(2, 3).double(), 1., 0., 1.)
