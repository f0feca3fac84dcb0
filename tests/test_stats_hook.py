"""AconStatsHook in trainings, by what the visualizer's backends hold."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hook_training import Bfloat16, train
from mmengine.registry import HOOKS
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from torch import nn

from acon_mm import AconStatsHook

ROOT = Path(__file__).parents[1]
CONFIG = f"""
_base_ = '{ROOT}/configs/shapes/pspnet_r18-d8_200i_shapes.py'
part = dict(norm_cfg=dict(type='BN'))
model = dict(backbone=part, decode_head=part, auxiliary_head=part)
vis_backends = [dict(type='LocalVisBackend'),
                dict(type='TensorboardVisBackend')]
visualizer = dict(vis_backends=vis_backends)
loader = dict(num_workers=0, persistent_workers=False, batch_size=2)
train_dataloader = val_dataloader = test_dataloader = loader
"""
ON = ['default_hooks.acon.type=acon_mm.AconStatsHook',
      'default_hooks.acon.interval=2']


def records(work_dir):
    """Lines of the local backend that are the hook's."""
    path, = Path(work_dir).glob('*/vis_data/scalars.json')
    lines = map(json.loads, path.read_text().splitlines())
    return [line for line in lines if any('acon/' in key for key in line)]


def hook(**kwargs):
    return dict(type='acon_mm.AconStatsHook', **kwargs)


def test_training_command_fills_every_backend(shapes_cityscapes, tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/shapes_cityscapes').symlink_to(shapes_cityscapes)
    (tmp_path / 'short.py').write_text(CONFIG)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(ROOT / 'tools/train.py'),
         'short.py', '--work-dir', 'out', '--cfg-options',
         'model.backbone.type=acon_mm.ResNetV1c',
         'model.backbone.act_cfg.type=AconC', 'train_cfg.max_iters=3',
         'train_cfg.val_interval=4', 'default_hooks.checkpoint.interval=3',
         *ON], cwd=tmp_path, capture_output=True, text=True,
        env=dict(os.environ, CUDA_VISIBLE_DEVICES='-1', OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stderr[-3000:]

    middle, last = records(tmp_path / 'out')
    assert (middle['step'], last['step']) == (2, 3)
    weights = torch.load(tmp_path / 'out/iter_3.pth',
                         weights_only=False)['state_dict']
    for path in ('backbone.layer1.0.act1', 'backbone.layer4.1.act2'):
        for name in ('p1', 'p2', 'beta'):
            value = weights[f'{path}.{name}']
            assert last[f'acon/{path}/{name}_mean'] == pytest.approx(
                value.mean().item(), rel=1e-6)
            assert last[f'acon/{path}/{name}_q90'] == pytest.approx(
                value.quantile(.9).item(), rel=1e-6)
    stage = torch.cat([weights[f'backbone.layer1.{block}.act{i}.p2']
                       for block in (0, 1) for i in (1, 2)])
    assert last['acon/backbone.layer1/p2_std'] == pytest.approx(
        stage.std(correction=0).item(), rel=1e-5)
    assert middle != last
    # near ReLU at the start, on inputs that a norm has spread
    assert last['acon/backbone.layer1/rectifier'] > .9

    events, = (tmp_path / 'out').glob('*/vis_data/events.*')
    read = EventAccumulator(str(events)).Reload()
    tags = [tag for tag in last if tag.startswith('acon/')]
    assert len(tags) > 100 and set(tags) <= set(read.Tags()['scalars'])
    for tag in tags[::10]:
        assert [(e.step, e.value) for e in read.Scalars(tag)] == [
            (2, pytest.approx(middle[tag], rel=1e-5)),
            (3, pytest.approx(last[tag], rel=1e-5))]
    assert [e.step for e in read.Images('acon_beta')] == [3]
    picture, = (tmp_path / 'out').glob('*/vis_data/vis_image/acon_beta_3.png')
    width, height = Image.open(picture).size
    assert width >= 900 and height >= 500


def test_it_looks_at_one_iteration_in_the_interval(tmp_path):
    model = train(tmp_path, hook(interval=3, image_interval=0), 7)
    assert model.watched == [0, 0, 2, 0, 0, 2, 2]
    assert [line['step'] for line in records(tmp_path)] == [3, 6, 7]
    assert not list(tmp_path.glob('*/vis_data/vis_image/*'))


def test_pictures_have_an_interval_of_their_own(tmp_path):
    train(tmp_path, hook(interval=100, image_interval=2), 5)
    assert {path.name for path in tmp_path.glob('*/vis_data/vis_image/*')
            } == {f'acon_beta_{step}.png' for step in (2, 4, 5)}


def test_a_training_with_it_ends_as_one_without(tmp_path):
    with_it = train(tmp_path / 'with', hook(interval=1)).state_dict()
    without = train(tmp_path / 'without', hook(interval=100,
                                               image_interval=0)).state_dict()
    assert all(torch.equal(with_it[k], without[k]) for k in without)


def test_meta_acons_beta_is_told_for_each_image(tmp_path):
    train(tmp_path, hook(interval=2))
    line = records(tmp_path)[0]
    assert 0 < line['acon/stage1.2/beta_mean'] < 1
    assert line['acon/stage1.2/beta_image_std'] > 0
    assert 'acon/stage2.2/beta_image_std' not in line


def test_mixed_precision_gives_the_same_statistics(tmp_path):
    model = train(tmp_path / 'half', hook(interval=1), wrapper=Bfloat16)
    assert model.dtype == torch.bfloat16
    train(tmp_path / 'full', hook(interval=1))
    for half, full in zip(records(tmp_path / 'half'),
                          records(tmp_path / 'full')):
        assert half.keys() == full.keys()
        for tag in full:
            if 'beta_image' not in tag:
                assert half[tag] == pytest.approx(full[tag], abs=.02), tag


def test_one_process_of_two_looks(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone',
         '--nproc-per-node', '2', str(Path(__file__).with_name(
             'hook_training.py')), str(tmp_path)],
        capture_output=True, text=True,
        env=dict(os.environ, OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stderr[-3000:]
    told = [line.split() for line in done.stdout.splitlines()
            if line.startswith('watched')]
    # two activations at two of four iterations
    assert sorted(int(line[1]) for line in told) == [0, 4]
    assert len({line[3] for line in told}) == 1
    assert [line['step'] for line in records(tmp_path)] == [2, 4]


def test_a_model_without_acon_is_told_once(tmp_path, capfd):
    model = train(tmp_path, hook(interval=1), kinds=(
        lambda c: nn.ReLU(), lambda c: nn.SiLU()))
    assert not any(model.watched) and not records(tmp_path)
    printed = capfd.readouterr()
    assert (printed.out + printed.err).count(
        'AconStatsHook found no AconA') == 1


@pytest.mark.parametrize('arguments, sentence', [
    (dict(interval=0), 'interval=0 of AconStatsHook must be an integer from '
     '1'),
    (dict(interval=2.5), 'interval=2.5 of'),
    (dict(image_interval=-1), 'image_interval=-1 of AconStatsHook must be'),
])
def test_intervals_are_counts(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        HOOKS.build(hook(**arguments))


def test_it_is_found_by_its_scope_alone():
    code = ("from mmengine.registry import HOOKS; print(HOOKS.build(dict("
            "type='acon_mm.AconStatsHook', interval=7)).interval)")
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                          capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == '7'
    assert isinstance(HOOKS.build(dict(type='AconStatsHook')), AconStatsHook)
