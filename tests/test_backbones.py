"""The paper's backbones: shapes, switches, activations."""
import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.registry import MODELS
from torch.nn.modules.batchnorm import _BatchNorm

from acon_mm import AconC, MetaAconC
from acon_mm.backbones import MobileNetV1, SENet154, ShuffleNetV2, TFNet
from acon_mm.frelu import AconFReLU

SMALL = {
    ShuffleNetV2: dict(widen_factor=0.5),
    MobileNetV1: dict(widen_factor=0.25),
    TFNet: dict(widen_factor=0.5),
}
KINDS = list(SMALL)


@pytest.mark.parametrize(('kind', 'cfg', 'widths', 'strides'), [
    (ShuffleNetV2, dict(widen_factor=0.5), (48, 96, 192, 1024),
     (8, 16, 32, 32)),
    (ShuffleNetV2, dict(widen_factor=1.0), (116, 232, 464, 1024),
     (8, 16, 32, 32)),
    (ShuffleNetV2, dict(widen_factor=1.5), (176, 352, 704, 1024),
     (8, 16, 32, 32)),
    (ShuffleNetV2, dict(widen_factor=2.0), (244, 488, 976, 2048),
     (8, 16, 32, 32)),
    (MobileNetV1, dict(widen_factor=0.25), (16, 32, 64, 128, 256),
     (2, 4, 8, 16, 32)),
    (MobileNetV1, dict(widen_factor=1.0), (64, 128, 256, 512, 1024),
     (2, 4, 8, 16, 32)),
    (TFNet, dict(widen_factor=0.5), (16, 32, 64, 128, 1024),
     (4, 8, 16, 32, 32)),
    (TFNet, dict(widen_factor=2.0), (64, 128, 256, 512, 1024),
     (4, 8, 16, 32, 32)),
    (SENet154, dict(), (256, 512, 1024, 2048), (4, 8, 16, 32)),
])
def test_outputs(kind, cfg, widths, strides):
    net = kind(out_indices=range(len(widths)), **cfg).eval()
    with torch.no_grad():
        outs = net(torch.randn(1, 3, 64, 64))
    assert isinstance(outs, tuple)
    assert [tuple(out.shape) for out in outs] == [
        (1, width, 64 // stride, 64 // stride)
        for width, stride in zip(widths, strides, strict=True)
    ]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('last', [0, 2])
def test_every_parameter_gets_a_gradient(kind, last):
    net = kind(out_indices=(last, ), **SMALL[kind])
    net(torch.randn(2, 3, 64, 64))[0].square().sum().backward()
    assert not [n for n, p in net.named_parameters() if p.grad is None]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('act', [
    'ReLU', 'Swish', 'SiLU', 'PReLU', 'AconA', 'AconB', 'AconC', 'MetaAconC',
    'FReLU', 'AconFReLU'
])
def test_any_activation(kind, act):
    net = kind(out_indices=(1, ), act_cfg=dict(type=act), **SMALL[kind])
    net.init_weights()
    out = net(torch.randn(2, 3, 32, 32))[0]
    out.mean().backward()
    assert out.isfinite().all()


@pytest.mark.parametrize('kind', KINDS)
def test_frozen_stages_stay_as_they_are(kind):
    net = kind(frozen_stages=2, **SMALL[kind]).train()
    frozen = [net.conv1, *net.layers[:2]]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in net.parameters() if p.requires_grad], lr=0.1)
    sum(out.mean() for out in net(torch.randn(2, 3, 64, 64))).backward()
    optimizer.step()
    for module in frozen:
        assert not any(p.requires_grad for p in module.parameters())
        assert not any(m.training for m in module.modules())
    changed = {k for k, v in net.state_dict().items()
               if not torch.equal(v, before[k])}
    assert changed
    assert all(not k.startswith(('conv1', 'layers.0', 'layers.1'))
               for k in changed)


