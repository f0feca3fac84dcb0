"""What an act_cfg asks for, and what is said of one that asks for nothing."""
from collections import Counter
from pathlib import Path

import mmdet.models
import pytest
import torch
import torch.nn as nn
from mmcv.cnn import build_activation_layer
from mmcv.cnn.bricks import Swish
from mmengine.config import Config
from mmengine.registry import MODELS
from override_cases import acons

from acon_mm import AconC, MetaAconC, swap_activations
from acon_mm.frelu import AconFReLU
from acon_mm.registry import override_builder

STOCK = Path(mmdet.__file__).parent / '.mim/configs'
# stock modules that take act_cfg themselves, and what they have by default
TAKERS = {
    'EfficientNet': (dict(arch='b0'), 'Swish'),
    'MobileNetV2': (dict(), 'ReLU6'),
    'CSPDarknet': (dict(), 'Swish'),
}
FPN = dict(in_channels=[8, 16], out_channels=8, num_outs=2)
KINDS = {'ReLU6': nn.ReLU6, 'SiLU': nn.SiLU, 'PReLU': nn.PReLU,
         'torch.nn.Mish': nn.Mish, 'Swish': Swish, 'AconC': AconC,
         nn.SiLU: nn.SiLU}


@pytest.fixture(autouse=True)
def detection(scope):
    scope('mmdet')


def build(name, **cfg):
    return MODELS.build(dict(type=f'acon_mm.{name}', **cfg))


def count(model, kind):
    return sum(type(m) is kind for m in model.modules())


@pytest.mark.parametrize('act', ['SiLU', 'PReLU', 'torch.nn.Mish', 'AconC',
                                 nn.SiLU])
@pytest.mark.parametrize('name', ['ResNet', *TAKERS])
def test_an_activation_that_is_asked_for_is_placed(name, act):
    cfg, own = TAKERS.get(name, (dict(depth=18), 'ReLU'))
    model = build(name, act_cfg=dict(type=act), placement='all', **cfg)
    assert count(model, KINDS[act]) > 10
    assert not count(model, MetaAconC)
    # a ResNet's block keeps the module that its calls shared
    assert own == 'ReLU' or not count(model, KINDS[own])


class Telling(nn.Sequential):
    """Its default is None, which it takes for ReLU."""

    def __init__(self, act_cfg=None):
        super().__init__(nn.Conv2d(3, 4, 3), build_activation_layer(
            act_cfg or dict(type='ReLU')))


@pytest.mark.parametrize('asked, placed', [
    ('ReLU', MetaAconC), ('torch.nn.ReLU', MetaAconC), ('SiLU', nn.SiLU)])
def test_where_the_default_is_none_what_is_built_is_its_own(asked, placed):
    build = override_builder(Telling, 'Telling')
    model = build(act_cfg=dict(type=asked), placement='all')
    assert type(model[1]) is placed


def test_it_is_placed_where_placement_says():
    model = build('MobileNetV2', act_cfg=dict(type='SiLU'),
                  placement=['layer7.*'])
    assert count(model.layer7, nn.SiLU) == 2 == count(model, nn.SiLU)
    assert count(model, nn.ReLU6) > 10


@pytest.mark.parametrize('placement', [{}, dict(placement='all')])
@pytest.mark.parametrize('name', TAKERS)
def test_what_a_base_config_carried_along_is_the_modules_own(
        name, placement, log):
    cfg, own = TAKERS[name]
    model = build(name, act_cfg=dict(type=own), **placement, **cfg)
    assert count(model, MetaAconC) > 10
    said = '\n'.join(log)
    assert f"{name}: act_cfg of type '{own}', its default, is its own" in said
    assert f'{own} -> MetaAconC' in said


def test_the_log_says_what_was_placed(log):
    build('CSPDarknet', act_cfg=dict(type='SiLU'))
    said = '\n'.join(log)
    assert 'Swish -> SiLU' in said and 'its own' not in said


def test_one_line_over_a_stock_config_places_meta_acon():
    """YOLOX and RTMDet have act_cfg of their backbones in their configs."""
    for path, name in (('yolox/yolox_s_8xb8-300e_coco.py', 'CSPDarknet'),
                       ('rtmdet/rtmdet_s_8xb32-300e_coco.py', 'CSPNeXt')):
        cfg = Config.fromfile(STOCK / path)
        backbone = dict(cfg.model.backbone, type=f'acon_mm.{name}',
                        init_cfg=None)
        assert 'act_cfg' in backbone
        model = MODELS.build(backbone)
        assert count(model, MetaAconC) > 10


def test_other_arguments_of_its_own_activation_stay():
    model = build('Darknet', depth=53,
                  act_cfg=dict(type='LeakyReLU', negative_slope=0.2))
    assert {act.start.p2 for act in acons(model).values()} == {0.2}


def test_a_module_that_demands_an_act_cfg_gets_one(scope):
    """mmseg's STDCNet has no default; its configs say ReLU."""
    scope('mmseg')
    cfg = dict(stdc_type='STDCNet1', in_channels=3, norm_cfg=dict(type='BN'),
               channels=(8, 16, 32, 64, 128), bottleneck_type='cat')
    for act, kind in (('ReLU', MetaAconC), ('AconC', AconC)):
        assert count(build('STDCNet', act_cfg=dict(type=act), **cfg),
                     kind) > 10


