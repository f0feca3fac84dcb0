"""The activations that the study compares, as they are written."""
import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from acon_mm import AconC, MetaAconC
from acon_mm.study.arms import parse_arm, put


@pytest.mark.parametrize('text, act_cfg', [
    ('ReLU', dict(type='ReLU')),
    ('AconC:init=leaky', dict(type='AconC', init='leaky')),
    ('AconC:p1=1,p2=.25,beta=3',
     dict(type='AconC', start=dict(p1=1, p2=.25, beta=3))),
    ('MetaAconC:init=leaky,norm_cfg=None,beta_scale=4.',
     dict(type='MetaAconC', init='leaky', norm_cfg=None, beta_scale=4.))])
def test_activations_are_read_as_written(text, act_cfg):
    arm = parse_arm(text)
    assert arm.name == text and arm.act_cfg == act_cfg
    assert '/' not in arm.folder and ':' not in arm.folder


@pytest.mark.parametrize('text', [':init=leaky', 'AconC:leaky', 'AconC:=1'])
def test_what_is_no_activation_is_named(text):
    with pytest.raises(ValueError, match=f'{text}.* is no activation: write'):
        parse_arm(text)


@pytest.mark.parametrize('given, expected', [
    ('ResNet', 'acon_mm.ResNet'), ('mmdet.ResNet', 'acon_mm.mmdet.ResNet'),
    ('acon_mm.ResNet', 'acon_mm.ResNet')])
def test_a_stock_backbone_becomes_the_overrides(given, expected):
    config = Config(dict(default_scope='mmseg', model=dict(
        backbone=dict(type=given))))
    put(parse_arm('ReLU'), config, 'all')
    assert config.model.backbone == dict(
        type=expected, act_cfg=dict(type='ReLU'), placement='all')


@pytest.mark.parametrize('arm, expected', [
    ('ReLU6', dict(type='MobileNetV2', act_cfg=dict(type='ReLU6'))),
    ('ReLU', dict(type='acon_mm.MobileNetV2', act_cfg=dict(type='ReLU'),
                  placement='all'))])
def test_an_arm_that_a_backbone_has_by_default_leaves_it(arm, expected):
    config = Config(dict(default_scope='mmdet', model=dict(
        backbone=dict(type='MobileNetV2'))))
    put(parse_arm(arm), config, 'all')
    assert config.model.backbone == expected


def test_an_arm_may_say_where_it_goes():
    config = Config(dict(default_scope='mmdet', model=dict(
        backbone=dict(type='ResNet'))))
    put(parse_arm('AconC:init=match,placement=paper'), config, 'all')
    assert config.model.backbone == dict(
        type='acon_mm.ResNet', act_cfg=dict(type='AconC', init='match'),
        placement='paper')


@pytest.mark.parametrize('arm, act', [
    ('MetaAconC', MetaAconC(4)), ('PReLU', nn.PReLU(4))],
    ids=['MetaAconC', 'PReLU'])
def test_slopes_may_learn_faster(arm, act):
    config = Config(dict(
        default_scope='mmdet', model=dict(backbone=dict(type='ResNet')),
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=.1, weight_decay=.2),
            paramwise_cfg=dict(bias_lr_mult=2.))))
    put(parse_arm(f'{arm}:lr_mult=10'), config, 'all')
    model = nn.ModuleDict(dict(conv=nn.Conv2d(3, 4, 1), act=act))
    groups = build_optim_wrapper(model, config.optim_wrapper).param_groups
    rates = {id(p): (round(group['lr'], 9), group['weight_decay'])
             for group in groups for p in group['params']}
    own = [p for _, p in act.named_parameters(recurse=False)]
    assert {rates.pop(id(p)) for p in own} == {(1., 0.)}
    assert rates[id(model.conv.bias)] == (.2, .2)
    assert max(rates.values()) == (.2, .2)
    assert config.model.backbone.act_cfg == dict(type=arm)


def test_one_of_the_three_may_be_fixed():
    config = Config(dict(
        default_scope='mmdet', model=dict(backbone=dict(type='ResNet')),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=.001))))
    put(parse_arm('AconC:lr_mult=10,fixed=beta'), config, 'all')
    model = nn.ModuleDict(dict(act=AconC(4), conv=nn.Conv2d(3, 4, 1)))
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    sum((p - 5).square().sum() for p in model.parameters()).backward()
    optimizer.step()
    act = model.act
    assert (act.beta == 1).all()
    assert (act.p1 > 1.009).all() and (act.p2 > .259).all()


@pytest.mark.parametrize('text, words', [
    ('AconC:fixed=bet', "fixed='bet' of .* must be one of p1, p2, beta"),
    ('ReLU:lr_mult=10', "'ReLU:lr_mult=10' has no slopes to learn"),
    ('GELU:lr_mult=10', "'GELU:lr_mult=10' has no slopes to learn"),
    ('AconC:lr_mult=fast', "lr_mult='fast' of .* must be a positive number"),
    ('AconC:lr_mult=0', 'lr_mult=0 of .* must be a positive number')])
def test_what_slopes_cannot_be_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse_arm(text)


def test_a_backbone_of_ours_has_no_placement():
    config = Config(dict(model=dict(backbone=dict(type='acon_mm.TFNet'))))
    put(parse_arm('ReLU'), config, 'all')
    assert config.model.backbone == dict(
        type='acon_mm.TFNet', act_cfg=dict(type='ReLU'))


def test_a_backbone_that_is_not_registered_is_named():
    config = Config(dict(default_scope='mmdet', model=dict(
        backbone=dict(type='ResNett'))))
    with pytest.raises(ValueError, match='did you mean acon_mm.ResNet'):
        put(parse_arm('ReLU'), config, 'all')


def test_a_config_without_a_backbone_is_refused():
    with pytest.raises(ValueError, match='has no model.backbone'):
        put(parse_arm('ReLU'), Config(dict(model=dict(type='X'))), 'all')
