"""The weights on which the tool compares stock models, and its time."""
import contextlib
import copy
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn as nn
from mmengine.model import BaseModule, constant_init

from acon_mm.check import weights
from acon_mm.check.compare import Deviation
from acon_mm.check.limit import acon_modules
from acon_mm.check.subject import StockModel
from acon_mm.override import swap_activations
from acon_mm.starts import Start

TOOLS = Path(__file__).resolve().parents[1] / 'tools'
sys.path.append(str(TOOLS))

from stock_models import checks  # noqa: E402
from stock_models.configs import load_config  # noqa: E402

PATH = 'retinanet/retinanet_r18_fpn_1x_coco.py'
# inside a branch that ends in a norm which `init_weights` sets to zero
HIDDEN = 'layer2.1.act1'


@pytest.fixture
def retinanet(scope, monkeypatch):
    """RetinaNet-R18 whose own weights alone compute numbers.

    Returns the model, and the stock modules that the check builds.
    """
    scope('mmdet')
    monkeypatch.setattr(checks, '_compared', {})
    build, built = checks.build_stock, []

    def unsound(*args):
        stock = build(*args)
        nn.init.constant_(stock.backbone.conv1.weight, torch.inf)
        built.append((stock, copy.deepcopy(stock.state_dict())))
        return stock

    monkeypatch.setattr(checks, 'build_stock', unsound)
    config = load_config('mmdet', PATH)
    return StockModel('mmdet', [PATH], config.models[0]), built


@pytest.mark.filterwarnings('ignore')
def test_the_own_start_is_noted_and_leaves_the_stock_model(retinanet):
    model, built = retinanet
    row = checks.check_model(model, timeout=300)
    for placement in checks.PLACEMENTS:
        assert row[placement] == 'pass'
        assert row[f'{placement}_step'] == 'loss, own start at (2) (3)'
    (stock, before), = built
    after = stock.state_dict()
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
    assert not checks._compared


@pytest.mark.filterwarnings('ignore')
def test_a_wrong_start_in_a_branch_that_starts_at_zero_is_found(
        retinanet, monkeypatch):
    model, _ = retinanet
    build = checks.build_with_acon

    def wrong(*args):
        built = build(*args)
        acon_modules(built)[f'backbone.{HIDDEN}'].start_like(Start(p2=.5))
        return built

    monkeypatch.setattr(checks, 'build_with_acon', wrong)
    monkeypatch.setattr(checks, 'check_training_step',
                        lambda *_: pytest.fail('went on'))
    row = checks.check_model(model, timeout=300, placements=['paper'])
    assert row['paper'].startswith('AssertionError: (2) backbone deviates')


class Branch(BaseModule):
    """A residual branch that is set to zero, or to hardly more."""

    def __init__(self, scale=1.):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.zero_conv = nn.Conv2d(8, 4, 1)
        self.gamma = nn.Parameter(torch.full((4, 1, 1), scale))
        self.positions = nn.Parameter(torch.zeros(1, 9, 4))
        self.temperature = nn.Parameter(torch.tensor([0.01]))

    def init_weights(self):
        super().init_weights()
        constant_init(self.norm, 0)
        constant_init(self.zero_conv, 0)


def test_each_branch_is_opened_and_nothing_else_changes():
    module = Branch(scale=1e-6)
    module.init_weights()
    before = copy.deepcopy(module.state_dict())
    weights.open_branches(module)
    assert (module.norm.weight == 1).all()
    assert (module.gamma == 1).all()
    assert 0.1 < module.zero_conv.weight.std() < 8**-0.5
    opened = {'norm.weight', 'gamma', 'zero_conv.weight'}
    for name, tensor in module.state_dict().items():
        assert tensor.equal(before[name]) == (name not in opened), name


def test_a_check_that_does_not_hold_is_not_tried_again():
    runs = []

    def check():
        runs.append(None)
        raise AssertionError('does not hold')

    with pytest.raises(AssertionError, match='does not hold'):
        weights.on_sound_weights(check, Branch(), Branch())
    assert len(runs) == 1


def test_the_own_start_is_drawn_each_time_and_both_models_get_theirs_back():
    stock, model = Branch(), Branch()
    model.load_state_dict(stock.state_dict())
    before = copy.deepcopy(stock.state_dict())
    seen = []

    def check():
        if (stock.norm.weight == 1).all():
            raise FloatingPointError
        seen.append(model.norm.weight.clone())
        stock.norm.running_mean += 1

    for _ in range(2):
        assert weights.on_sound_weights(check, stock, model) == (None, True)
    assert len(seen) == 2 and all((w == 0).all() for w in seen)
    for module in (stock, model):
        assert all(tensor.equal(before[name])
                   for name, tensor in module.state_dict().items())


def test_without_an_initialization_the_first_error_stays():
    def check():
        raise FloatingPointError('nan')

    with pytest.raises(FloatingPointError, match='nan'):
        weights.on_sound_weights(check, nn.Linear(1, 1), nn.Linear(1, 1))


def test_a_result_is_shared_by_the_same_activations_alone(monkeypatch):
    monkeypatch.setattr(checks, '_compared', {})
    checked = []
    monkeypatch.setattr(checks, 'check_outputs',
                        lambda *_: checked.append(Deviation(.1, 0.)))

    def check(width=4, **act_cfg):
        stock, model = nn.Module(), nn.Module()
        for part in (stock, model):
            part.backbone = nn.Sequential(
                nn.Conv2d(3, width, 1), nn.ReLU())
        swap_activations(model, act_cfg)
        checks._check_outputs(
            StockModel('mmdet', ['x.py'], dict(backbone=dict(type='X'))),
            stock, model)
        return len(checked)

    assert [check(), check(), check(8), check(type='AconC'), check(
        type='AconC', init='paper'), check(r=8)] == [1, 1, 2, 3, 4, 5]


def test_no_except_of_a_model_stops_the_clock(monkeypatch):
    class Stubborn(nn.Module):

        def __init__(self):
            super().__init__()
            end = time.monotonic() + 20
            while time.monotonic() < end:
                with contextlib.suppress(Exception):
                    time.sleep(0.01)

    monkeypatch.setattr(checks, 'build_stock', lambda *_: Stubborn())
    row = checks.check_model(
        StockModel('mmdet', ['x.py'], dict(type='X')), timeout=1)
    assert row['stock'] == 'TimeoutError: took more than 1 s'
