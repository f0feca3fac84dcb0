"""Configs on ShuffleNetV2 and TFNet: short real trainings, official weights.
"""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from parity_cases import fill_checkpoint
from released_networks import ResNet, shufflenet, tfnet

from acon_mm.checkpoints import convert, save_converted

CONFIGS = Path(__file__).parents[1] / 'configs'
NETWORKS = ('shufflenetv2-1.5x-metaacon', 'tfnet-1.5x')
CITYSCAPES = '4xb2-40k_cityscapes-512x1024'
TRAININGS = [
    pytest.param(task, network, marks=[pytest.mark.slow] * (
        task == 'mask_rcnn')) for network in NETWORKS
    for task in ('retinanet', 'mask_rcnn', 'pspnet')]
RELEASED = {
    'r50-metaacon': lambda: ResNet((3, 4, 6, 3), True),
    'shufflenetv2-1.5x-metaacon': lambda: shufflenet(
        (176, 352, 704, 1024), 16, True),
    'tfnet-1.5x': lambda: tfnet(24),
}


def load(task, network):
    if task == 'pspnet':
        depth = '-d8' if network.startswith('r50') else ''
        name, _, rest = network.partition('-')
        network = f'{name}{depth}-{rest}'
        path = CONFIGS / task / f'pspnet_{network}_{CITYSCAPES}.py'
    else:
        stem = task.replace('_', '-')
        path = CONFIGS / task / f'{stem}_{network}_fpn_1x_coco.py'
    return Config.fromfile(path)


def use_coco(cfg, root):
    dataset = cfg.train_dataloader.dataset
    dataset.data_root = f'{root}/'
    dataset.metainfo = dict(classes=('circle', 'square', 'triangle', 'star',
                                     'ring', 'cross'))
    for step in dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (64, 64)


def use_cityscapes(cfg, root):
    cfg.train_dataloader.dataset = dict(
        type='BaseSegDataset',
        data_root=str(root),
        data_prefix=dict(
            img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        img_suffix='_leftImg8bit.png',
        seg_map_suffix='_gtFine_labelTrainIds.png',
        metainfo=dict(classes=('a', 'b', 'c', 'd', 'e', 'f', 'g')),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs')
        ])
    cfg.model.data_preprocessor.size = (64, 64)


def shorten(cfg, work_dir):
    """Three iterations of two images, no validation."""
    cfg.work_dir = str(work_dir)
    cfg.train_dataloader.update(
        batch_size=2,
        num_workers=0,
        persistent_workers=False,
        sampler=dict(type='InfiniteSampler', shuffle=False))
    cfg.train_dataloader.pop('batch_sampler', None)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=3)
    # the stock rate is for weights from ImageNet and a warm-up
    cfg.optim_wrapper.optimizer.lr = 0.001
    cfg.param_scheduler = None
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator',
                'test_dataloader', 'test_cfg', 'test_evaluator'):
        cfg[key] = None
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=3)
    cfg.randomness = dict(seed=0)
    # no weights of ImageNet here, and so nothing to keep as it is
    cfg.model.backbone.update(
        init_cfg=None, frozen_stages=-1, norm_eval=False)
    if cfg.model.backbone.type == 'acon_mm.ShuffleNetV2':
        # a norm over two images, one value each, is no norm
        cfg.model.backbone.act_cfg.norm_cfg = None


@pytest.mark.parametrize(('task', 'network'), TRAININGS)
def test_a_short_training(task, network, shapes_coco, shapes_cityscapes,
                          tmp_path, scope):
    scope('mmseg' if task == 'pspnet' else 'mmdet')
    cfg = load(task, network)
    if task == 'pspnet':
        use_cityscapes(cfg, shapes_cityscapes)
    else:
        use_coco(cfg, shapes_coco)
    shorten(cfg, tmp_path)
    cfg.experiment_name = f'{task}-{network}'
    runner = Runner.from_cfg(cfg)
    before = {n: p.detach().clone()
              for n, p in runner.model.backbone.named_parameters()}
    runner.train()
    # without weight decay on them, only a gradient moves these
    unmoved = [n for n, p in runner.model.backbone.named_parameters()
               if p.dim() == 1 and torch.equal(p, before[n])]
    assert not unmoved
    losses = runner.message_hub.get_scalar('train/loss')
    assert len(losses.data[0]) == 3
    assert torch.tensor(losses.data[0]).isfinite().all()
    assert (tmp_path / 'iter_3.pth').is_file()


@pytest.mark.parametrize('task', ['retinanet', 'pspnet'])
@pytest.mark.parametrize('network', RELEASED)
def test_official_configs_take_the_converted_weights(task, network, tmp_path,
                                                     scope):
    scope('mmseg' if task == 'pspnet' else 'mmdet')
    conversion = convert(
        fill_checkpoint({
            name: list(value.shape)
            for name, value in RELEASED[network]().state_dict().items()
        }, torch.float32))
    path = tmp_path / 'converted.pth'
    save_converted(conversion, path)
    cfg = load(task, f'{network}-official')
    preprocessor = cfg.model.data_preprocessor
    for key, value in conversion.data_preprocessor.items():
        assert preprocessor[key] == value
    backbone = cfg.model.backbone
    assert not cfg.model.get('pretrained')
    backbone.init_cfg.checkpoint = str(path)
    net = MODELS.build(backbone)
    net.init_weights()
    for key, value in net.state_dict().items():
        assert torch.equal(value, conversion.state_dict[key]), key
    # the same function: what the weights do not hold agrees too
    official = MODELS.build(conversion.backbone)
    acts = [[(m.r, m.beta_scale, m.level) for m in n.modules()
             if type(m).__name__ == 'MetaAconC'] for n in (net, official)]
    assert acts[0] == acts[1][:len(acts[0])]
