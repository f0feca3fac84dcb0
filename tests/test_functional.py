"""Values, gradients and memory of ``acon_mm.functional.acon``."""
import pytest
import torch
import torch.nn.functional as F
from functional_cases import CASES, Case, assert_matches, describe
from torch import Tensor

from acon_mm import functional
from acon_mm.functional import blocked, reference
from acon_mm.functional.cpu import op as native

IMPLEMENTATIONS = (reference, blocked, native)


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda m: m.__name__[18:])
def implementation(request):
    return request.param


@pytest.mark.parametrize('dtype', [
    torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize('case', CASES, ids=describe)
def test_value_and_gradients(case, dtype):
    assert_matches(functional.acon, case, dtype)


@pytest.mark.parametrize('case', CASES, ids=describe)
def test_reference(case):
    assert_matches(reference.acon, case, torch.float64)


@pytest.mark.parametrize('case', CASES, ids=describe)
def test_blocked_in_many_pieces(case, monkeypatch):
    monkeypatch.setattr(blocked, 'PIECE', 50)
    assert_matches(blocked.acon, case, torch.float64)
    assert_matches(blocked.acon, case, torch.bfloat16)


@pytest.mark.parametrize('case', CASES, ids=describe)
def test_native_with_threads_and_short_chunks(case, monkeypatch):
    native.make_plan.cache_clear()  # made with the constants
    monkeypatch.setattr(native, 'CHUNK', 3)
    monkeypatch.setattr(native, 'GRAIN', 1)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 3)
    assert_matches(native.acon, case, torch.float32)


def test_native_does_not_depend_on_the_threads(monkeypatch):
    case = Case((2, 5, 300, 301), 1, 'sample')
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, 'get_num_threads', lambda n=threads: n)
        leaves = case.make(torch.float32)
        y = native.acon(*leaves)
        results.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    for one, three in zip(*results):
        assert torch.equal(one, three)


def test_long_rows_sum_precisely():
    x = torch.full((1, 1, 1000, 1000), .1, requires_grad=True)
    p2 = torch.zeros(1, requires_grad=True)
    native.acon(x, 1., p2, 0.).sum().backward()
    # at beta = 0 the op is the mean of both lines: dp2 = sum x / 2
    torch.testing.assert_close(p2.grad.item(), 5e4, rtol=5e-6, atol=0)


def test_silu_is_a_special_case(implementation):
    x = torch.linspace(-20, 20, 999).view(1, 3, 333)
    torch.testing.assert_close(implementation.acon(x, 1., 0., 1.), F.silu(x))


def test_symmetric_in_its_lines(implementation):
    x, p1, p2 = torch.randn(2, 3, 9), torch.randn(3), torch.randn(3)
    torch.testing.assert_close(
        implementation.acon(x, p1, p2, 2.), implementation.acon(
            x, p2, p1, 2.))


def test_beta_goes_from_mean_to_maximum(implementation):
    x, p1, p2 = torch.randn(2, 3, 9), torch.randn(3, 1), torch.randn(3, 1)
    lines = torch.stack([p1 * x, p2 * x])
    for beta, limit in ((0., lines.mean(0)), (1e9, lines.amax(0)),
                        (-1e9, lines.amin(0))):
        torch.testing.assert_close(
            implementation.acon(x, p1[:, 0], p2[:, 0], beta), limit)


def test_derivative_reaches_its_bounds(implementation):
    p1, p2, beta = 1.7, -.4, 1.3
    bend = 2.3994 / (beta * (p1 - p2))
    x = torch.cat([torch.linspace(-30, 30, 4001), torch.tensor([-bend, bend])])
    x = x.view(1, 1, -1).requires_grad_()
    slope, = torch.autograd.grad(
        implementation.acon(x, p1, p2, beta).sum(), x)
    lower, upper = 1.0998 * p2 - .0998 * p1, 1.0998 * p1 - .0998 * p2
    torch.testing.assert_close(slope[0, 0, -2:], torch.tensor([lower, upper]),
                               atol=2e-4, rtol=0)
    assert lower - 2e-4 < slope.min() and slope.max() < upper + 2e-4


def test_saturates_without_nan(implementation):
    x = torch.tensor([-3e38, -1e5, -89., 89., 1e5, 3e38]).view(1, 1, 6)
    x.requires_grad_()
    y = implementation.acon(x, 1., 0., 1.)
    torch.testing.assert_close(y, F.relu(x))
    dx, = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(dx, (x > 0).float())


@pytest.mark.parametrize('spoiled', range(4), ids=['x', 'p1', 'p2', 'beta'])
@pytest.mark.parametrize('memory_format', [
    torch.contiguous_format, torch.channels_last])
def test_nan_stays_nan(implementation, spoiled, memory_format):
    x = torch.ones(1, 2, 1, 20).contiguous(memory_format=memory_format)
    inputs = [x, torch.ones(2), torch.zeros(2), torch.ones(2)]
    (inputs[spoiled] if spoiled else x[0])[0] = torch.nan
    y = implementation.acon(*inputs)
    assert y[0, 0].isnan().all() and not y[0, 1].isnan().any()


@pytest.mark.parametrize('case', [
    *(Case((2, 3, 2, 2), 1, beta)
      for beta in ('channel', 'sample', 'layer', 'element')),
    Case((2, 3, 2, 2), 1, 'channel', affine=True)], ids=describe)
