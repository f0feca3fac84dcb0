"""Every mim command of README.md, with the package that is installed."""
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from acon_mm.installed import distribution_of

INSTALLED = Path(metadata.distribution('acon_mm').locate_file('acon_mm/.mim'))
CONFIG = 'pspnet_r18-d8-metaacon_200i_shapes'
# one step of two small images
SHORT = """
_base_ = '{base}'
custom_imports = dict(imports=['acon_mm', 'cpu_launcher'])
env_cfg = dict(dist_cfg=dict(backend='gloo'))
model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
part = dict(norm_cfg=dict(type='BN'))
model = dict(backbone=part, decode_head=part, auxiliary_head=part)
train_cfg = dict(max_iters=1, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1))
loader = dict(num_workers=0, persistent_workers=False, batch_size=2)
train_dataloader = val_dataloader = test_dataloader = loader
"""
# the same of the provided config, which mim finds by its name
BY_NAME = [
    f'{CONFIG}.py', '--cfg-options', 'train_cfg.max_iters=1',
    'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=1',
    *(f'model.{part}.norm_cfg.type=BN'
      for part in ('backbone', 'decode_head', 'auxiliary_head')),
    *(f'{split}_dataloader.{option}' for split in ('train', 'val')
      for option in ('num_workers=0', 'persistent_workers=False',
                     'batch_size=2'))]
LAUNCHERS = {
    'none': [],
    'pytorch': ['--launcher', 'pytorch', '--gpus', '2'],
}


@pytest.fixture
def work(tmp_path, shapes_cityscapes):
    """A folder with the drawn data and a short config, elsewhere."""
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/shapes_cityscapes').symlink_to(shapes_cityscapes)
    base = INSTALLED / f'configs/shapes/{CONFIG}.py'
    (tmp_path / 'short.py').write_text(SHORT.format(base=base))
    return tmp_path


def mim(*words, cwd, rc=0):
    """Run mim's command line on the CPU and return what it prints."""
    environment = dict(
        os.environ, CUDA_VISIBLE_DEVICES='-1', OMP_NUM_THREADS='1',
        PYTHONPATH=os.pathsep.join(
            [str(Path(__file__).parent), os.environ['PYTHONPATH']]))
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'mim', *map(str, words)],
        cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == rc, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def trained(folder):
    """The activations' parameters in the checkpoint of a training."""
    path = Path((folder / 'last_checkpoint').read_text().strip())
    state = torch.load(path, weights_only=False)['state_dict']
    return {k: v for k, v in state.items() if '.act1.' in k}


@pytest.mark.parametrize('launcher', LAUNCHERS)
def test_train_and_test(launcher, work):
    config, *options = BY_NAME if launcher == 'none' else ['short.py']
    out = mim('train', 'acon_mm', config, *LAUNCHERS[launcher],
              '--work-dir', 'out', *options, cwd=work)
    assert 'ReLU -> MetaAconC' in out and 'Training finished' in out
    assert trained(work / 'out')
    out = mim('test', 'acon_mm', 'short.py', '--checkpoint',
              'out/iter_1.pth', *LAUNCHERS[launcher], '--work-dir', 'out',
              cwd=work)
    assert 'mIoU' in out


@pytest.mark.skipif(
    distribution_of('mmseg') != 'mmsegmentation',
    reason="MMEngine's fork finds no 'mmseg::', and mim reads the config")
@pytest.mark.parametrize('launcher', [
    'none', pytest.param('pytorch', marks=pytest.mark.slow)])
def test_gridsearch(launcher, work):
    out = mim('gridsearch', 'acon_mm', 'short.py', *LAUNCHERS[launcher],
              '--work-dir', 'out', '--search-args',
              '--optim_wrapper.optimizer.lr 0.001 0.1', cwd=work)
    assert 'search finished successfully' in out
    low, high = (trained(work / f'out_search_optim_wrapper.optimizer.lr_{lr}')
                 for lr in (0.001, 0.1))
    assert low.keys() == high.keys() and any(
        not torch.equal(low[k], high[k]) for k in low)


def test_run_trains_too_and_publishes_the_result(work):
    out = mim('run', 'acon_mm', 'train', 'short.py', '--work-dir', 'out',
              cwd=work)
    assert 'ReLU -> MetaAconC' in out
    mim('run', 'acon_mm', 'publish_model', 'out/iter_1.pth', 'small.pth',
        cwd=work)
    while not (published := list(work.glob('small-*.pth'))):
        time.sleep(.1)  # mmseg's tool does not wait for its last command
    checkpoint = torch.load(published[0], weights_only=False)
    assert 'optimizer' not in checkpoint
    assert checkpoint['state_dict'].keys() >= trained(work / 'out').keys()


def test_run_reaches_the_other_tools(tmp_path):
    mim('run', 'acon_mm', 'make_shapes', 'out', '--format', 'coco',
        '--train', 1, '--val', 1, '--size', 64, cwd=tmp_path)
    assert len(list((tmp_path / 'out/shapes_coco/train2017').iterdir())) == 1


def test_download_brings_the_config_and_says_that_it_is_alone(tmp_path):
    names = ['retinanet_r50-metaacon_fpn_1x_coco',
             'pspnet_r50-d8-aconc_4xb2-40k_cityscapes-512x1024']
    out = mim('download', 'acon_mm', '--config', *names, '--dest', 'here',
              cwd=tmp_path)
    assert out.count('No weights of acon_mm are published yet: ') == 1
    assert {path.name for path in (tmp_path / 'here').iterdir()} == {
        f'{name}.py' for name in names}
    cfg = Config.fromfile(tmp_path / f'here/{names[0]}.py')
    assert cfg.model.backbone.type == 'acon_mm.ResNet'
    assert cfg.default_scope == 'mmdet'


def test_only_a_download_speaks_of_weights(tmp_path):
    code = 'import mim, acon_mm'
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                          cwd=tmp_path, capture_output=True, text=True,
                          check=True)
    assert 'weights' not in done.stdout


def test_search_shows_a_config(tmp_path):
    out = mim('search', 'acon_mm', '--config',
              'retinanet_r50-metaacon_fpn_1x_coco', cwd=tmp_path)
    assert 'retinanet_r50-metaacon_fpn_1x_coco' in out
    assert 'none published yet' in out
    out = mim('search', 'acon_mm', '--model', 'pspnet with acon', '--field',
              'config', '--dataset', 'cityscapes', cwd=tmp_path)
    assert 'configs/pspnet/pspnet_r50-d8-metaacon' in out
    assert 'configs/retinanet' not in out
