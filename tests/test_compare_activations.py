"""``tools/compare_activations.py`` as a user calls it."""
import csv
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
TOOL = ROOT / 'tools/compare_activations.py'
CONFIG = ROOT / 'configs/study/cifar10_mobilenetv1-0.25x_15e.py'
SHORT = ('train_cfg.max_epochs=2', 'train_cfg.val_interval=1',
         'train_dataloader.batch_size=5', 'model.size=32')
ARMS = ('ReLU', 'AconC:init=leaky')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Five pictures of two classes for training, two for testing."""
    root = tmp_path_factory.mktemp('data')
    rng = np.random.RandomState(0)
    for split, count in (('train', 5), ('test', 2)):
        for label in range(2):
            folder = root / 'cifar10' / split / str(label)
            folder.mkdir(parents=True)
            for i in range(count):
                picture = rng.randint(0, 99, (32, 32, 3), np.uint8)
                cv2.imwrite(str(folder / f'{i}.png'), picture + 150 * label)
    return root


def command(data, work_dir, *more, options=SHORT, arms=ARMS):
    return [sys.executable, '-W', 'ignore', str(TOOL), str(CONFIG), '--data',
            str(data), '--work-dir', str(work_dir), '--seeds', '1',
            '--activations', *arms, '--cfg-options', *options, *more]


def environment():
    path = os.pathsep.join([str(ROOT), os.environ['PYTHONPATH']])
    return dict(os.environ, PYTHONPATH=path, CUDA_VISIBLE_DEVICES='-1',
                OMP_NUM_THREADS='1', COLUMNS='200')


@pytest.fixture
def tool(monkeypatch):
    """``tool('--size', ...)`` runs it in this process."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')

    return call


def run(*arguments, **kwargs):
    return subprocess.run(command(*arguments, **kwargs), env=environment(),
                          cwd=ROOT, capture_output=True, text=True)


def rows(work_dir):
    with (work_dir / f'{CONFIG.stem}.csv').open(newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope='module')
def compared(data, tmp_path_factory):
    """A finished comparison: its folder and what the tool printed."""
    work_dir = tmp_path_factory.mktemp('compared')
    done = run(data, work_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    return work_dir, done.stdout


def test_every_activation_gets_a_row_a_page_and_charts(compared):
    work_dir, printed = compared
    first, second = rows(work_dir)
    assert (first['activation'], second['activation']) == ARMS
    for row in (first, second):
        # epochs of ten pictures in batches of five
        assert row['iterations'] == '4' and row['starts'] == '1'
        assert [point.split(':')[0] for point in row['curve'].split()] == [
            '2', '4']
        assert float(row['value']) in (0., 25., 50., 75., 100.)
        assert float(row['seconds']) > 0 and float(row['peak_mb']) > 50
        assert row['torch'] == torch.__version__ and row['commit']
        assert row['machine']
    # three numbers for each channel of the 27 layers, and no bias is lost
    assert int(second['parameters']) > int(first['parameters'])
    assert first['p2'] == '' and .2 < float(second['p2'].split()[0]) < .3
    assert f'{CONFIG.stem}, ReLU, seed 0: accuracy/top1' in printed
    log = (work_dir / CONFIG.stem / 'ReLU/0/log.txt').read_text()
    assert 'Fatal' not in log and 'Traceback' not in log
    page = (work_dir / f'{CONFIG.stem}.md').read_text()
    for kind in ('curves', 'differences', 'functions'):
        assert f'({CONFIG.stem}-{kind}.png)' in page
        picture = cv2.imread(str(work_dir / f'{CONFIG.stem}-{kind}.png'))
        assert picture.shape[1] > 900 and picture.std() > 5


def test_what_is_finished_is_not_trained_again(compared, data):
    work_dir, _ = compared
    before = rows(work_dir)
    # as if it had been stopped between a training's end and its row
    table = work_dir / f'{CONFIG.stem}.csv'
    table.write_text(''.join(table.read_text().splitlines(True)[:2]))
    again = run(data, work_dir)
    assert again.returncode == 0, again.stderr
    assert 'to train' not in again.stdout
    assert rows(work_dir) == before


def test_fine_tuning_begins_where_the_base_ended(compared, data, tmp_path):
    shutil.copytree(compared[0], tmp_path / 'tuned')
    done = run(data, tmp_path / 'tuned', '--base', 'ReLU',
               arms=['AconC:init=match,open=1'])
    assert done.returncode == 0, done.stdout + done.stderr
    assert '1 of 2 runs to train' in done.stdout
    base, _, tuned = rows(tmp_path / 'tuned')
    assert tuned['task'] == f'{CONFIG.stem}_from-ReLU'
    points = [point.split(':') for point in tuned['curve'].split()]
    assert [at for at, _ in points] == ['0', '2', '4']
    assert float(points[0][1]) == float(base['value'])
    beta, _ = tuned['beta'].split()
    assert .5 < float(beta) < 1.5  # the hook has led it there
    log = (tmp_path / 'tuned' / tuned['task'] / 'AconC_init=match_open=1/0'
           / 'log.txt').read_text()
    assert 'Load checkpoint from' in log and 'Traceback' not in log


def test_a_table_of_another_config_is_refused(compared, data):
    work_dir, _ = compared
    other = run(data, work_dir, options=(*SHORT, 'model.num_classes=7'))
    assert other.returncode == 1
    assert other.stderr.startswith('error: ')
    assert 'with other settings' in other.stderr
    assert len(rows(work_dir)) == 2


def test_a_run_that_fails_is_named_and_the_others_go_on(data, tmp_path):
    done = run(data, tmp_path, arms=('AconC:start=leaky', 'ReLU'))
    assert done.returncode == 1
    assert 'AconC:start=leaky, seed 0 did not finish: ' in done.stdout
    assert "start='leaky' of AconC must be a dict" in done.stdout
    assert [row['activation'] for row in rows(tmp_path)] == ['ReLU']


def wait_for(condition, process):
    end = time.time() + 120
    while not condition():
        assert process.poll() is None and time.time() < end
        time.sleep(.05)


def alive(word):
    found = subprocess.run(['pgrep', '-f', f'study.training {word}'],
                           capture_output=True)
    return found.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM,
                                    signal.SIGKILL])
