"""The override on stock backbones and heads beyond the ResNet family."""
import copy
import pickle

import pytest
import torch
import torch.nn as nn
from mmcv.cnn import fuse_conv_bn
from mmengine.model import ExponentialMovingAverage
from mmengine.model.efficient_conv_bn_eval import (
    turn_on_efficient_conv_bn_eval,
)
from mmengine.registry import MODELS
from override_cases import acons
from torch.nn.parallel import DistributedDataParallel

from acon_mm import swap_activations
from acon_mm.override.per_width import ActPerWidth
from acon_mm.starts import Start

ACON_C = dict(type='AconC')
HRNET = dict(
    stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK',
                num_blocks=(1, ), num_channels=(4, )),
    stage2=dict(num_modules=1, num_branches=2, block='BASIC',
                num_blocks=(1, 1), num_channels=(4, 6)),
    stage3=dict(num_modules=1, num_branches=3, block='BASIC',
                num_blocks=(1, 1, 1), num_channels=(4, 6, 8)),
    stage4=dict(num_modules=1, num_branches=4, block='BASIC',
                num_blocks=(1, 1, 1, 1), num_channels=(4, 6, 8, 10)))
IMAGE_BACKBONES = {
    'mmdet.HRNet': dict(extra=HRNET),
    'mmdet.Res2Net': dict(depth=50, base_channels=16),
    'mmdet.CSPDarknet': dict(widen_factor=0.125, deepen_factor=0.33),
    'mmdet.SwinTransformer': dict(
        embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2)),
    'mmdet.PyramidVisionTransformerV2': dict(
        embed_dims=8, num_layers=[1, 1, 1, 1]),
    'mmseg.MixVisionTransformer': dict(embed_dims=8, num_layers=[1, 1, 1, 1]),
    'mmseg.ERFNet': {},
    'mmseg.DDRNet': dict(channels=8, ppm_channels=8),
    'mmseg.PIDNet': dict(channels=8, ppm_channels=8, num_stem_blocks=1,
                         num_branch_blocks=1),
    'mmseg.CGNet': {},
    'mmseg.MobileNetV3': dict(arch='small'),
    'mmseg.UNet': dict(base_channels=4),
}


def build(name, act_cfg=ACON_C, **kwargs):
    return MODELS.build(dict(type=f'acon_mm.{name}', act_cfg=act_cfg,
                             **kwargs))


def total(outputs):
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    return sum(total(o) if isinstance(o, (tuple, list)) else o.square().mean()
               for o in outputs)


@pytest.mark.parametrize('placement', ['paper', 'all'])
@pytest.mark.parametrize('name', IMAGE_BACKBONES)
def test_every_parameter_of_a_backbone_gets_a_gradient(scope, name,
                                                       placement):
    scope(name.partition('.')[0])
    model = build(name, placement=placement, **IMAGE_BACKBONES[name])
    model.train()
    total(model(torch.randn(2, 3, 64, 64))).backward()
    assert acons(model)
    for path, act in acons(model).items():
        for parameter in act.parameters():
            assert parameter.grad is not None, path
            assert parameter.grad.isfinite().all(), path


def test_tokens_and_maps_have_their_channels_in_different_dimensions():
    swin = build('mmdet.SwinTransformer',
                 **IMAGE_BACKBONES['mmdet.SwinTransformer'])
    mit = build('mmseg.MixVisionTransformer',
                **IMAGE_BACKBONES['mmseg.MixVisionTransformer'])
    assert {act.channel_dim for act in acons(swin).values()} == {-1}
    assert {act.channel_dim for act in acons(mit).values()} == {1}


def hrnet(**kwargs):
    model = build('mmdet.HRNet', extra=HRNET, placement='all', **kwargs)
    model.eval()
    return model


def test_a_call_that_serves_all_branches_has_an_act_for_each_width():
    model = hrnet()
    assert set(model.stage4[0].relu.acts) == {'4', '6', '8', '10'}
    image = torch.randn(1, 3, 64, 64)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(image)[-1], model(image)[-1])
    fresh = hrnet()
    nn.init.normal_(model.stage4[0].relu.acts['10'].p1)
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(fresh(image)[-1], model(image)[-1])


def test_it_computes_what_the_stock_backbone_does():
    stock = MODELS.build(dict(
        type='mmdet.HRNet', extra=HRNET, norm_eval=False)).double()
    model = hrnet(norm_eval=False).double()
    model.load_state_dict(stock.state_dict(), strict=False)
    for act in acons(model).values():
        act.start_like(Start(beta=1e7))
    model.train()
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    for ours, theirs in zip(model(image), stock(image), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_ddp_finds_no_unused_parameters(tmp_path):
    model = hrnet()
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(
            name.startswith(path) for path in acons(model))
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path / "store"}', rank=0,
        world_size=1)
    try:
        ddp = DistributedDataParallel(model)
        for _ in range(2):  # the second refuses what the first left unused
            total(ddp(torch.randn(1, 3, 64, 64))).backward()
        assert all(p.grad is not None for p in ddp.parameters()
                   if p.requires_grad)
    finally:
        torch.distributed.destroy_process_group()


