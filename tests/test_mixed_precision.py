"""Half precision: autocast, GradScaler, and models that are half."""
import copy

import pytest
import torch
from torch import nn

from acon_mm import AconA, AconB, AconC, MetaAconC
from acon_mm.frelu import AconFReLU, FReLU
from acon_mm.functional.torch_versions import VERSION

ACTS = {
    'AconA': lambda: AconA(16),
    'AconB': lambda: AconB(16, init='paper'),
    'AconC': lambda: AconC(16, init='paper'),
    'MetaAconC': lambda: MetaAconC(16, init='paper'),
    'MetaAconC-layer': lambda: MetaAconC(16, level='layer', init='paper'),
    'MetaAconC-pixel': lambda: MetaAconC(16, level='pixel', init='paper'),
    'AconFReLU': lambda: AconFReLU(16),
    'FReLU': lambda: FReLU(16),
}
# half of the last digit, times what sums lose
TOLERANCES = {torch.float16: 4e-3, torch.bfloat16: 3e-2}
HALVES = [
    pytest.param(torch.float16, marks=pytest.mark.skipif(
        VERSION < (2, 4), reason='PyTorch before 2.4 has no float16 autocast '
        'on the CPU')),
    torch.bfloat16,
]


@pytest.fixture(params=ACTS)
def act(request):
    return ACTS[request.param]().eval()


def run(act, x):
    """The output and all gradients of its sum with fixed weights."""
    x = x.clone().requires_grad_()
    y = act(x)
    upstream = torch.linspace(-1, 1, y.numel()).view_as(y).to(y)
    return y, torch.autograd.grad(y, [x, *act.parameters()], upstream)


def assert_close(ours, right, dtype):
    assert torch.isfinite(ours).all()
    scale = right.abs().max().item()
    torch.testing.assert_close(ours.double(), right, rtol=0,
                               atol=TOLERANCES[dtype] * max(scale, 1e-3))


@pytest.mark.parametrize('dtype', HALVES, ids=str)
def test_autocast(act, dtype):
    """Of what a convolution before it gives, which is half there."""
    conv = nn.Conv2d(3, 16, 3)
    x = torch.randn(2, 3, 9, 9)
    with torch.autocast('cpu', dtype):
        inputs = conv(x).detach()
        y, grads = run(act, inputs)
    assert inputs.dtype == dtype
    if not isinstance(act, (AconFReLU, FReLU)):  # their norms are float32
        assert y.dtype == dtype
    right, exact = run(copy.deepcopy(act).double(), inputs.double())
    assert grads[0].dtype == dtype
    if isinstance(act, FReLU):  # its branches may be as good as equal
        grads = exact = ()
    for ours, other in zip((y, *grads), (right, *exact), strict=True):
        assert_close(ours, other, dtype)


LARGE = torch.tensor([6e4, -6e4, 3e4, 1., -1., 0., 6e-5, -6e4])


@pytest.mark.parametrize('dtype', HALVES, ids=str)
@pytest.mark.parametrize('beta', [0., 1., 30., -30.])
@pytest.mark.parametrize('member', [AconA, AconB, AconC])
def test_large_inputs_stay_finite(member, beta, dtype):
    act = member(16)
    with torch.no_grad():
        act.beta.fill_(beta)
        for name, value in (('p1', 1.), ('p2', -.75), ('p', -.75)):
            if hasattr(act, name):
                getattr(act, name).fill_(value)
    x = LARGE.to(dtype).repeat(2, 16, 1)
    y, (dx, *_) = run(act, x)
    right, (exact, *_) = run(copy.deepcopy(act).double(), x.double())
    assert y.dtype == dx.dtype == dtype
    assert_close(y, right, dtype)
    assert_close(dx, exact, dtype)


@pytest.mark.parametrize('dtype', HALVES, ids=str)
@pytest.mark.parametrize('sign', [1, -1])
def test_large_means_do_not_reach_the_end_of_a_half(sign, dtype):
    act = MetaAconC(64).eval()
    with torch.no_grad():
        for conv in (act.fc1, act.fc2):  # makes 64 * 6e4 of it
            conv.weight.fill_(sign)
        act.bn1.running_var.fill_(1e14)
        act.bn2.running_var.fill_(1e8)
        act.p1.fill_(1.)
        act.p2.fill_(0.)
    x = torch.full((2, 64, 3, 3), 6e4).to(dtype)
    with torch.autocast('cpu', dtype):
        beta = act.compute_beta(x)
        y, grads = run(act, x)
    right, _ = run(copy.deepcopy(act).double(), x.double())
    expected = copy.deepcopy(act).double().compute_beta(x.double())
    assert .5 < expected.max() < .999 or .001 < expected.min() < .5
    assert_close(beta, expected, dtype)
    assert_close(y, right, dtype)
    assert all(torch.isfinite(grad).all() for grad in grads)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_a_model_that_is_half_runs_where_relu_does(act, dtype):
    def block(act):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), act)

    x = torch.randn(2, 3, 9, 9)
    for training in (False, True):
        try:
            block(nn.ReLU()).train(training).to(dtype)(x.to(dtype))
        except RuntimeError:  # an old PyTorch's CPU
            continue
        y = block(act).train(training).to(dtype)(x.to(dtype))
        assert y.dtype == dtype and torch.isfinite(y).all()
        y.float().square().sum().backward()
        for name, parameter in act.named_parameters():
            assert parameter.grad.dtype == dtype, name
            assert torch.isfinite(parameter.grad).all(), name
        assert act.eval()(torch.ones(1, 16, 3, 3, dtype=dtype)).dtype == dtype


@pytest.mark.skipif(VERSION < (2, 4),
                    reason='PyTorch before 2.4 scales on CUDA alone')
def test_a_scaler_steps_and_skips_what_is_infinite(act):
    model = nn.Sequential(nn.Conv2d(3, 16, 3), act)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler('cpu', init_scale=2.**10)
    moved = []
    for image in (torch.randn(2, 3, 8, 8), torch.full((2, 3, 8, 8), 1e30)):
        before = [p.detach().clone() for p in model.parameters()]
        optimizer.zero_grad()
        with torch.autocast('cpu', torch.float16):
            loss = model(image).float().square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        moved.append(any(not torch.equal(a, b) for a, b in zip(
            before, model.parameters())))
        assert all(torch.isfinite(p).all() for p in model.parameters())
    assert moved == [True, False] and scaler.get_scale() == 2.**9