def test_an_interrupted_comparison_goes_on(data, tmp_path, number):
    options = ('train_cfg.max_epochs=40', 'train_cfg.val_interval=20',
               *SHORT[2:])
    process = subprocess.Popen(
        command(data, tmp_path, options=options, arms=['ReLU']),
        env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    folder = tmp_path / CONFIG.stem / 'ReLU/0'
    wait_for((folder / 'last_checkpoint').exists, process)
    assert alive(tmp_path)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode
    if number != signal.SIGKILL:
        assert error == 'interrupted: the same command goes on from here\n'
    time.sleep(2)
    assert not alive(tmp_path)
    assert not (tmp_path / f'{CONFIG.stem}.csv').exists()
    done = run(data, tmp_path, options=options, arms=['ReLU'])
    assert done.returncode == 0, done.stdout + done.stderr
    row, = rows(tmp_path)
    assert row['starts'] == '2' and row['iterations'] == '80'
    assert 'was interrupted' not in done.stdout


@pytest.mark.slow
def test_a_second_comparison_in_the_folder_is_refused(data, tmp_path):
    options = ('train_cfg.max_epochs=40', 'train_cfg.val_interval=20',
               *SHORT[2:])
    process = subprocess.Popen(
        command(data, tmp_path, options=options), env=environment(),
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for((tmp_path / CONFIG.stem).exists, process)
        second = run(data, tmp_path, options=options)
    finally:
        process.terminate()
        process.wait()
    assert second.returncode == 1
    assert 'another comparison is at work in' in second.stderr


def test_the_page_of_the_study_is_that_of_its_table(tool, tmp_path):
    table = tmp_path / 'transfer.csv'
    table.write_bytes((ROOT / 'docs/transfer.csv').read_bytes())
    with pytest.raises(SystemExit) as end:
        tool('--size', 'small', '--out', table, '--work-dir',
             tmp_path / 'work', '--report-only')
    assert not end.value.code
    for path in (ROOT / 'docs').glob('transfer*'):
        assert (tmp_path / path.name).exists(), path.name
        if path.suffix == '.png':  # nothing is cut off
            picture = cv2.imread(str(tmp_path / path.name))
            assert (picture[:, [0, 1, -2, -1]] == 255).all(), path.name
    assert (tmp_path / 'transfer.md').read_text() == (
        ROOT / 'docs/transfer.md').read_text()
