"""The parts of the study: activations as written, tables, statistics."""
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from rich.console import Console
from torch import nn

from acon_mm import AconA, AconB, AconC, MetaAconC
from acon_mm.study.arms import parse_arm
from acon_mm.study.learned import GRID, Betas, describe
from acon_mm.study.page import write_page
from acon_mm.study.plans import STUDIES
from acon_mm.study.queue import _next, train_all
from acon_mm.study.runs import load_task, plan, plan_fine_tuning
from acon_mm.study.statistics import paired
from acon_mm.study.table import add_run, check_rows, curve, read_rows
from acon_mm.study.training import CURVE, Record

CONFIGS = Path(__file__).parents[1] / 'configs'
CONFIG = """
default_scope = 'mmdet'
model = dict(backbone=dict(type='{backbone}'))
train_cfg = dict(max_iters=10, val_interval={every})
val_evaluator = dict(type='CocoMetric', metric='bbox')
data_root = 'data/sets/'
"""


@pytest.fixture
def task(tmp_path):

    def write(backbone='ResNet', every=5, **kwargs):
        path = tmp_path / 'small.py'
        path.write_text(CONFIG.format(backbone=backbone, every=every))
        return load_task(path, **kwargs)

    return write


def test_a_run_has_its_seed_its_data_and_its_folder(task, tmp_path):
    runs = plan([task()], map(parse_arm, ('ReLU', 'AconC:init=leaky')), 2,
                tmp_path / 'work')
    assert [(r.arm.name, r.seed) for r in runs] == [
        ('ReLU', 0), ('AconC:init=leaky', 0), ('ReLU', 1),
        ('AconC:init=leaky', 1)]
    assert len({run.folder for run in runs}) == 4
    config = Config.fromfile(runs[3].write_config(str(tmp_path / 'mine')))
    assert config.randomness.seed == 1
    assert config.model.backbone.act_cfg == runs[3].arm.act_cfg
    assert config.work_dir == str(runs[3].folder)
    assert config.data_root == f'{tmp_path}/mine/sets/'
    assert config.study.metric == 'coco/bbox_mAP'
    assert config.default_hooks.checkpoint.interval == 2


def test_fine_tuning_begins_with_the_base_of_its_seed(task, tmp_path):
    runs = plan_fine_tuning(
        task(), parse_arm('ReLU'),
        map(parse_arm, ('ReLU', 'AconC:init=match,open=2')), 2, tmp_path)
    assert [(r.task.name, r.arm.name, r.seed) for r in runs] == [
        ('small', 'ReLU', 0), ('small', 'ReLU', 1),
        ('small_from-ReLU', 'ReLU', 0),
        ('small_from-ReLU', 'AconC:init=match,open=2', 0),
        ('small_from-ReLU', 'ReLU', 1),
        ('small_from-ReLU', 'AconC:init=match,open=2', 1)]
    assert len({run.folder for run in runs}) == 6
    assert _next(runs[2:]) is None  # no base is trained yet
    (tmp_path / 'small/ReLU/1').mkdir(parents=True)
    (tmp_path / 'small/ReLU/1/result.json').write_text('{"value": 1}')
    (tmp_path / 'small/ReLU/1/last_checkpoint').write_text('mine.pth')
    assert _next(runs[2:]) is runs[4]
    config = Config.fromfile(runs[5].write_config('data'))
    assert config.load_from == 'mine.pth' and config.study.begins_trained
    assert config.default_hooks.opening == dict(
        type='acon_mm.OpenSwitchHook', beta=2)
    assert config.model.backbone.act_cfg == dict(type='AconC', init='match')
    with pytest.raises(FileNotFoundError, match='ReLU/0 has no checkpoint'):
        runs[3].write_config('data')
    scratch = Config.fromfile(runs[0].write_config('data'))
    assert not scratch.get('load_from') and not scratch.study.begins_trained


def test_what_has_no_base_is_named_and_not_trained(task, tmp_path):
    runs = plan_fine_tuning(task(), parse_arm('ReLU'), [parse_arm('SiLU')], 1,
                            tmp_path)
    said = train_all(runs[1:], ['-1'], pytest.fail, pytest.fail, Console())
    assert said == ['small_from-ReLU, SiLU, seed 0 has no base: '
                    'small, ReLU, seed 0 did not finish']


def test_the_end_must_be_validated(task):
    with pytest.raises(ValueError, match='10 long and validates every 4'):
        task(every=4)
    assert task(every=4, options={'train_cfg.val_interval': 10})


def test_settings_change_with_the_config_and_the_placement(task):
    settings = {task().settings, task(every=10).settings,
                task(placement='paper').settings}
    assert len(settings) == 3
    assert task().settings == task().settings