def test_gradcheck_twice(case):
    leaves = case.make(torch.float64)

    def run(*leaves):
        return case.call(functional.acon, leaves)

    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


def test_second_derivative_of_the_native_kernel():
    x = torch.randn(1, 2, 8, requires_grad=True)
    first, = torch.autograd.grad(
        native.acon(x, 1., 0., 1.).sum(), x, create_graph=True)
    second, = torch.autograd.grad(first.sum(), x)
    s = torch.sigmoid(x)
    torch.testing.assert_close(second, s * (1 - s) * (2 + x * (1 - 2 * s)))


def test_transforms_see_the_formula():
    x, p1, p2, beta = Case((2, 3, 4, 4), 1, 'channel').make(torch.float32)

    def loss(p1):
        return functional.acon(x, p1, p2, beta).square().sum()

    gradient, = torch.autograd.grad(loss(p1), p1)
    torch.testing.assert_close(torch.func.grad(loss)(p1.detach()), gradient)
    tangent = torch.randn(3)
    _, derivative = torch.func.jvp(loss, (p1.detach(), ), (tangent, ))
    torch.testing.assert_close(derivative, gradient @ tangent)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(p1.detach(), tangent)
        derivative = torch.autograd.forward_ad.unpack_dual(loss(dual)).tangent
    torch.testing.assert_close(derivative, gradient @ tangent)
    one = torch.vmap(lambda image: functional.acon(image[None], p1, p2, beta))
    torch.testing.assert_close(one(x)[:, 0], functional.acon(x, p1, p2, beta))


def test_several_gradients_at_a_time():
    x = torch.randn(2, 3, requires_grad=True)

    def run(x):
        return functional.acon(x, 1.5, .2, 2.)

    torch.testing.assert_close(
        torch.autograd.functional.jacobian(run, x, vectorize=True),
        torch.autograd.functional.jacobian(run, x))


def test_negative_views():
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(
        functional.acon(torch._neg_view(x), 1., .1, 2.),
        functional.acon(-x, 1., .1, 2.))


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16], ids=str)
def test_the_default_dtype_does_not_matter(dtype):
    case = Case((2, 3, 5, 5), 1, 'sample')
    torch.set_default_dtype(dtype)
    try:
        assert_matches(functional.acon, case, torch.float32)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_parameter_on_another_device():
    p1 = torch.ones(3, device='meta')
    with pytest.raises(ValueError, match='on meta and x on cpu: move one'):
        functional.acon(torch.randn(2, 3), p1, 0., 1.)


def test_only_what_requires_gradients_gets_them(implementation):
    x, p1, p2, beta = Case((2, 3, 4, 4), 1, 'channel').make(torch.float32)
    for leaf in (x, p1, beta):
        leaf.requires_grad_(False)
    implementation.acon(x, p1, p2, beta).sum().backward()
    assert p2.grad.shape == (3, )
    assert x.grad is p1.grad is beta.grad is None


def test_affine_is_what_a_frozen_norm_computes(implementation):
    norm = torch.nn.BatchNorm2d(3).eval()
    for values in (norm.weight, norm.bias, norm.running_mean):
        torch.nn.init.normal_(values)
    torch.nn.init.uniform_(norm.running_var, .5, 2.)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - scale * norm.running_mean
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(
        implementation.acon(x, 1., .1, 2., 1, scale, shift),
        implementation.acon(norm(x), 1., .1, 2.))


def test_only_one_of_scale_and_shift():
    with pytest.raises(ValueError, match='one of scale and shift'):
        functional.acon(torch.randn(2, 3), 1., 0., 1., scale=torch.ones(3))


@pytest.mark.parametrize('shape', [(0, 3, 4, 4), (2, 3, 0, 4), (0, 3)])
def test_empty(shape, implementation):
    if implementation is native:
        implementation = functional
    x = torch.empty(shape, requires_grad=True)
    p1, p2, beta = (torch.randn(3, requires_grad=True) for _ in range(3))
    y = implementation.acon(x, p1, p2, beta)
    y.sum().backward()
    assert y.shape == x.grad.shape == shape
    assert not p1.grad.any() and not p2.grad.any() and not beta.grad.any()


def test_noncontiguous_input_and_gradient(implementation):
    base = torch.randn(2, 3, 8, 10, requires_grad=True)
    y = implementation.acon(base[..., ::2].transpose(2, 3), 1., 0., 1.)
    y.sum().backward()
    expected = torch.zeros_like(base)
    x = base.detach()[..., ::2].requires_grad_()
    expected[..., ::2], = torch.autograd.grad(F.silu(x).sum(), x)
    torch.testing.assert_close(base.grad, expected)


@pytest.mark.parametrize('module', [blocked, native])
def test_keeps_its_input_and_nothing_as_large(module):
    case = Case((2, 16, 40, 40), 1, 'sample', affine=True)
    leaves = case.make(torch.float32)
    x, kept = leaves[0], []

    def count(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
        case.call(module.acon, leaves)
    assert sum(kept) <= 1.01 * x.numel() * x.element_size()


def test_autocast_keeps_half():
    x, *parameters = Case((2, 3, 4, 4), 1, 'channel').make(torch.bfloat16)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert functional.acon(x, *parameters).dtype == torch.bfloat16
        assert functional.acon(x.float(), *parameters).dtype == torch.float32
