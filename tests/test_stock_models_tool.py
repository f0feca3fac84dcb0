"""The tool that puts the override on every stock model."""
import contextlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
from mmengine.model import BaseModel

from acon_mm.check import build, compare, training
from acon_mm.check.subject import StockModel, shrink
from acon_mm.override import swap_activations

TOOLS = Path(__file__).resolve().parents[1] / 'tools'
sys.path.append(str(TOOLS))

import check_stock_configs  # noqa: E402
from stock_models import checks  # noqa: E402
from stock_models.configs import group_by_layers, load_config  # noqa: E402
from stock_models.summary import write_summary  # noqa: E402
from stock_models.table import (  # noqa: E402
    append_rows,
    cover,
    passed,
    read_rows,
    write_rows,
)


def row(config, **values):
    return dict(dict(
        package='mmseg', version='1.9', config=config, configs=1,
        model='M', backbone='B', parts='B H', parameters=1, stock='pass',
        paper='pass', all='pass',
        paper_deviation='0.1', all_deviation='0.2', same_as='',
        start_beta='100', commit='abc1234'), **values)


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    table = tmp_path / 'table.csv'
    append_rows(table, [row('b.py', all='ValueError')])
    append_rows(table, [row('b.py'), row('a.py', all='KeyError: x, "y"')])
    rows = read_rows(table)
    assert [r['config'] for r in rows] == ['b.py', 'a.py']
    assert [passed(r) for r in rows] == [True, False]
    assert rows[1]['all'] == 'KeyError: x, "y"'
    write_rows(table, rows)
    assert [r['config'] for r in read_rows(table)] == ['a.py', 'b.py']
    assert not list(tmp_path.glob('*.part'))


def test_a_group_is_done_when_each_of_its_models_has_a_row(
        tmp_path, monkeypatch):
    table = tmp_path / 'table.csv'
    append_rows(table, [row('a.py'), row('c.py')])
    models = [StockModel('mmseg', [config], dict(type='M', num_classes=n))
              for n, config in enumerate(['a.py', 'b.py'])]
    models.append(StockModel('mmseg', ['c.py'], dict(type='N')))
    monkeypatch.setattr(check_stock_configs, 'new_pool',
                        lambda _: contextlib.nullcontext())
    monkeypatch.setattr(check_stock_configs, 'load_models', lambda *_: models)
    args = SimpleNamespace(packages=['mmseg'], table=table, jobs=1,
                           sample=False, limit=None)
    assert check_stock_configs.find_todo(args) == [models[:2]]
    append_rows(table, [row('b.py')])
    assert check_stock_configs.find_todo(args) == []


def test_a_sample_has_each_type_in_few_small_models():
    rows = [row('large.py', parts='A B C', parameters=10**9),
            row('a.py', parts='A B'), row('c.py', parts='C'),
            row('b.py', parts='B')]
    assert [r['config'] for r in cover(rows)] == ['a.py', 'c.py']


def test_models_of_the_same_layers_are_checked_once():
    def model(config, **head):
        return StockModel('mmseg', [config], dict(
            type='M', decode_head=dict(type='H', **head)))

    groups = group_by_layers([
        model('a.py', num_classes=2), model('b.py', channels=8),
        model('c.py', num_classes=5),
        StockModel('mmseg', ['d.py'], None, 'ImportError: x')])
    assert [[m.configs[0] for m in group] for group in groups] == [
        ['a.py', 'c.py'], ['b.py'], ['d.py']]


def test_small_work_and_no_checkpoints():
    cfg = shrink(dict(
        backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='x')),
        pretrained='x', train_cfg=dict(sampler=dict(
            type='RandomSampler', num=512), rpn=dict(nms_pre=2000))))
    assert cfg['backbone']['init_cfg'] is cfg['pretrained'] is None
    assert cfg['train_cfg']['sampler']['num'] == 16
    assert cfg['train_cfg']['rpn']['nms_pre'] == 64


def test_a_config_that_does_not_load_keeps_its_reason():
    config = load_config('mmseg', 'nothing/here.py')
    result = checks.check_model(
        StockModel('mmseg', [config.path], None, config.error), timeout=9)
    assert result['stock'].startswith('FileNotFoundError')
    assert re.fullmatch('[0-9a-f]{7}|unknown', result['commit'])
    assert 'paper' not in result


class Toy(BaseModel):
    """A model whose override can go wrong in every way."""

    def __init__(self, width=4):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width),
            nn.ReLU())

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.backbone(inputs)


@pytest.fixture
def toy(monkeypatch):
    stock, model = Toy(), Toy()
    model.load_state_dict(stock.state_dict())
    swap_activations(model)
    return stock, model


def test_a_deviating_backbone_is_found(toy):
    stock, model = toy
    assert compare.check_outputs(stock, model).start < 0.05
    nn.init.zeros_(model.backbone[0].weight)
    with pytest.raises(AssertionError, match=r'\(2\) backbone deviates'):
        compare.check_outputs(stock, model)


def test_a_deviation_that_is_no_number_is_found(toy):
    stock, model = toy
    with torch.no_grad():
        model.backbone[2].p1.fill_(torch.nan)  # the default start alone
    with pytest.raises(AssertionError, match=r'\(2\) .* by nan'):
        compare.check_outputs(stock, model)
    level = torch.randn(2, 3)
    assert torch.tensor(compare._deviation(
        [level, level * torch.nan], [level, level])).isnan()