def test_the_scope_of_a_type_makes_no_other_type():
    model = build('CSPNeXt', act_cfg=dict(type='mmdet.SiLU', inplace=True))
    assert count(model, MetaAconC) > 10


@pytest.mark.parametrize('act_cfg', [None, 'AconC', '', [], 0])
@pytest.mark.parametrize('name', ['ResNet', 'CSPDarknet', 'TFNet',
                                  'MobileNetV1'])
def test_an_act_cfg_that_is_no_dict_says_what_to_write(name, act_cfg):
    cfg = dict(depth=18) if name == 'ResNet' else {}
    with pytest.raises(TypeError, match='must be a dict: write act_cfg=dict'
                       r"\(type='acon_mm.MetaAconC'\)"):
        build(name, act_cfg=act_cfg, **cfg)


def test_swapping_without_act_cfg_is_meta_acon_and_an_empty_text_is_not():
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    with pytest.raises(TypeError, match="act_cfg='' must be a dict"):
        swap_activations(layers, '', 'all')
    swap_activations(layers, None, 'all')
    assert type(layers[1]) is MetaAconC


@pytest.mark.parametrize('act, key, nearest', [
    ('AconC', 'initt', 'init'), ('MetaAconC', 'norm', 'norm_cfg'),
    ('MetaAconC', 'levle', 'level'), ('AconA', 'channeldim', 'channel_dim'),
    ('AconFReLU', 'strides', 'stride'), ('AconC', 'num_channel',
                                         'num_channels'),
])
def test_a_misspelt_key_is_named_with_the_nearest(act, key, nearest):
    message = f"'{key}' is no key of {act}: did you mean '{nearest}'"
    for build_one in (
            lambda: build('ResNet', depth=18,
                          act_cfg={'type': act, key: 1}),
            lambda: MODELS.build({'type': act, 'num_channels': 4, key: 1})):
        with pytest.raises(ValueError, match=message) as error:
            build_one()
        assert '\n' not in str(error.value)


# of MMCV's activations, and of a provided config whose type is changed
@pytest.mark.parametrize('inherited', [
    dict(inplace=True), dict(negative_slope=0.1), dict(num_parameters=1),
    dict(lower=.1, upper=.3), dict(alpha=1.), dict(approximate='tanh'),
    dict(bias=3., divisor=6., min_value=0., max_value=1.),
    dict(min=-1., max=1.), dict(norm_cfg=None), dict(r=8, level='layer'),
    dict(beta_scale=2.), dict(stride=1)])
def test_keys_that_configs_inherit_are_accepted(inherited):
    for act in ('AconA', 'AconB', 'AconC'):
        plain = MODELS.build(dict(type=act, num_channels=4, init='match'))
        merged = MODELS.build(
            dict(type=act, num_channels=4, init='match', **inherited))
        x = torch.randn(2, 4, 3, 3)
        assert torch.equal(merged(x), plain(x))


def test_a_provided_config_takes_another_member_of_the_family():
    """``--cfg-options model.backbone.act_cfg.type=AconC``, as README says."""
    cfg = dict(type='MetaAconC', r=8, norm_cfg=None)
    model = build('ResNet', depth=18, act_cfg=dict(cfg, type='AconC'))
    assert count(model, AconC) == 16
    net = build('TFNet', widen_factor=.5, act_cfg=dict(cfg, type='AconFReLU',
                                                       norm_cfg=dict(
                                                           type='BN')))
    assert count(net, AconFReLU) > 10


@pytest.mark.parametrize('act_cfg, written', [
    ({}, 'acon_mm.MetaAconC'),
    (dict(act_cfg=dict(type='AconC')), 'acon_mm.AconC'),
    (dict(act_cfg=dict(type='acon_mm.AconC')), 'acon_mm.AconC'),
    (dict(act_cfg=dict(type='SiLU')), 'SiLU'),
    (dict(act_cfg=None), 'acon_mm.MetaAconC'),
])
@pytest.mark.parametrize('name', ['FPN', 'mmdet.FPN'])
def test_what_the_hint_for_a_neck_without_activations_says_works(
        name, act_cfg, written):
    hint = f"write type='{name}', act_cfg=dict(type='{written}')"
    with pytest.raises(ValueError) as error:
        build(name, placement='all', **FPN, **act_cfg)
    assert hint in str(error.value)
    neck = MODELS.build(dict(type=name, act_cfg=dict(type=written), **FPN))
    kinds = Counter(type(m).__name__ for m in neck.modules())
    assert kinds[written.rpartition('.')[2]] == 4


def test_an_activation_of_mmcv_is_sent_to_mmcv():
    with pytest.raises(ValueError, match="'acon_mm.SiLU' is an activation.*"
                       "write type='SiLU'"):
        build('ResNet', depth=18, act_cfg=dict(type='acon_mm.SiLU'))
