"""``tools/benchmark.py``, by tables that could not be otherwise."""
import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from acon_mm import AconC
from acon_mm.benchmark import (
    Subject,
    hook,
    measure_hook,
    measure_models,
    measure_op,
    summarize,
    write_rows,
)
from acon_mm.benchmark.measure import (
    Times,
    clock,
    environment,
    interleave,
    peak_bytes,
    saved_bytes,
)
from acon_mm.benchmark.summary import BEGIN, END

TOOL = Path(__file__).parents[1] / 'tools/benchmark.py'


@pytest.fixture
def benchmark(monkeypatch):
    """``benchmark('op', ...)`` runs the tool with these arguments."""
    spec = importlib.util.spec_from_file_location('benchmark', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        module.main()

    return run


def read(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_op_writes_a_table_and_a_chart(benchmark, tmp_path, capsys):
    table = tmp_path / 'op.csv'
    benchmark('op', '--device', 'cpu', '--shapes', '2,8,6,6', '2,8',
              '--warmup', 0, '--repeats', 2, '--out', table)
    rows = read(table)
    names = {'ReLU', 'SiLU', 'authors', 'torch.compile', 'AconC',
             'MetaAconC', 'copy'}
    assert {row['function'] for row in rows} == names
    assert {row['shape'] for row in rows} == {'2x8x6x6', '2x8'}
    for row in rows:
        assert float(row['ms']) > 0 and row['torch'] == torch.__version__
        assert row['machine'] and row['commit'] and int(row['cores']) > 0
    silu = [row for row in rows if row['function'] == 'SiLU']
    assert {float(row['over_silu']) for row in silu} == {1.}
    assert (tmp_path / 'op.png').stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir() if 'part' in path.name
            ] == []
    assert 'op.csv' in capsys.readouterr().out


def test_op_counts_what_is_kept():
    rows = measure_op([(2, 16, 20, 20)], torch.float32, False, 'cpu', 0, 1)
    kept = {row['function']: row['saved_bytes'] / row['input_bytes']
            for row in rows if row['function'] != 'copy'}
    assert kept['SiLU'] == 1.
    assert kept['AconC'] == 1. < kept['MetaAconC'] < 1.1
    assert kept['authors'] > 3.


def test_a_table_is_not_overwritten_unasked(benchmark, tmp_path):
    table = tmp_path / 'op.csv'
    table.write_text('precious')
    with pytest.raises(SystemExit, match='op.csv exists: add --overwrite'):
        benchmark('op', '--device', 'cpu', '--out', table)
    assert table.read_text() == 'precious'


def test_shape_that_is_none(benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark('op', '--shapes', '2,zero')
    assert "'2,zero' is no shape" in capsys.readouterr().err


def test_no_cuda_device(benchmark, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit, match='needs a CUDA device'):
        benchmark('op', '--device', 'cuda', '--out', tmp_path / 'op.csv')


def test_chart_of_a_table(benchmark, tmp_path):
    table = tmp_path / 'op.csv'
    benchmark('op', '--device', 'cpu', '--shapes', '2,8', '--warmup', 0,
              '--repeats', 1, '--out', table)
    chart = table.with_suffix('.png')
    chart.unlink()
    benchmark('draw', table)
    assert chart.exists()


def test_models_differ_by_the_activation_alone():
    names = 'ReLU', 'MetaAconC', 'authors'
    rows = list(measure_models(
        Subject('retinanet', (64, 64), 1, torch.float32, 'cpu'), 0, 1, names))
    assert [row['activation'] for row in rows] == [*names]
    assert rows[0]['over_relu'] == rows[0]['peak_over_relu'] == 1.
    kept = [row['saved_bytes'] for row in rows]
    assert kept[0] < kept[1] < kept[2]


def test_the_hooks_share_is_that_of_its_default_intervals(monkeypatch):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), AconC(8))
    image = torch.randn(2, 3, 32, 32)
    monkeypatch.setattr(hook, 'training_step', lambda *_: (
        net, None, lambda: net(image).mean().backward()))
    subject = Subject('retinanet', (32, 32), 2, torch.float32, 'cpu')
    rows = list(measure_hook(subject, 1, 3))
    assert [row['activation'] for row in rows] == [*hook.ACTIVATIONS]
    for row in rows:
        # a picture takes longer than a record, and both than nothing
        assert 0 < row['record_ms'] < row['picture_ms']
        added = (row['record_ms'] / row['interval']
                 + row['picture_ms'] / row['image_interval'])
        assert row['percent'] == pytest.approx(
            100 * added / row['ms'], rel=.05)


@pytest.mark.slow
def test_norms_of_a_segmentor_join_unless_kept_apart():
    names = 'ReLU', 'MetaAconC all', 'MetaAconC all, norms apart'
    rows = list(measure_models(
        Subject('pspnet', (32, 32), 2, torch.float32, 'cpu'), 0, 1, names))
    kept = [row['saved_bytes'] for row in rows]
    assert kept[0] < kept[1] < .9 * kept[2]