def result(value, **changes):
    return dict(dict(
        value=value, curve=[(5, value / 2), (10, value)], iterations=10,
        seconds=3., ms_per_iteration=300., peak_mb=99., parameters=7,
        starts=1, machine='M', cores=1, torch='2', commit='abc'), **changes)


def fill(path, task, values):
    """A table of ``{activation: metric by seed}``."""
    for name, metrics in values.items():
        for run, value in zip(plan([task], [parse_arm(name)], len(metrics),
                                   path.parent), metrics, strict=True):
            add_run(path, run, result(value))


def test_a_table_keeps_what_the_runs_gave(task, tmp_path):
    path = tmp_path / 'table.csv'
    fill(path, task(), {'ReLU': [.3, .31], 'AconC:init=leaky': [.4]})
    rows = read_rows(path)
    assert [(r['activation'], r['seed'], float(r['value'])) for r in rows] == [
        ('ReLU', '0', .3), ('ReLU', '1', .31), ('AconC:init=leaky', '0', .4)]
    assert curve(rows[2]) == [(5, .2), (10, .4)]
    check_rows(rows, [task()], path)
    with pytest.raises(ValueError, match='table.csv has runs of small with o'):
        check_rows(rows, [task(every=10)], path)


def test_a_folder_of_other_settings_is_refused(task, tmp_path):
    run, = plan([task()], [parse_arm('ReLU')], 1, tmp_path)
    run.write_config('data')
    run.check_folder()
    other, = plan([task(every=10)], [parse_arm('ReLU')], 1, tmp_path)
    with pytest.raises(ValueError, match='begun with other settings'):
        other.check_folder()


def test_the_interval_is_students():
    # differences 1, 2, 3: t(.975, 2) = 4.3027, standard error 1 / sqrt(3)
    gap = paired({'0': 11., '1': 22., '2': 33., '3': 9.},
                 {'0': 10., '1': 20., '2': 30., '4': 1.})
    assert gap.each == [1., 2., 3.] and gap.mean == 2.
    assert gap.low == pytest.approx(2 - 4.30265 / 3**.5, abs=1e-4)
    assert gap.high == pytest.approx(2 + 4.30265 / 3**.5, abs=1e-4)
    assert gap.verdict == 'undecided'
    assert paired({'0': 1.}, {'1': 1.}) is None
    assert paired({'0': 1.}, {'0': 5.}).verdict == 'undecided'


def test_the_page_says_what_won_and_what_lost(task, tmp_path):
    path = tmp_path / 'table.csv'
    fill(path, task(), {
        'ReLU': [.30, .31, .32], 'PReLU': [.35, .36, .371],
        'SiLU': [.20, .21, .221], 'GELU': [.30, .33, .31], 'FReLU': [.5]})
    page = tmp_path / 'table.md'
    write_page(read_rows(path), ['ReLU'], ['all the rest'], [], page)
    text = page.read_text()
    found = text[text.index('## Found'):text.index('## Not measured')]
    assert '### From scratch, minus ReLU' in found
    assert '| activation | better | worse | undecided | small |' in found
    # 5, 5, 5.1: 5.0333 -+ 4.3027 * .0577 / sqrt(3)
    assert '| PReLU | 1 | 0 | 0 | **+5.0 [+4.9, +5.2]** |' in found
    assert '| SiLU | 0 | 1 | 0 | *-10.0 [-10.1, -9.8]* |' in found
    assert '| FReLU | 0 | 0 | 1 | +20.0 (one seed) |' in found
    assert '| ReLU |' not in found  # less itself
    assert '- all the rest' in text
    assert '| PReLU | 3 | 36.0 | 1.1 | ' in text
    assert 'Measured on M (cores a run: 1), torch 2, at abc.' in text


def test_the_page_counts_the_tasks_beside_each_other(task, tmp_path):
    path = tmp_path / 'table.csv'
    one, two = task(), replace(task(), name='other')
    fill(path, one, {'ReLU': [.30, .31, .32], 'PReLU': [.35, .36, .371]})
    fill(path, two, {'ReLU': [.30, .31, .32], 'PReLU': [.31, .32, .331],
                     'SiLU': [.4, .41, .421]})
    for tuned in (one, two):
        fill(path, replace(tuned, name=f'{tuned.name}_from-ReLU'),
             {'ReLU': [.5, .6], 'PReLU': [.6, .6]})
    page = tmp_path / 'table.md'
    write_page(read_rows(path), ['ReLU', 'GELU'], [], [], page)
    text = page.read_text()
    assert text.count('| activation | better | worse | undecided | small | '
                      'other |') == 2
    assert ('| PReLU | 2 | 0 | 0 | **+5.0 [+4.9, +5.2]** | '
            '**+1.0 [+0.9, +1.2]** |') in text
    assert '| SiLU | 1 | 0 | 0 |  | **+10.0 [+9.9, +10.2]** |' in text
    assert '### From ReLU weights, minus ReLU' in text
    assert '| PReLU | 0 | 0 | 2 | +5.0 [' in text
    assert 'minus GELU' not in text


