"""Properties of the op for any shape, layout and value."""
import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from acon_mm import AconA, AconB, AconC, MetaAconC, functional
from acon_mm.frelu import AconFReLU, FReLU, FunnelBase
from acon_mm.functional import blocked, reference
from acon_mm.functional.cpu import op as native

IMPLEMENTATIONS = dict(
    auto=functional.acon, reference=reference.acon, blocked=blocked.acon)
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5,
              torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
FEW = settings(deadline=None, max_examples=40, derandomize=True)
ACTS = (AconA, AconB, AconC, MetaAconC, FReLU, AconFReLU)


def formula(x, p1, p2, beta, dim):
    """Eq. 5 in float64, with the parameters along ``dim``."""
    shape = [1] * x.dim()
    shape[dim] = -1
    x = x.double()
    p1, p2, beta = (p.double().view(shape) for p in (p1, p2, beta))
    d = (p1 - p2) * x
    return d * torch.sigmoid(beta * d) + p2 * x


@st.composite
def tensors(draw):
    """x of any layout, the dimension of its channels, and parameters."""
    shape = draw(st.lists(st.integers(0, 5), min_size=2, max_size=5))
    dtype = draw(st.sampled_from([*TOLERANCES]))
    dim = draw(st.integers(1, len(shape) - 1))
    negative = draw(st.booleans())
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    steps = draw(st.lists(st.integers(1, 2), min_size=len(shape),
                          max_size=len(shape)))
    order = draw(st.permutations(range(len(shape))))
    # memory in another order of dimensions, some with gaps
    base = torch.randn([shape[i] * steps[i] for i in order],
                       generator=generator, dtype=torch.float64)
    x = base.permute(*map(order.index, range(len(shape))))
    x = x[tuple(slice(None, None, step) for step in steps)].to(dtype)
    x = (x * 10 ** draw(st.integers(-4, 3))).to(dtype)
    if draw(st.booleans()):  # .to() has made it dense
        x = x.transpose(0, -1).contiguous().transpose(0, -1)
    parameters = torch.randn(3, shape[dim], generator=generator)
    return x, dim - len(shape) if negative else dim, parameters


@pytest.mark.parametrize('name', IMPLEMENTATIONS)
@FEW
@given(case=tensors())
def test_any_shape_and_layout(name, case):
    x, dim, (p1, p2, beta) = case
    before, version = x.clone(), x._version
    y = IMPLEMENTATIONS[name](x, p1, p2, beta, dim)
    assert y.shape == x.shape and y.dtype == x.dtype
    right = formula(x, p1, p2, beta, dim)
    scale = max(1., right.abs().max().item()) if right.numel() else 1.
    torch.testing.assert_close(y.double(), right, rtol=0,
                               atol=TOLERANCES[x.dtype] * scale)
    # the input is as it was
    assert torch.equal(x, before) and x._version == version


SPECIAL = [0., -0., 1., -1., 1e-45, 1e38, -1e38, math.inf, -math.inf,
           math.nan]


@pytest.mark.parametrize('name', [*IMPLEMENTATIONS, 'native'])
@FEW
@given(x=st.sampled_from(SPECIAL), p1=st.sampled_from([1., .5, -2.]),
       p2=st.sampled_from([0., .25, -1.]), beta=st.sampled_from([1., 30., 0.]))
def test_nan_and_infinity_go_where_the_formula_has_them(
        name, x, p1, p2, beta):
    run = IMPLEMENTATIONS.get(name, native.acon)
    p1, p2, beta = (torch.tensor([value]) for value in (p1, p2, beta))
    # in a row of others, which stay as they are
    values = torch.ones(1, 1, 37)
    values[..., 20] = x
    y = run(values, p1, p2, beta)
    right = formula(values, p1, p2, beta, 1)
    if math.isinf(x):
        # of two lines and their mean, that which beta chooses; 0 times
        # infinity, which some orders of the formula have in it, is NaN
        bent = beta * (p1 - p2) * x
        slope = (p1 + p2) / 2 if beta == 0 else p1 if bent > 0 else p2
        assert y[0, 0, 20].isnan() or y[0, 0, 20] == (
            slope * x if slope else 0.)
        assert not y[..., 20].isfinite() or not slope
        y[..., 20] = right[..., 20] = 0.
    torch.testing.assert_close(y.double(), right, rtol=1e-5, atol=1e-6,
                               equal_nan=True)
    assert y.isnan().sum() == math.isnan(x)


@pytest.mark.parametrize('act', ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize('shape', [(0, 3, 4, 4), (1, 3, 4, 4), (2, 1, 4, 4),
                                   (1, 1, 1, 1)], ids=str)
def test_small_batches_forward_and_backward(act, shape):
    act = act(shape[1])
    if shape[0] == 0 or shape[2] == 1 and isinstance(act, FunnelBase):
        act.eval()  # a norm has no statistics there
    x = torch.randn(shape, requires_grad=True)
    y = act(x)
    y.square().sum().backward()
    assert y.shape == x.grad.shape == shape
    assert all(torch.isfinite(p.grad).all() for p in act.parameters())


@pytest.mark.parametrize('act', ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize('training', [True, False])
def test_the_input_is_not_changed(act, training):
    act = act(4).train(training)
    x = torch.randn(2, 4, 5, 5)
    before, version = x.clone(), x._version
    act(x)
    assert torch.equal(x, before) and x._version == version
    # nor what autograd keeps of it
    x.requires_grad_()
    act(x).sum().backward()
    assert torch.equal(x, before)


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize('act', ACTS, ids=lambda act: act.__name__)
def test_deterministic_algorithms(act, deterministic):
    act = act(8)
    x = torch.randn(3, 8, 40, 40)
    results = []
    for _ in range(2):
        net, image = copy.deepcopy(act), x.clone().requires_grad_()
        y = net(image)
        y.square().sum().backward()
        results.append([y, image.grad, *(p.grad for p in net.parameters()),
                        *net.buffers()])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize('act', [
    AconA, AconB, AconC,
    lambda n: MetaAconC(n, norm_cfg=None, r=2, init='paper'),
    lambda n: MetaAconC(n, level='layer', init='paper'),
    lambda n: MetaAconC(n, level='pixel', init='paper'), AconFReLU],
    ids=['AconA', 'AconB', 'AconC', 'MetaAconC', 'layer', 'pixel',
         'AconFReLU'])
def test_second_derivatives_of_modules(act):
    act = act(2).double().eval()
    for parameter in act.parameters():
        nn.init.uniform_(parameter, .2, 1.)
    names = [name for name, _ in act.named_parameters()]
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)

    def call(x, *parameters):
        return torch.func.functional_call(
            act, dict(zip(names, parameters, strict=True)), (x, ))

    assert torch.autograd.gradgradcheck(call, (x, *act.parameters()))


@pytest.mark.gpu
def test_more_elements_than_an_int_counts():
    rows = 2**31 // 4096 + 3
    x = torch.zeros(1, 1, rows, 4096, dtype=torch.bfloat16, device='cuda')
    x[..., -1, :] = 2.
    p1, p2, beta = (torch.tensor([value], device='cuda')
                    for value in (1., .25, 3.))
    y = functional.acon(x, p1, p2, beta)
    assert x.numel() > 2**31
    right = formula(torch.tensor([[2.]]), *(
        p.cpu() for p in (p1, p2, beta)), 1).item()
    assert (y[..., -1, :] == torch.tensor(right).bfloat16().item()).all()
    assert not y[..., :-1, :].any()
