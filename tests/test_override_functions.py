"""Activations that are called as functions get seats too."""

import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS
from override_cases import all_gradients, swap


class Functions(nn.Module):

    def __init__(self, extra):
        super().__init__()
        self.extra = extra
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())

    def forward(self, x):
        x = nn.functional.gelu(self.layers(x))
        if self.extra:
            x = torch.relu(x).relu()
        return x


def test_functions_get_seats_too():
    model = Functions(extra=True)
    report = swap(model)
    assert [(e.path, e.old, e.width) for e in report.swapped] == [
        ('act1', 'gelu', 4), ('act2', 'relu', 4), ('act3', 'relu', 4),
        ('layers.1', 'ReLU', 4)]
    assert report.functional == []
    assert all_gradients(model, torch.randn(2, 3, 4, 4))
    assert len(swap(Functions(extra=False)).swapped) == 2


@pytest.mark.parametrize('extra', [True, False])
def test_fpn_has_a_seat_for_its_functional_relu(scope, extra):
    scope('mmdet')
    neck = MODELS.build(dict(
        type='FPN', in_channels=[4], out_channels=6, num_outs=3,
        act_cfg=dict(type='ReLU'), add_extra_convs='on_output',
        relu_before_extra_convs=extra))
    report = swap(neck)
    assert ('act1', 'relu', 6) in [
        (e.path, e.old, e.width) for e in report.swapped] or not extra
    assert hasattr(neck, 'act1') == extra


def outside(x):
    return nn.functional.relu(x)


class Outside(nn.Module):

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return outside(outside(self.conv(x)))


def test_a_function_in_code_of_no_module_is_told():
    report = swap(Outside())
    assert report.functional == [('outside', 'relu')] * 2
    assert 'not swapped, called as functions: relu in outside' in str(report)
