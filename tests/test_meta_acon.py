"""Meta-ACON: the three levels of its beta net, norms and small batches."""
import copy

import pytest
import torch
import torch.nn as nn
from mmcv.cnn import fuse_conv_bn
from mmcv.cnn.bricks import ConvModule

from acon_mm import MetaAconC


def expected(act, x, beta):
    """Eq. 5 with a given beta, in float64."""
    p1, p2 = (p.detach().view(1, -1, 1, 1) for p in (act.p1, act.p2))
    return (p1 - p2) * x * torch.sigmoid(beta * (p1 - p2) * x) + p2 * x


def randomized(**kwargs):
    act = MetaAconC(32, init='paper', **kwargs).double()
    for module in act.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return act.eval()


def batch_norm(norm, x):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale * (x - norm.running_mean) + norm.bias


def test_channel_level_is_a_squeeze_of_the_input():
    act = randomized()
    x = torch.randn(3, 32, 5, 4, dtype=torch.float64)
    pooled = x.mean((2, 3))
    hidden = pooled @ act.fc1.weight[:, :, 0, 0].T + act.fc1.bias
    out = batch_norm(act.bn1, hidden) @ act.fc2.weight[:, :, 0, 0].T
    beta = batch_norm(act.bn2, out + act.fc2.bias).sigmoid()
    torch.testing.assert_close(act(x), expected(act, x, beta[..., None, None]))


def test_layer_level_has_one_beta_a_sample():
    act = MetaAconC(4, level='layer', init='paper').double()
    x = torch.randn(3, 4, 2, 2, dtype=torch.float64)
    beta = x.sum((1, 2, 3)).sigmoid().view(3, 1, 1, 1)
    torch.testing.assert_close(act(x), expected(act, x, beta))
    assert [name for name, _ in act.named_parameters()] == ['p1', 'p2']


