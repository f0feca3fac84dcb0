"""The override on the ResNet family: seats, weights, training modes."""
import copy
import pickle

import pytest
import torch
from mmdet.models.backbones.resnet import Bottleneck
from mmengine.registry import MODELS
from override_cases import acons

from acon_mm import AconC, MetaAconC, swap_activations
from acon_mm.starts import Start

BLOCKS = {18: 8, 34: 16, 50: 16, 101: 33, 152: 50}
FAMILY = [('mmdet', 'ResNet'), ('mmdet', 'ResNetV1d'), ('mmdet', 'ResNeXt'),
          ('mmseg', 'ResNet'), ('mmseg', 'ResNetV1c'),
          ('mmseg', 'ResNetV1d'), ('mmseg', 'ResNeXt')]


def build(name, depth=50, **kwargs):
    if 'ResNeXt' in name:
        kwargs.update(groups=8, base_width=4)
    return MODELS.build(dict(type=name, depth=depth, **kwargs))


@pytest.mark.parametrize('depth', BLOCKS)
def test_paper_placement(scope, depth):
    scope('mmdet')
    found = acons(build('acon_mm.ResNet', depth))
    seats = ['act1', 'act2'] if depth < 50 else ['act2']
    assert [name.rpartition('.')[2] for name in found] == (
        seats * BLOCKS[depth])
    widths = {name.split('.')[0]: act.num_channels
              for name, act in found.items()}
    assert widths == dict(layer1=64, layer2=128, layer3=256, layer4=512)


@pytest.mark.parametrize('depth', [18, 50])
def test_all_placement(scope, depth):
    scope('mmdet')
    found = acons(build('acon_mm.ResNet', depth, placement='all'))
    seats, last = (2, 512) if depth < 50 else (3, 2048)
    assert len(found) == 1 + seats * BLOCKS[depth]
    assert found['relu'].num_channels == 64
    assert found[f'layer4.0.act{seats}'].num_channels == last