def test_moving_averages_follow_the_new_parameters():
    model = hrnet()
    average = ExponentialMovingAverage(model, momentum=0.5)
    for act in acons(model).values():
        nn.init.constant_(act.p1, 3.)
    average.update_parameters(model)  # the first is a copy
    for act in acons(model).values():
        nn.init.constant_(act.p1, 1.)
    average.update_parameters(model)
    assert {act.p1[0].item() for act in acons(average.module).values()} == {
        2.}
    average(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize('act', ['AconC', 'MetaAconC'])
def test_fusing_norms_changes_nothing(act):
    model = hrnet(act_cfg=dict(type=act))
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.)
            nn.init.uniform_(norm.weight, 0.5, 2.)
    image = torch.randn(1, 3, 64, 64)
    expected = model(image)
    fused = fuse_conv_bn(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    for ours, theirs in zip(fused(image), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_the_override_leaves_no_trace_but_the_activations():
    model = MODELS.build(dict(type='mmdet.HRNet', extra=HRNET))
    model.train()  # norm_eval
    model.stage2.eval()
    model.bn1.train()
    modes = {n: m.training for n, m in model.named_modules()}
    state = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    swap_activations(model, dict(ACON_C, init='match'), [
        'stage?.0.relu', 'layer1.*.act?', 'stage2.*.act?'])
    assert torch.rand(1) == expected
    for name, module in model.named_modules():
        if name in modes and not isinstance(module, ActPerWidth):
            assert module.training == modes[name], name
    for name, tensor in state.items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_norms_inside_activations_follow_norm_eval():
    model = MODELS.build(dict(type='mmdet.ResNet', depth=18))
    model.train()
    model.layer2.eval()
    swap_activations(model)
    assert not model.layer1[0].act1.bn1.training
    assert model.layer1[0].act1.training
    assert not model.layer2[0].act1.training


def test_a_second_override_finds_nothing_more_in_any_model():
    model = hrnet()
    report = swap_activations(model, ACON_C, 'all')
    assert {entry.reason for entry in report.left} == {
        'already there', 'never called'}  # the ReLU whose calls have seats
    assert {entry.path for entry in report.left} >= {'stage4.0.relu'}
    assert not any('.acts.' in entry.path for entry in report.left)
    assert str(report).startswith('HRNet: nothing swapped; left ')
    block = model.layer1[0]
    assert swap_activations(block, ACON_C, 'all').model == 'Bottleneck'


def test_where_the_whole_does_not_run_its_parts_do():
    model = MODELS.build(dict(type='mmdet.ResNet', depth=18))
    model.forward = None
    report = swap_activations(model, ACON_C, 'all')
    assert len(report.swapped) == 16
    assert [(e.path, e.reason) for e in report.left] == [
        ('relu', 'its width is not to be seen')]


def test_frozen_activations_keep_their_statistics():
    model = build('mmdet.ResNet', dict(type='MetaAconC'), depth=18,
                  frozen_stages=4, norm_eval=False, placement='all')
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model(torch.randn(2, 3, 64, 64))
    assert not any(p.requires_grad for p in model.parameters())
    changed = {k for k, v in model.state_dict().items()
               if not torch.equal(v, before[k])}
    stock = MODELS.build(dict(type='mmdet.ResNet', depth=18, frozen_stages=4,
                              norm_eval=False))
    assert changed <= stock.state_dict().keys()


@pytest.mark.parametrize('act', ['AconC', 'MetaAconC'])
@pytest.mark.parametrize('training', [True, False])
def test_a_symbolic_trace_computes_the_same(act, training):
    model = build('mmdet.ResNet', dict(type=act), depth=18, norm_eval=False,
                  placement='all')
    model.train(training)
    traced, image = torch.fx.symbolic_trace(model), torch.randn(2, 3, 64, 64)
    for ours, theirs in zip(traced(image), model(image), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('act', ['AconC', 'MetaAconC'])
def test_convolutions_take_the_norms_behind_them(act):
    model = nn.Module()
    model.backbone = build('mmdet.ResNet', dict(type=act), depth=18,
                           placement='all')
    model.backbone.train()  # its norms apply their statistics
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -1, 1)
            nn.init.uniform_(norm.running_var, .5, 2)
    image, norms = torch.randn(2, 3, 64, 64), []
    expected = model.backbone(image)
    turn_on_efficient_conv_bn_eval(model, 'backbone')
    handles = [m.register_forward_hook(lambda *_: norms.append(1))
               for m in model.modules()
               if isinstance(m, nn.BatchNorm2d)]
    for ours, theirs in zip(model.backbone(image), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert handles and not norms
    sum(out.square().sum() for out in model.backbone(image)).backward()
    assert all(p.grad is not None for act in acons(model).values()
               for p in act.parameters() if p.requires_grad)


def test_frozen_norms_do_not_freeze_the_activations():
    model = build('mmdet.ResNet', depth=50, frozen_stages=1,
                  norm_cfg=dict(type='BN', requires_grad=False))
    for path, act in acons(model).items():
        assert act.p1.requires_grad != path.startswith('layer1'), path


def test_fully_connected_heads(scope):
    scope('mmdet')  # of its box coder
    head = build('mmdet.Shared2FCBBoxHead', in_channels=4, roi_feat_size=1,
                 fc_out_channels=6, num_classes=2, placement='all')
    # its cls_fcs and reg_fcs are empty, so one call of three runs
    assert {n: a.num_channels for n, a in acons(head).items()} == {'relu': 6}
    total(head(torch.randn(3, 4, 1, 1))).backward()
    assert head.relu.p1.grad.isfinite().all()
