"""What the override says of bad input: one sentence and the way out."""
import pytest
import torch.nn as nn
from mmengine.registry import MODELS
from override_cases import acons

from acon_mm import swap_activations

RESNET = dict(type='acon_mm.ResNet', depth=18)


@pytest.fixture(autouse=True)
def mmdet(scope):
    scope('mmdet')


def one_sentence(error):
    text = str(error.value.args[0])
    return '\n' not in text and text[-1] in '.?'


@pytest.mark.parametrize('change, kind, words', [
    (dict(act_cfg='AconC'), TypeError,
     r"act_cfg='AconC' must be a dict: write act_cfg=dict\(type='acon_mm"),
    (dict(act_cfg=dict(type='BN')), TypeError,
     "'BN'.* does not build an activation: .*choose one such as"),
    (dict(act_cfg=dict(num_channels=7)), ValueError,
     'of 7 channels cannot serve a layer of 64: leave num_channels out'),
    (dict(placement=3), ValueError, "placement=3 is unknown: choose 'paper'"),
    (dict(placement=dict(a=1)), ValueError, 'placement={.*} is unknown'),
    (dict(placement=['layer4.*', 'layr3.*']), ValueError,
     "placement='layr3.*' matches no .* of ResNet: its activations are at"),
    (dict(type='acon_mm.numpy.ResNet'), KeyError,
     "'numpy' in .* is no package with a model registry: did you mean"),
    (dict(type='acon_mm.mmdat.ResNet'), KeyError,
     "'mmdat' in .* is no package .*: did you mean mmdet"),
])
def test_bad_values_are_named_while_building(change, kind, words):
    with pytest.raises(kind, match=words) as error:
        MODELS.build(dict(RESNET, **change))
    assert one_sentence(error)


def test_an_unknown_activation_is_named_where_the_stock_module_takes_one():
    with pytest.raises(KeyError, match="'AconD'.*did you mean 'Acon"):
        MODELS.build(dict(type='acon_mm.CSPDarknet',
                          act_cfg=dict(type='AconD')))


def test_an_act_cfg_without_a_type_is_meta_acons():
    model = MODELS.build(dict(RESNET, act_cfg=dict(r=8)))
    act = model.layer1[0].act1
    assert type(act).__name__ == 'MetaAconC' and act.r == 8


def test_an_act_cfg_that_a_base_class_takes_is_the_stock_modules(scope):
    scope('mmseg')
    head = MODELS.build(dict(
        type='acon_mm.LRASPPHead', in_channels=(4, 4, 8), in_index=(0, 1, 2),
        channels=8, branch_channels=(4, 4), num_classes=2,
        input_transform='multiple_select', act_cfg=dict(type='ReLU')))
    assert acons(head)


def test_paper_leaves_the_heads_of_a_backbone_without_activations():
    model = nn.ModuleDict(dict(backbone=nn.Conv2d(3, 4, 1),
                               head=nn.Sequential(nn.Conv2d(4, 4, 1),
                                                  nn.ReLU())))
    with pytest.raises(ValueError, match="'paper'.*activations are at head"):
        swap_activations(model)


@pytest.mark.parametrize('act', [nn.ELU(), nn.Softplus()])
def test_what_no_acon_is_like_is_named(act):
    name = type(act).__name__
    with pytest.raises(ValueError, match=(
            rf'that can be replaced: it has {name} \(ACON cannot')):
        swap_activations(nn.Sequential(nn.Linear(4, 4), act), placement='all')
