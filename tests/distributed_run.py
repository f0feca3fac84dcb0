"""A short training of a swapped model, by one process or by several.

``python [-m torch.distributed.run ...] distributed_run.py SETTINGS`` with
SETTINGS a dict as JSON: ``config`` (of configs/shapes), ``data``,
``work_dir``, ``placement``, and perhaps ``epochs``, ``resume`` and ``kill``,
the step at which rank 1 ends itself.
"""
import json
import os
import signal
import sys
from pathlib import Path

import cpu_launcher  # noqa: F401
import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS, init_default_scope
from mmengine.runner import Runner

CONFIGS = Path(__file__).parents[1] / 'configs/shapes'
PROCESSES = 2
BATCH = 2


@DATA_SAMPLERS.register_module()
class Shared:
    """Batches that one process sees one after the other, or several at once.
    """

    def __init__(self, dataset, seed=None):
        self.size = len(dataset)
        self.epoch = 0

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        order = torch.randperm(self.size, generator=generator)
        batches = order.view(-1, BATCH)
        return iter(batches[get_rank()::get_world_size()].flatten().tolist())

    def __len__(self):
        return self.size // get_world_size()

    def set_epoch(self, epoch):
        self.epoch = epoch


class Killed(Hook):
    """The end of a rank by a signal."""

    def __init__(self, step):
        self.step = step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.step and get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def load(settings):
    """A config that is shortened and without anything random."""
    cfg = Config.fromfile(CONFIGS / f'{settings["config"]}.py')
    cfg.work_dir = settings['work_dir']
    cfg.experiment_name = Path(cfg.work_dir).name
    cfg.resume = settings.get('resume', False)
    launched = 'RANK' in os.environ
    cfg.launcher = 'pytorch' if launched else 'none'
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel', device_ids=None)
    dataset = cfg.train_dataloader.dataset
    dataset.data_root = f'{settings["data"]}/'
    dataset.pipeline = [step for step in dataset.pipeline
                        if not step.type.startswith('Random')]
    for step in dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (64, 64)
    cfg.train_dataloader.update(
        batch_size=BATCH, num_workers=0, persistent_workers=False)
    # update() would merge the keys of the other
    cfg.train_dataloader.sampler = dict(type='Shared')
    cfg.train_dataloader.pop('batch_sampler', None)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop',
                         max_epochs=settings.get('epochs', 1))
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator',
                'test_dataloader', 'test_cfg', 'test_evaluator'):
        cfg[key] = None
    cfg.log_processor = dict(by_epoch=True)
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
    cfg.param_scheduler = None
    cfg.optim_wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=1e-3, momentum=.9),
        accumulative_counts=1 if launched else PROCESSES)
    cfg.model.backbone.update(
        type=f'acon_mm.{cfg.model.backbone.type.rpartition(".")[2]}',
        placement=settings['placement'], norm_eval=True)
    shorten(cfg.model)
    return cfg


def shorten(model):
    """Norms that are frozen, small heads, and no choice among samples."""
    if 'decode_head' in model:
        model.data_preprocessor.size = (64, 64)
        for part in ('backbone', 'decode_head', 'auxiliary_head'):
            model[part].norm_cfg = dict(type='BN')
            model[part].channels = 16
        del model.backbone['channels']
        for part in ('decode_head', 'auxiliary_head'):
            model[part].dropout_ratio = 0
            model[part].norm_cfg = None
    if 'roi_head' in model:
        for part in ('rpn', 'rcnn'):
            model.train_cfg[part].sampler.num = 10**6


def main():
    settings = json.loads(sys.argv[1])
    cfg = load(settings)
    init_default_scope(cfg.default_scope)
    runner = Runner.from_cfg(cfg)
    if 'kill' in settings:
        runner.register_hook(Killed(settings['kill']))
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0].tolist()
    Path(cfg.work_dir, f'losses-{get_rank()}.json').write_text(
        json.dumps(losses))


if __name__ == '__main__':
    main()
