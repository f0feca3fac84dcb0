"""FReLU and AconFReLU against their formulas in float64."""
import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule

from acon_mm.frelu import AconFReLU, FReLU


def funnel(act, x):
    out = F.conv2d(
        x, act.conv.weight, stride=act.stride, padding=1, groups=x.size(1))
    return F.batch_norm(out, act.bn1.running_mean, act.bn1.running_var,
                        act.bn1.weight, act.bn1.bias, eps=act.bn1.eps)


def shortcut(act, x):
    return F.max_pool2d(x, 3, 2, 1) if act.stride == 2 else x


def ready(act):
    act.double().eval()
    for name, buffer in act.named_buffers():
        if name.endswith('running_mean'):
            buffer.normal_()
        elif name.endswith('running_var'):
            buffer.uniform_(0.5, 2.)
    for parameter in act.parameters():
        parameter.data.normal_()
    return act


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('size', [(8, 8), (7, 5)])
def test_frelu_is_the_maximum(stride, size):
    act = ready(FReLU(4, stride=stride))
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    expected = torch.max(shortcut(act, x), funnel(act, x))
    torch.testing.assert_close(act(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('size', [(8, 8), (7, 5)])
def test_acon_frelu_is_the_smooth_maximum(stride, size):
    act = ready(AconFReLU(4, stride=stride))
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    a, b = shortcut(act, x), funnel(act, x)
    # Eq. 2 of the paper with beta = 1
    smooth = (a * a.exp() + b * b.exp()) / (a.exp() + b.exp())
    expected = F.batch_norm(smooth, act.bn2.running_mean,
                            act.bn2.running_var, act.bn2.weight,
                            act.bn2.bias, eps=act.bn2.eps)
    torch.testing.assert_close(act(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('kind', [FReLU, AconFReLU])
def test_gradients(kind, stride):
    act = ready(kind(2, stride=stride))
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    names, values = zip(*act.named_parameters(), strict=True)

    def run(x, *values):
        return torch.func.functional_call(act, dict(zip(
            names, values, strict=True)), x)

    assert torch.autograd.gradcheck(run, (x, *values))


@pytest.mark.parametrize('kind', ['FReLU', 'AconFReLU', 'acon_mm.AconFReLU'])
def test_a_conv_module_tells_the_width(kind):
    layer = ConvModule(
        3, 6, 1, norm_cfg=dict(type='BN'), act_cfg=dict(type=kind))
    assert layer.activate.num_channels == 6
    assert layer(torch.randn(2, 3, 4, 4)).shape == (2, 6, 4, 4)


def test_match_starts_as_relu():
    act = FReLU(3, init='match').eval()
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(act(x), x.relu())
    act = AconFReLU(3, init='match').double().eval()
    x = x.double()
    expected = F.silu(x) / (1 + act.bn2.eps)**0.5
    torch.testing.assert_close(act(x), expected)


def test_the_funnel_has_the_given_norm():
    act = AconFReLU(4, norm_cfg=dict(type='GN', num_groups=2))
    assert isinstance(act.bn1, torch.nn.GroupNorm)
    assert isinstance(act.bn2, torch.nn.GroupNorm)


@pytest.mark.parametrize('bad', [
    dict(stride=3), dict(stride=0), dict(channel_dim=-1),
    dict(num_channels=0), dict(init='zeros')
])
def test_bad_arguments_are_named(bad):
    (name, value), = bad.items()
    with pytest.raises(ValueError, match=f'{name}={value!r}'):
        AconFReLU(**{'num_channels': 4, **bad})


def test_another_width_is_refused():
    with pytest.raises(ValueError, match='4 channels'):
        AconFReLU(4)(torch.zeros(1, 5, 3, 3))