@pytest.mark.parametrize('scope_name, name', FAMILY)
@pytest.mark.parametrize('placement', ['paper', 'all'])
def test_stock_weights_load_and_start_the_same_function(
        scope, scope_name, name, placement):
    scope(scope_name)
    stock = build(name, norm_eval=False).double()
    model = build(f'acon_mm.{name}', placement=placement, norm_eval=False,
                  act_cfg=dict(type='AconC')).double()
    assert isinstance(model, type(stock))
    keys = model.load_state_dict(stock.state_dict(), strict=False)
    assert not keys.unexpected_keys
    assert {k.rpartition('.')[2] for k in keys.missing_keys} == {
        'p1', 'p2', 'beta'}
    assert len(keys.missing_keys) == 3 * len(acons(model))
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    for act in acons(model).values():  # so near ReLU that errors stand out
        act.start_like(Start(beta=1e7))
    for ours, theirs in zip(model(image), stock(image), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_default_start_stays_near_relu(scope):
    scope('mmdet')
    # one stage: a random deep network makes any difference large
    shallow = dict(norm_eval=False, num_stages=1, strides=(1, ),
                   dilations=(1, ), out_indices=(0, ))
    stock = build('ResNet', **shallow)
    model = build('acon_mm.ResNet', **shallow)
    model.load_state_dict(stock.state_dict(), strict=False)
    images = torch.randn(4, 3, 64, 64)
    ours, theirs = model(images)[0], stock(images)[0]
    assert (ours - theirs).abs().mean() < 0.01 * theirs.std()


def test_frozen_stages_freeze_the_new_parameters(scope):
    scope('mmdet')
    model = build('acon_mm.ResNet', frozen_stages=2, placement='all')
    for name, act in acons(model).items():
        frozen = not name.startswith(('layer3', 'layer4'))
        assert all(p.requires_grad != frozen for p in act.parameters()), name
    model.train()
    assert not any(
        p.requires_grad for p in model.layer2[0].act2.parameters())


def test_norm_eval_and_with_cp(scope):
    scope('mmdet')
    plain = build('acon_mm.ResNet', norm_eval=True)
    saving = build('acon_mm.ResNet', norm_eval=True, with_cp=True)
    saving.load_state_dict(plain.state_dict())
    plain.train()
    saving.train()
    assert not plain.layer1[0].act2.bn1.training
    image = torch.randn(2, 3, 32, 32, requires_grad=True)
    grads = []
    for model in (plain, saving):
        model(image)[-1].square().sum().backward()
        grads.append([p.grad for p in model.layer3[1].act2.parameters()])
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_plugins_dcn_and_dilation(scope):
    scope('mmdet')
    model = build(
        'acon_mm.ResNet', placement='all', dilations=(1, 1, 1, 2),
        strides=(1, 2, 2, 1),
        dcn=dict(type='DCN', deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
        plugins=[dict(cfg=dict(type='ContextBlock', ratio=1. / 4),
                      stages=(False, True, False, False),
                      position='after_conv3')])
    block = model.layer2[0]
    assert [block.act1.num_channels, block.act2.num_channels,
            block.act3.num_channels] == [128, 128, 512]
    assert model(torch.randn(1, 3, 64, 64))[-1].shape == (1, 2048, 4, 4)


def test_blocks_stay_stock_blocks_through_copies_and_pickles(scope):
    scope('mmdet')
    model = build('acon_mm.ResNet')
    model.eval()
    image = torch.randn(1, 3, 32, 32)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert isinstance(twin.layer1[0], Bottleneck)
        torch.testing.assert_close(twin(image)[-1], model(image)[-1])
    torch.nn.init.zeros_(twin.layer1[0].act2.p1)
    assert model.layer1[0].act2.p1.any()


def test_every_new_parameter_gets_a_gradient(scope):
    scope('mmdet')
    model = build('acon_mm.ResNet', 18, placement='all', frozen_stages=-1)
    model(torch.randn(2, 3, 32, 32))[-1].square().mean().backward()
    for name, act in acons(model).items():
        for parameter in act.parameters():
            assert torch.isfinite(parameter.grad).all(), name


def test_device_dtype_and_mode_follow_the_model(scope):
    scope('mmdet')
    model = build('ResNet', 18).double()
    model.eval()  # mmdet's returns None
    swap_activations(model)
    act = model.layer1[0].act1
    assert act.p1.dtype == torch.float64 and not act.bn1.training


def test_patterns_choose_paths(scope):
    scope('mmdet')
    model = build('ResNet')
    report = swap_activations(model, dict(type='AconC'),
                              ['layer4.?.act2', 'relu'])
    assert [s.path for s in report.swapped] == [
        'relu', 'layer4.0.act2', 'layer4.1.act2', 'layer4.2.act2']
    assert [s.width for s in report.swapped] == [64, 512, 512, 512]
    assert len(report.left) == 49 - 4


def test_a_whole_model_is_swapped_in_its_backbone(scope):
    scope('mmdet')
    from mmengine.config import Config
    from mmengine.hub import get_config
    stock = get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model
    model = MODELS.build(Config(dict(stock, type='acon_mm.RetinaNet')))
    assert set(acons(model)) == {
        f'backbone.{name}' for name in acons(build('acon_mm.ResNet'))}
    everywhere = MODELS.build(Config(dict(
        stock, type='acon_mm.RetinaNet', placement='all')))
    heads = [n for n in acons(everywhere) if n.startswith('bbox_head.')]
    assert len(heads) == 8 and 'bbox_head.relu' not in heads


def test_the_log_says_once_what_was_done(scope, caplog):
    scope('mmdet')
    report = swap_activations(build('ResNet'))
    assert str(report).startswith('ResNet: 16 x ReLU -> MetaAconC; left 33')


def test_a_second_override_changes_nothing_more(scope):
    scope('mmdet')
    model = build('acon_mm.ResNet', act_cfg=dict(type='AconC'))
    before = {n: id(a) for n, a in acons(model).items()}
    report = swap_activations(model, dict(type='MetaAconC'), 'all')
    after = acons(model)
    assert all(id(after[n]) == i for n, i in before.items())
    assert len(after) == 49 and len(report.swapped) == 33
    assert {type(a) for a in after.values()} == {AconC, MetaAconC}


@pytest.mark.parametrize('placement', ['papier', [], ['layer9.*'], [3]])
def test_a_placement_that_matches_nothing_is_an_error(scope, placement):
    scope('mmdet')
    with pytest.raises(ValueError, match='placement='):
        build('acon_mm.ResNet', 18, placement=placement)


def test_a_module_without_activations_is_an_error(scope):
    scope('mmdet')
    with pytest.raises(ValueError, match='FPN: it has none.*act_cfg'):
        MODELS.build(dict(type='acon_mm.FPN', in_channels=[8],
                          out_channels=8, num_outs=1))


@pytest.mark.parametrize('act', ['Swish', 'PReLU'])
def test_baselines_take_the_same_seats(scope, act):
    scope('mmdet')
    model = build('acon_mm.ResNet', act_cfg=dict(type=act))
    assert type(model.layer1[0].act2).__name__ == act
    if act == 'PReLU':
        assert model.layer3[0].act2.num_parameters == 256
