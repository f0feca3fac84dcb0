"""The start that the override gives survives ``model.init_weights()``."""
import pytest
import torch
import torch.nn as nn
from mmengine.model import BaseModule, Sequential
from mmengine.registry import MODELS

from acon_mm import AconC, MetaAconC
from acon_mm.activations import AconBase


def acons(model):
    return [m for m in model.modules() if isinstance(m, AconBase)]


@pytest.mark.parametrize('scope_name, cfg', [
    ('mmdet', dict(type='MobileNetV2', widen_factor=0.25)),
    ('mmdet', dict(type='ResNet', depth=18)),
    ('mmseg', dict(type='ResNetV1c', depth=18)),
    ('mmseg', dict(type='MobileNetV3', arch='small')),
    ('mmdet', dict(type='RPNHead', in_channels=4, feat_channels=4,
                   num_convs=2))])
def test_beta_starts_the_same_for_every_image(scope, scope_name, cfg):
    scope(scope_name)
    model = MODELS.build(dict(cfg, type=f'acon_mm.{cfg["type"]}',
                              placement='all'))
    model.init_weights()
    assert acons(model)
    for act in acons(model):
        x = torch.randn(4, act.num_channels, 2, 2)
        beta = act.train().compute_beta(x)
        torch.testing.assert_close(
            beta, torch.full_like(beta, act.start.beta))
        assert (act.p1 == 1).all()


def test_a_parents_init_cfg_passes_the_beta_net_by():
    torch.manual_seed(0)
    model = Sequential(
        nn.Conv2d(3, 8, 1), MetaAconC(8), AconC(8),
        init_cfg=dict(type='Constant', val=3., layer=['Conv2d',
                                                      'BatchNorm2d']))
    model.init_weights()
    assert (model[0].weight == 3).all()
    assert (model[1].bn1.weight == 1).all()
    assert not (model[1].fc1.weight == 3).any()


def test_somebodys_own_function_reaches_the_beta_net():
    act = MetaAconC(8)
    act.apply(lambda m: nn.init.constant_(m.weight, 2.) if isinstance(
        m, nn.Conv2d) else None)
    assert (act.fc1.weight == 2).all()


def test_a_checkpoint_of_init_cfg_is_kept(tmp_path):

    class Net(BaseModule):

        def __init__(self, init_cfg=None):
            super().__init__(init_cfg)
            self.conv, self.act = nn.Conv2d(3, 8, 1), MetaAconC(8)

    trained = Net()
    for parameter in trained.parameters():
        nn.init.constant_(parameter, 0.5)
    torch.save(trained.state_dict(), tmp_path / 'a.pth')
    model = Net(dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth')))
    model.init_weights()
    assert all((p == 0.5).all() for p in model.parameters())