@pytest.mark.parametrize('kind', KINDS)
def test_norm_eval_reaches_the_activations(kind):
    net = kind(
        norm_eval=True, act_cfg=dict(type='MetaAconC'), **SMALL[kind]).train()
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm)]
    assert any('activate' in n or 'act' in n for n, m in net.named_modules()
               if isinstance(m, _BatchNorm))
    assert not any(norm.training for norm in norms)
    assert net.training


@pytest.mark.parametrize(('kind', 'cfg'), [
    *SMALL.items(), (SENet154, dict(out_indices=(0, )))])
def test_checkpointing_changes_nothing(kind, cfg):
    results = []
    for with_cp in (False, True):
        torch.manual_seed(1)
        net = kind(with_cp=with_cp, **cfg).double().eval()
        x = torch.randn(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
        net(x)[-1].square().mean().backward()
        results.append([p.grad for p in net.parameters()] + [x.grad])
    for plain, again in zip(*results, strict=True):
        torch.testing.assert_close(plain, again)


def test_even_channels_pass_a_shuffle_unit():
    unit = ShuffleNetV2(0.5, act_cfg=dict(type='ReLU')).layers[0][1].eval()
    x = torch.randn(1, 48, 5, 5)
    out = unit(x)
    assert torch.equal(out[:, :24], x[:, 0::2])
    assert torch.equal(out[:, 24:], unit.branch2(x[:, 1::2]))


def test_tfnet_is_made_of_acon_frelu():
    net = TFNet(0.5, out_indices=(4, ), norm_cfg=dict(type='SyncBN'))
    acts = [m for m in net.modules() if isinstance(m, AconFReLU)]
    assert len(acts) == 2 * (2 + 3 + 8 + 3) + 1
    assert sum(act.stride == 2 for act in acts) == 4
    assert all(isinstance(a.bn2, torch.nn.SyncBatchNorm) for a in acts)


def test_senet_has_acon_after_each_3x3_alone():
    net = SENet154()
    acts = [n for n, m in net.named_modules() if isinstance(m, AconC)]
    assert len(acts) == 3 + 8 + 36 + 3
    assert all(name.endswith('.conv2.activate') for name in acts)


def test_init_weights_leaves_the_activations_start_alone():
    net = ShuffleNetV2(0.5, act_cfg=dict(type='MetaAconC', init='match'))
    net.init_weights()
    metas = [m for m in net.modules() if isinstance(m, MetaAconC)]
    assert all((m.bn2.weight == 0).all() for m in metas)
    convs = [m for m in net.modules() if isinstance(m, ConvModule)]
    assert all((m.norm.weight == 1).all() for m in convs)


@pytest.mark.parametrize('scope_name', ['mmdet', 'mmseg'])
def test_configs_of_other_scopes_build_it(scope, scope_name):
    scope(scope_name)
    net = MODELS.build(dict(type='acon_mm.TFNet', widen_factor=0.5))
    assert type(net) is TFNet


@pytest.mark.parametrize(('kind', 'bad', 'message'), [
    (ShuffleNetV2, dict(widen_factor=0.75), 'widen_factor=0.75.*0.5, 1.0'),
    (MobileNetV1, dict(widen_factor=2), 'widen_factor=2.*0.25'),
    (TFNet, dict(widen_factor='0.5'), "widen_factor='0.5'"),
    (ShuffleNetV2, dict(out_indices=(0, 4)), r'out_indices=\(0, 4\).*0..3'),
    (TFNet, dict(out_indices=()), r'out_indices=\(\).*0..4'),
    (SENet154, dict(out_indices=(-1, )), r'out_indices=\(-1,\)'),
    (MobileNetV1, dict(frozen_stages=6), 'frozen_stages=6.*-1..5'),
    (ShuffleNetV2, dict(frozen_stages=-2), 'frozen_stages=-2'),
])
def test_bad_arguments_are_named(kind, bad, message):
    with pytest.raises(ValueError, match=message):
        kind(**bad)