def test_the_page_says_what_a_swap_has_cost(task, tmp_path):
    path = tmp_path / 'table.csv'
    for name, metrics in {'ReLU': [.30, .32], 'AconC:init=match': [.295, .317],
                          'SiLU': [.10]}.items():
        for run, value in zip(plan([task()], [parse_arm(name)], len(metrics),
                                   tmp_path), metrics, strict=True):
            add_run(path, run, result(
                .4, curve=[(0, value), (10, .4)], p1=[1., 4 * value]))
    page = tmp_path / 'table.md'
    write_page(read_rows(path), ['ReLU'], [], [], page)
    text = page.read_text()
    assert '| activation | seeds | before | mean |' in text
    assert '| ReLU | 2 | 31.00 | 40.0 |' in text
    assert '| AconC:init=match | 2 | 30.60 (-0.40) | 40.0 |' in text
    assert '| SiLU | 1 | 10.00 (-20.00) | 40.0 |' in text
    # 4 * .306 on average
    assert re.search(r'\| AconC.* \| 1.00 ± 1.22 \|', text)


def test_what_was_learned_is_over_all_channels():
    net = nn.Sequential(
        AconC(1, start=dict(p1=1, p2=.5, beta=2)),
        AconC(3, start=dict(p1=1, p2=.1, beta=2)), nn.ReLU())
    found = describe(net, {})
    assert found['p2'][0] == pytest.approx(.2)
    assert found['beta'] == [2., 0.]
    middle = np.reshape(found['function'], (3, -1))[1]
    x = GRID.double().numpy()
    np.testing.assert_allclose(
        middle, .9 * x / (1 + np.exp(-1.8 * x)) + .1 * x, atol=1e-3)
    assert describe(nn.ReLU(), {}) == {}
    assert describe(AconB(2, start=dict(p2=.3)), {})['p2'] == [.3, 0.]
    assert describe(AconA(2), {})['p2'] == [0., 0.]


def test_prelu_is_a_rectifier_with_its_slope():
    act = nn.PReLU(2)
    nn.init.constant_(act.weight, .3)
    low = np.reshape(describe(act, {})['function'], (3, -1))[0]
    x = GRID.numpy()
    np.testing.assert_allclose(low, np.where(x > 0, x, .3 * x), atol=1e-3)


@pytest.mark.parametrize('level', ['channel', 'layer', 'pixel'])
def test_meta_acons_beta_is_the_mean_over_images(level):
    net = nn.Sequential(MetaAconC(4, level=level, init='leaky')).eval()
    x = torch.randn(6, 4, 5, 5)
    betas = Betas(net)
    net(x[:3]), net(x[3:])
    found = betas.close()['0']
    expected = net[0].compute_beta(x)
    mean = expected.mean(dict(channel=0, layer=(0, 1), pixel=(0, 2, 3))[level])
    torch.testing.assert_close(found, mean.detach().expand(4))
    assert not net[0]._forward_pre_hooks
    assert describe(net, {'0': found})['p2'] == [.25, 0.]


def test_no_detection_at_all_is_a_zero_and_no_failure():
    runner = SimpleNamespace(
        model=nn.ReLU(), iter=9, message_hub=MessageHub('no detection'))
    record = Record('coco/bbox_mAP')
    for metrics in ({}, {'coco/bbox_mAP': .25}):
        record.before_val_epoch(runner)
        record.after_val_epoch(runner, metrics)
    assert runner.message_hub.get_info(CURVE) == [(9, 0.), (9, .25)]
    record.before_val_epoch(runner)
    with pytest.raises(ValueError, match='give one of mIoU by --metric'):
        record.after_val_epoch(runner, {'mIoU': 3.})


@pytest.mark.parametrize('size', STUDIES)
def test_the_built_in_studies_name_configs_and_activations_that_exist(size):
    for part in STUDIES[size]:
        task = load_task(CONFIGS / part.config)
        names = [parse_arm(name).folder for name in part.activations]
        assert len(set(names)) == len(names) and 'ReLU' in names
        assert task.metric in ('accuracy/top1', 'coco/bbox_mAP', 'mIoU')