def test_pixel_level_has_a_beta_an_element():
    act = MetaAconC(4, level='pixel', init='paper').double()
    x = torch.randn(3, 4, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(act(x), expected(act, x, x.sigmoid()))


@pytest.mark.parametrize('channels, r, hidden', [
    (64, 16, 16), (512, 16, 32), (48, 8, 8), (7, 16, 16)])
def test_hidden_width(channels, r, hidden):
    act = MetaAconC(channels, r=r)
    assert act.fc1.out_channels == act.bn1.num_features == hidden
    assert act.fc2.out_channels == act.bn2.num_features == channels
    assert act.fc1.bias is not None and act.fc2.bias is not None


@pytest.mark.parametrize('norm_cfg', [
    dict(type='BN'), dict(type='SyncBN'), dict(type='GN', num_groups=4),
    dict(type='LN'), None])
@pytest.mark.parametrize('shape', [(1, 32, 4, 4), (1, 32), (1, 32, 5)])
def test_batches_of_one_train_with_every_norm(norm_cfg, shape):
    act = MetaAconC(32, norm_cfg=norm_cfg, init='paper')
    act(torch.randn(shape)).square().sum().backward()
    for name, parameter in act.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name


def test_larger_batches_are_normalized_by_their_own_statistics():
    act = MetaAconC(32, init='paper').double()
    x = torch.randn(4, 32, 3, 3, dtype=torch.float64)
    logit = act.compute_beta(x).logit()
    torch.testing.assert_close(logit.mean(0), torch.zeros(32).double(),
                               atol=1e-6, rtol=0)
    assert act.bn2.num_batches_tracked == 1


def test_inference_does_not_depend_on_the_batch():
    act = randomized().float()
    x = torch.randn(4, 32, 3, 3)
    torch.testing.assert_close(
        act(x), torch.cat([act(image[None]) for image in x]))


def test_tokens():
    act = randomized()
    tokens = torch.randn(2, 6, 32, dtype=torch.float64)
    last = copy.deepcopy(act)
    last.channel_dim = -1
    torch.testing.assert_close(
        last(tokens), act(tokens.transpose(1, 2)).transpose(1, 2))


def test_fuse_conv_bn_folds_the_beta_net():
    act = randomized()
    x = torch.randn(2, 32, 3, 3, dtype=torch.float64)
    before = act(x)
    fused = fuse_conv_bn(act)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    torch.testing.assert_close(fused(x), before)


def test_match_starts_with_the_same_beta_for_every_image():
    for norm_cfg in (dict(type='BN'), None):
        act = MetaAconC(32, init='match', norm_cfg=norm_cfg)
        beta = act.compute_beta(torch.randn(4, 32, 3, 3))
        torch.testing.assert_close(beta, torch.full((4, 32), 100.))


def test_an_init_cfg_of_the_parent_does_not_spoil_the_start():
    from mmengine.model import BaseModule

    class Block(BaseModule):

        def __init__(self):
            super().__init__(
                init_cfg=dict(type='Normal', layer='Conv2d', std=9.))
            self.act = MetaAconC(32, init='match', norm_cfg=None)

    block = Block()
    block.init_weights()
    assert not block.act.fc2.weight.any()
    assert block.act.fc1.weight.abs().max() < 1


def test_beta_scale_multiplies_the_sigmoid():
    act = randomized()
    x = torch.randn(2, 32, 3, 3, dtype=torch.float64)
    scaled = MetaAconC(32, beta_scale=5., init='paper').double().eval()
    scaled.load_state_dict(act.state_dict())
    torch.testing.assert_close(scaled.compute_beta(x),
                               5 * act.compute_beta(x))


@pytest.mark.parametrize('level', ['channel', 'layer', 'pixel'])
@pytest.mark.parametrize('memory_format', [
    torch.contiguous_format, torch.channels_last])
def test_the_kernel_computes_every_level(level, memory_format):
    act = MetaAconC(32, level=level, init='paper').eval()
    twin = copy.deepcopy(act).double()
    x = torch.randn(2, 32, 5, 6).contiguous(memory_format=memory_format)
    results = []
    for net, image in ((act, x), (twin, x.double())):
        image.requires_grad_()
        y = net(image)
        results.append([y, *torch.autograd.grad(
            y.square().sum(), [image, net.p1, net.p2])])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3,
                                   atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('level', ['channel', 'layer', 'pixel'])
def test_first_gradients_do_not_depend_on_create_graph(level, dtype):
    act = MetaAconC(32, level=level, init='paper').to(dtype).eval()
    x = torch.randn(2, 32, 3, 3, dtype=dtype, requires_grad=True)
    gradients = [
        torch.autograd.grad(act(x).square().sum(), [x, *act.parameters()],
                            create_graph=create)
        for create in (False, True)
    ]
    for plain, kept in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('level', ['layer', 'pixel'])
def test_float16_on_the_cpu(level):
    act = MetaAconC(32, level=level, init='paper')
    x = torch.randn(2, 32, 3, 3).half()
    values = x.double()
    beta = (values if level == 'pixel' else values.sum(
        (1, 2, 3), keepdim=True)).sigmoid()
    out = act(x)
    assert out.dtype == torch.float16
    torch.testing.assert_close(out.double(), expected(act, values, beta),
                               rtol=.01, atol=.01)


@pytest.mark.parametrize('level', ['channel', 'layer', 'pixel'])
def test_scripting(level):
    act = MetaAconC(32, level=level, init='paper').eval()
    x = torch.randn(2, 32, 3, 3)
    torch.testing.assert_close(torch.jit.script(act)(x), act(x))


@pytest.mark.parametrize('arguments, words', [
    (dict(r=0), 'r=0'), (dict(r=-2), 'r=-2'), (dict(r=1.5), 'r=1.5'),
    (dict(level='image'), "level='image'.*channel, layer, pixel"),
    (dict(beta_scale=0), 'beta_scale=0'),
    (dict(norm_cfg=dict(type='IN')), 'norm_cfg=.*IN'),
    (dict(norm_cfg=dict(type='BN1d')), r"'BN1d'.*cannot take the \(N, 16, 1"),
    (dict(norm_cfg=dict(type='BN3d')), 'BN3d.*use BN, GN, LN or None')])
def test_bad_arguments_are_named_when_building(arguments, words):
    with pytest.raises(ValueError, match=words):
        MetaAconC(8, **arguments)


def test_conv_module_binds_the_width():
    layer = ConvModule(3, 24, 1, act_cfg=dict(type='MetaAconC', r=4))
    assert layer.activate.num_channels == 24
    assert layer(torch.randn(2, 3, 4, 4)).shape == (2, 24, 4, 4)