@pytest.mark.parametrize('value', [torch.inf, 0.])
def test_a_stock_backbone_that_tells_nothing_is_by_the_weights(toy, value):
    stock, model = toy
    nn.init.constant_(stock.backbone[0].weight, value)
    nn.init.zeros_(stock.backbone[0].bias)
    with pytest.raises(FloatingPointError, match='the stock backbone ret'):
        compare.check_outputs(stock, model)


@pytest.mark.parametrize('takes', [[(64, 64)], [(64, 64), (128, 256)]])
def test_images_are_no_squares_where_the_backbone_takes_others(takes):
    class Sized(Toy):

        def forward(self, x):
            assert x.shape[2:] in takes
            return self.backbone(x)

    assert compare.first_run(Sized())[1].values[0].shape[2:] == takes[-1]


def test_new_parameters_without_a_gradient_are_found(toy, monkeypatch):
    stock, model = toy
    monkeypatch.setattr(training, '_loss', lambda _, __, which: (
        'loss', which.backbone[0].weight.sum() if which is stock else
        which.backbone[2].p1.sum()))
    with pytest.raises(AssertionError, match=r'\(3\) .*2\.p2 has no grad'):
        training.check_training_step(None, stock, model)
    monkeypatch.setattr(training, '_loss', lambda *_: (
        'loss', sum(p.sum() for p in model.parameters()) * torch.inf))
    with pytest.raises(AssertionError, match=r'\(3\) .* is not finite'):
        training.check_training_step(None, stock, model)


class Unread(nn.Module):
    """Its last block runs, and its loss may not read what comes out."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.last = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def loss(self, read_last):
        x = self.first(torch.ones(2, 3))
        y = self.last(x)
        return (y if read_last else x).sum()


@pytest.mark.parametrize('read_by_stock', [True, False])
def test_what_the_stock_model_leaves_unused_is_excused(
        read_by_stock, monkeypatch):
    stock, model = Unread(), Unread()
    swap_activations(model)
    monkeypatch.setattr(training, '_loss', lambda _, __, which: (
        'loss', which.loss(read_by_stock and which is stock)))
    if not read_by_stock:
        assert training.check_training_step(None, stock, model) == 'loss'
        return
    with pytest.raises(AssertionError, match=r'last.1\..* has no gradient'):
        training.check_training_step(None, stock, model)


def test_a_loss_that_is_no_number_is_tried_at_no_other_size(monkeypatch):
    sizes = []

    class Broken(Toy):

        def forward(self, inputs, data_samples, mode):
            sizes.append(inputs.shape[-1])
            return dict(loss=inputs.new_tensor(
                torch.nan, requires_grad=True))

    monkeypatch.setattr(
        training, 'training_batch', lambda model, size, device: dict(
            inputs=torch.ones(1, 3, size, size), data_samples=None))
    with pytest.raises(FloatingPointError, match='the loss is .*nan'):
        training._loss(StockModel('mmdet', ['broken.py'], {}), Toy(),
                      Broken())
    assert sizes == [64]


def test_a_frozen_activation_has_nothing_to_train(toy, monkeypatch):
    stock, model = toy
    model.backbone[2].requires_grad_(False)
    monkeypatch.setattr(training, '_loss', lambda *_: pytest.fail('computed'))
    assert training.check_training_step(None, stock, model) == 'frozen'


def test_a_relu6_backbone_is_compared_with_relu6_itself():
    stock, model = Toy(), Toy()
    for toy in (stock, model):
        toy.backbone[1].bias.data.fill_(6.)  # where it saturates
        toy.backbone[2] = nn.ReLU6()
    model.load_state_dict(stock.state_dict())
    model.swap_report = swap_activations(model)
    assert compare.check_outputs(stock, model).start > 0.1


def test_a_lost_or_a_new_tensor_is_found(scope, monkeypatch):
    scope('mmseg')
    built = []

    def wrong(cfg):
        model = Toy()
        swap_activations(model)
        built[0](model)
        return model

    monkeypatch.setattr(build, 'MODELS', SimpleNamespace(build=wrong))
    for change, words in [
            (lambda m: m.register_buffer('new', torch.ones(1)),
             'new tensors outside activations'),
            (lambda m: delattr(m.backbone, '1'), 'lost tensors')]:
        built[:] = [change]
        with pytest.raises(AssertionError, match=rf'\(1\) {words}'):
            build.build_with_acon('mmseg', dict(type='Toy'), Toy())


def test_the_page_counts_and_explains(tmp_path):
    table, page = tmp_path / 'table.csv', tmp_path / 'page.md'
    write_rows(table, [
        row('a.py', configs=3, commit='def5678'),
        row('b.py', all='ValueError: no | width', start_beta='30',
            paper_deviation='0.3'),
        row('c.py', stock='ImportError: no x', paper='', all='',
            paper_deviation='', all_deviation='')])
    write_summary(table, page)
    text = page.read_text()
    assert ('| mmsegmentation 1.9 | 5 | 3 | 2 | 2 (100.0%) | 1 (50.0%) |'
            in text)
    assert "| ValueError: no \\| width | 1 | `b.py` | `'all'` |" in text
    assert '| ImportError: no x | 1 |' in text
    assert '| B | 100 | 1 | 0.1 | 0.2 |\n| B | 30 | 1 | 0.3 | 0.2 |' in text
    assert 'def5678 (1 of them), abc1234 (2 of them)' in text
