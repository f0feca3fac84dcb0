"""The start that the override gives, and what ``init_weights()`` leaves."""
import copy

import pytest
import torch
import torch.nn as nn
from mmengine.model import BaseModule, Sequential
from mmengine.registry import MODELS
from override_cases import acons

from acon_mm import AconC, MetaAconC, swap_activations
from acon_mm.override.kinds import start_of


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
    for act in acons(model).values():
        x = torch.randn(4, act.num_channels, 2, 2)
        beta = act.train().compute_beta(x)
        torch.testing.assert_close(
            beta, torch.full_like(beta, act.start.beta))
        assert (act.p1 == 1).all()


def test_a_parents_init_cfg_passes_the_beta_net_by():
    torch.manual_seed(0)
    model = Sequential(
        nn.Conv2d(3, 8, 1), MetaAconC(8, init='match'), AconC(8),
        init_cfg=dict(type='Constant', val=3., layer=['Conv2d',
                                                      'BatchNorm2d']))
    model.init_weights()
    assert (model[0].weight == 3).all()
    assert (model[1].bn1.weight == 1).all()
    assert not (model[1].fc1.weight == 3).any()


class Net(BaseModule):

    def __init__(self, init_cfg=None, init='match'):
        super().__init__(init_cfg)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 1), MetaAconC(8, init=init))


class Looping(BaseModule):
    """A head with an initialization of its own, such as YOLOFHead's."""

    def __init__(self, **kwargs):
        super().__init__()
        self.net = Net(**kwargs)

    def init_weights(self):
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 7.)


def test_a_loop_over_the_norms_of_a_head_passes_the_beta_net_by():
    model = Sequential(Looping())
    model.init_weights()
    act = model[0].net.layers[1]
    assert (act.bn1.weight == 1).all() and act.fc1.weight.std() > 0.1


def test_from_scratch_the_beta_net_is_initialized_with_the_model():
    model = Sequential(Looping(init='paper'))
    p1 = model[0].net.layers[1].p1.clone()
    model.init_weights()
    act = model[0].net.layers[1]
    assert (act.bn1.weight == 7).all() and act.fc1.weight.std() < 0.02
    assert (act.p1 == p1).all()


@pytest.fixture
def checkpoint(tmp_path):
    trained = Net()
    for parameter in trained.parameters():
        nn.init.constant_(parameter, 0.5)
    torch.save(trained.state_dict(), tmp_path / 'a.pth')
    return dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))


def test_a_checkpoint_of_init_cfg_is_kept(checkpoint):
    model = Sequential(
        Net([dict(type='Constant', val=3., layer='BatchNorm2d'), checkpoint]))
    model.init_weights()
    assert all((p == 0.5).all() for p in model.parameters())


def test_a_second_call_changes_nothing():
    model = Sequential(Net())
    model.init_weights()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.5)
    model.init_weights()  # MMEngine warns, and leaves the model as it is
    assert all((p == 0.5).all() for p in model.parameters())


@pytest.mark.parametrize('stock, bound', [
    (nn.ReLU(), 0.2785 / 100), (nn.LeakyReLU(0.1), 0.9 * 0.2785 / 90),
    (nn.PReLU(init=0.25), 0.2785 / 100), (nn.RReLU(0.1, 0.3), 0.2785 / 100),
    (nn.LeakyReLU(2.), 0.2785 / 100), (nn.PReLU(init=1.5), 0.2785 / 100),
    (nn.SiLU(), 1e-9), (nn.GELU(), 0.0151), (nn.Mish(), 0.13),
    (nn.Hardswish(), 0.13)], ids=lambda value: type(value).__name__)
def test_acon_starts_as_what_it_replaces(stock, bound):
    x = torch.linspace(-6, 6, 24001, dtype=torch.float64)
    stock.eval().double()
    start = start_of(stock)
    a, b = start.p1 * x, start.p2 * x
    ours = (a - b) * torch.sigmoid(start.beta * (a - b)) + b
    deviation = (ours - stock(x)).abs().max().item()
    assert deviation <= bound + 1e-12


def test_slopes_on_both_sides_of_1():
    prelu, x = nn.PReLU(3), torch.randn(4, 3, 50)
    with torch.no_grad():
        prelu.weight.copy_(torch.tensor([0.25, 1., 4.]))
    for cfg in (dict(type='AconC'), dict(type='AconB')):
        act = nn.Sequential(nn.Conv1d(3, 3, 1), copy.deepcopy(prelu))
        swap_activations(act, cfg)
        torch.testing.assert_close(act[1](x), prelu(x), atol=0.01, rtol=0)
    with pytest.raises(ValueError, match='both sides of 1: use AconC'):
        swap_activations(nn.Sequential(nn.Conv1d(3, 3, 1), prelu))


def test_meta_acon_starts_below_a_steep_slope():
    act = nn.Sequential(nn.Conv2d(3, 3, 1), nn.LeakyReLU(2.))
    swap_activations(act)
    x = torch.randn(4, 3, 5, 5)
    torch.testing.assert_close(act[1](x), torch.minimum(x, 2 * x),
                               atol=0.006, rtol=0)


@pytest.mark.parametrize('gate', [
    nn.Sigmoid(), nn.Hardsigmoid(), nn.Tanh(), nn.Softmax(1), nn.Identity()],
    ids=lambda value: type(value).__name__)
def test_gates_have_no_start(gate):
    assert start_of(gate) is None
