"""What ``type='acon_mm.X'`` means, and how an activation gets its width."""
import subprocess
import sys

import pytest
import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmdet.models import FPN
from mmdet.models import ResNet as MMDetResNet
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.registry import MODELS as ROOT_MODELS
from mmseg.models import ResNet as MMSegResNet

from acon_mm import AconC, MetaAconC
from acon_mm.registry import MODELS


def acons(model):
    return [m for m in model.modules() if isinstance(m, (AconC, MetaAconC))]


def test_the_scope_needs_no_import():
    code = ('from mmengine.registry import MODELS, init_default_scope\n'
            "init_default_scope('mmdet')\n"
            "net = MODELS.build(dict(type='acon_mm.ResNet', depth=18))\n"
            "act = MODELS.build(dict(type='acon_mm.AconC', num_channels=3))\n"
            'print(type(net.layer1[0].act1).__name__, act.num_channels)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True,
                          text=True, check=True)
    assert done.stdout.splitlines()[-1] == 'MetaAconC 3'


@pytest.mark.parametrize('name, stock', [('mmdet', MMDetResNet),
                                         ('mmseg', MMSegResNet)])
def test_stock_names_are_looked_up_in_the_default_scope(scope, name, stock):
    scope(name)
    model = ROOT_MODELS.build(dict(type='acon_mm.ResNet', depth=18))
    assert isinstance(model, stock) and len(acons(model)) == 16


def test_a_scope_can_be_named(scope):
    scope('mmseg')
    model = ROOT_MODELS.build(dict(type='acon_mm.mmdet.ResNet', depth=18))
    assert isinstance(model, MMDetResNet)


def test_names_of_the_scope_itself(scope):
    scope('mmdet')
    assert MMDET_MODELS.get('acon_mm.AconC') is AconC
    assert ROOT_MODELS.get('AconC') is AconC
    assert MODELS.get('MetaAconC') is MetaAconC


def test_act_cfg_and_placement_are_taken_from_the_config(scope):
    scope('mmdet')
    model = ROOT_MODELS.build(dict(
        type='acon_mm.ResNet', depth=50, act_cfg=dict(type='AconC'),
        placement=['layer4.*']))
    assert {type(a) for a in acons(model)} == {AconC}
    assert len(acons(model)) == 9


def test_unknown_names_say_where_and_the_nearest(scope):
    scope('mmdet')
    with pytest.raises(KeyError, match='ResNit.*searched: mmdet.*acon_mm.Res'
                       'Net'):
        ROOT_MODELS.build(dict(type='acon_mm.ResNit', depth=18))


def test_a_missing_package_is_named(scope):
    scope('mmdet')
    with pytest.raises(ImportError, match='needs mmpose.*pip install mmpose'):
        ROOT_MODELS.build(dict(type='acon_mm.mmpose.RSN'))


def test_unknown_activations_name_the_nearest(scope):
    scope('mmdet')
    with pytest.raises(KeyError, match="'AconD'.*did you mean 'Acon[ABC]'"):
        ROOT_MODELS.build(dict(type='acon_mm.ResNet', depth=18,
                               act_cfg=dict(type='AconD')))


def test_a_neck_takes_the_activation_in_its_act_cfg():
    neck = FPN([8, 16], 24, 2, act_cfg=dict(type='acon_mm.AconC'))
    assert [a.num_channels for a in acons(neck)] == [24] * 4


@pytest.mark.parametrize('order, width', [
    (('conv', 'norm', 'act'), 24), (('act', 'conv', 'norm'), 8),
    (('norm', 'conv', 'act'), 24)])
def test_width_follows_the_order_of_a_conv_module(order, width):
    layer = ConvModule(8, 24, 1, order=order, norm_cfg=dict(type='BN'),
                       act_cfg=dict(type='AconC'))
    assert layer.activate.num_channels == width
    assert layer(torch.randn(1, 8, 2, 2)).shape == (1, 24, 2, 2)


def test_width_from_the_layers_before():
    layers = nn.Sequential(nn.Conv2d(3, 12, 1), nn.BatchNorm2d(12),
                           nn.Dropout(), AconC())
    assert layers[-1].num_channels == 12


def test_an_unknown_width_names_the_module_and_the_fix():

    class Odd(nn.Module):

        def __init__(self):
            super().__init__()
            self.bend = AconC()

    with pytest.raises(ValueError, match='Odd.bend.*num_channels=C'):
        Odd()


def test_one_activation_does_not_serve_two_widths():
    act = AconC(4)
    with pytest.raises(ValueError, match='4 channels.*8'):
        act.bind(8)