@pytest.mark.slow
def test_builds_are_each_the_first_override_of_a_process(tmp_path):
    table = tmp_path / 'build.csv'
    done = subprocess.run(
        [sys.executable, TOOL, 'build', '--warmup', '0', '--repeats', '1',
         '--out', table], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = read(table)
    assert [row['activation'] for row in rows] == [
        'ReLU', 'MetaAconC paper', 'MetaAconC all']
    stock, *others = (float(row['ms']) for row in rows)
    assert stock > 0
    assert [float(row['added_ms']) for row in rows[1:]] == pytest.approx(
        [ms - stock for ms in others], abs=.2)
    assert (done.stdout + done.stderr).count('x ReLU -> MetaAconC') == 2


def test_the_page_has_the_tables(tmp_path):
    where = dict(machine='M', cores=3, torch='T', commit='c', repeats=5)
    write_rows([
        dict(function=name, shape='2x8', phase=phase, over_silu=time,
             saved_bytes=kept, input_bytes=64, **where)
        for name, time, kept in (('SiLU', 1., 64), ('AconC', 1.25, 96))
        for phase in ('forward', 'both')], tmp_path / 'op.csv')
    write_rows([dict(model=model, activation='ReLU', ms=ms, spread_ms=.1,
                     added_ms=0., **where)
                for model, ms in (('r.py', 2.5), ('p.py', 4.5))],
               tmp_path / 'build.csv')
    page = tmp_path / 'page.md'
    page.write_text(f'before\n{BEGIN}old\n{END}after\n')
    for _ in range(2):
        summarize(tmp_path, page)
    text = page.read_text()
    assert text.startswith('before\n') and text.endswith('after\n')
    assert 'old' not in text and text.count('| AconC | 1.25 | 1.500 |') == 1
    # a table for each model
    head = '| ms | spread | more than ReLU, ms |\n| --- | --- | --- | --- |\n'
    assert f'\n\n| r.py {head}| ReLU | 2.5 | 0.1 | 0.0 |\n\n' in text
    assert f'\n\n| p.py {head}| ReLU | 4.5 | 0.1 | 0.0 |\n\n' in text
    assert ('M, 3 cores, torch T, commit c, medians of 5; '
            '[table](build.csv).') in text


def test_a_page_without_a_place_for_tables(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('nothing')
    with pytest.raises(ValueError, match='page.md has no place for tables'):
        summarize(tmp_path, page)
    assert page.read_text() == 'nothing'


def test_the_committed_page_is_that_of_the_committed_tables(tmp_path):
    folder = TOOL.parents[1] / 'docs/benchmarks'
    page = tmp_path / 'README.md'
    page.write_text((folder / 'README.md').read_text())
    summarize(folder, page)
    assert page.read_text() == (folder / 'README.md').read_text()


def test_interleave_takes_turns_and_drops_the_warmup():
    order = []

    def run(name, value):
        order.append(name)
        return dict(forward=value)

    times = interleave(
        dict(a=lambda: run('a', len(order)), b=lambda: run('b', 7.)), 1, 3)
    assert order == ['a', 'b'] * 4
    assert times['a']['forward'] == Times(4., 2.)
    assert times['b']['forward'] == Times(7., 0.)


def test_spread_is_between_the_quartiles():
    assert Times.of([1., 2., 3., 4., 100.]) == Times(3., 2.)


def test_memory_of_what_is_known():
    x = torch.randn(1000, requires_grad=True)
    # exp keeps its result, the product both factors, of which one is known
    assert saved_bytes(lambda: x.exp() * x) == 2 * 4000
    assert peak_bytes(lambda: torch.empty(1000) + torch.empty(1000),
                      'cpu') == 3 * 4000


def test_weights_are_not_what_a_pass_keeps():
    layer = torch.nn.Linear(500, 10)
    assert saved_bytes(lambda: layer(torch.ones(2, 500))) == 4000


def test_environment_names_no_host():
    import platform
    values = environment('cpu').values()
    assert platform.node() not in map(str, values)


@pytest.mark.parametrize('queued, order', [
    (False, ['record', 'launch', 'record']),
    (True, ['busy', 'record', 'launch', 'record'])])
def test_kernels_are_timed_without_their_launch_on_a_gpu(
        queued, order, monkeypatch):
    calls = []

    class Event:

        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            calls.append('record')

        def synchronize(self):
            assert calls == order

        def elapsed_time(self, end):
            return 7.

    monkeypatch.setattr(torch.cuda, 'Event', Event)
    monkeypatch.setattr(torch.cuda, '_sleep', lambda _: calls.append('busy'))
    result = clock(lambda: calls.append('launch') or 5, 'cuda', queued)
    assert result == (5, 7.)
