"""ImageNet pretraining with mmpretrain, and its hand-over to detection."""
from collections import Counter
from pathlib import Path

import cv2
import mmpretrain.models
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS
from mmengine.runner import Runner

FOLDER = Path(__file__).parents[1] / 'configs' / 'imagenet'
CONFIGS = sorted(path.name for path in FOLDER.glob('*.py'))


def load(name):
    return Config.fromfile(FOLDER / name)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Two classes of drawn images."""
    root = tmp_path_factory.mktemp('imagenet')
    rng = np.random.RandomState(0)
    for label in ('circle', 'square'):
        (root / label).mkdir()
        for i in range(4):
            image = rng.randint(0, 80, (72, 72, 3), dtype=np.uint8)
            if label == 'circle':
                cv2.circle(image, (36, 36), 20, (255, 200, 50), -1)
            else:
                cv2.rectangle(image, (16, 16), (56, 56), (255, 200, 50), -1)
            cv2.imwrite(str(root / label / f'{i}.png'), image)
    return root


def test_every_network_has_its_configs():
    networks = [
        *(f'resnet{d}-{a}_8xb32' for d in (50, 101, 152)
          for a in ('metaacon', 'aconc', 'relu', 'swish')),
        *(f'{n}-{w}x-{a}_8xb128'
          for n, widths in (('shufflenetv2', (0.5, 1.0, 1.5, 2.0)),
                            ('mobilenetv1', (0.25, 0.5, 0.75, 1.0)))
          for w in widths for a in ('metaacon', 'aconc', 'relu', 'swish')),
        *(f'tfnet-{w}x{a}_8xb128' for w in (0.5, 1.0, 1.5, 2.0)
          for a in ('', '-relu', '-swish')),
    ]
    assert CONFIGS == sorted(f'{name}_in1k.py' for name in networks)


@pytest.mark.parametrize('name', CONFIGS)
def test_configs_build_and_the_head_fits(name, scope):
    scope('mmpretrain')
    cfg = load(name)
    assert cfg.custom_imports.imports == ['acon_mm']
    model = MODELS.build(cfg.model).eval().to('meta')
    assert isinstance(model, mmpretrain.models.ImageClassifier)
    # shapes alone, without arithmetic
    scores = model(torch.zeros(1, 3, 64, 64, device='meta'))
    assert scores.shape == (1, 1000)
    kinds = Counter(type(m).__name__ for m in model.backbone.modules())
    act = name.split('_')[0].rpartition('-')[2]
    wanted = dict(metaacon='MetaAconC', aconc='AconC', swish='Swish',
                  relu='ReLU').get(act, 'AconFReLU')
    assert wanted in kinds
    assert not {'MetaAconC', 'AconC', 'Swish', 'AconFReLU'
                } - {wanted} & kinds.keys()
    if name.startswith('resnet') and act != 'relu':
        # one in each block, after the 3x3 convolution
        assert kinds[wanted] == {'50': 16, '101': 33, '152': 50}[
            name.split('-')[0].removeprefix('resnet')]


@pytest.mark.parametrize(('name', 'lr', 'decay', 'batch', 'iterations'), [
    ('resnet50-metaacon_8xb32_in1k.py', 0.1, 1e-4, 256, 600000),
    ('shufflenetv2-0.5x-metaacon_8xb128_in1k.py', 0.5, 4e-5, 1024, 300000),
])
def test_the_recipe_is_the_authors(name, lr, decay, batch, iterations, scope):
    scope('mmpretrain')
    cfg = load(name)
    assert 8 * cfg.train_dataloader.batch_size == batch
    assert cfg.train_cfg.max_iters == cfg.param_scheduler.end == iterations
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for group in wrapper.param_groups:
        flat = all(p.dim() == 1 for p in group['params'])
        assert group['weight_decay'] == (0 if flat else decay)
    cfg.param_scheduler.end = 10
    schedule = PARAM_SCHEDULERS.build(
        dict(cfg.param_scheduler, optimizer=wrapper.optimizer))
    rates = []
    for _ in range(10):
        rates.append(wrapper.param_groups[0]['lr'])
        wrapper.optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates, np.linspace(lr, 0, 10), atol=1e-12)


def shorten(cfg, images, work_dir):
    """Two iterations on small images, then a validation."""
    crop = dict(type='CenterCrop', crop_size=64)
    dataset = dict(
        type='CustomDataset',
        data_root=str(images),
        pipeline=[
            dict(type='LoadImageFromFile'), crop,
            dict(type='PackInputs')
        ])
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(
            batch_size=4,
            num_workers=0,
            persistent_workers=False)
        loader.dataset = dict(dataset)  # update() would merge the two
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.optim_wrapper.optimizer.lr = 0.01
    cfg.default_hooks.checkpoint.interval = 2
    cfg.randomness = dict(seed=0)
    cfg.work_dir = str(work_dir)


@pytest.mark.parametrize('name', [
    'resnet50-metaacon_8xb32_in1k.py',
    'shufflenetv2-0.5x-metaacon_8xb128_in1k.py',
    'mobilenetv1-0.25x-aconc_8xb128_in1k.py',
    'tfnet-0.5x_8xb128_in1k.py',
])
def test_pretraining_feeds_a_detector(name, images, tmp_path, scope):
    scope('mmpretrain')
    cfg = load(name)
    shorten(cfg, images, tmp_path)
    cfg.experiment_name = name
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert 'accuracy/top1' in str(runner.message_hub.log_scalars.keys())
    trained = runner.model.backbone.state_dict()
    backbone = dict(
        cfg.model.backbone,
        init_cfg=dict(
            type='Pretrained',
            checkpoint=str(tmp_path / 'iter_2.pth'),
            prefix='backbone.'))
    scope('mmdet')
    net = MODELS.build(backbone)
    net.init_weights()
    state = net.state_dict()
    assert state.keys() == trained.keys()
    assert all(torch.equal(state[key], trained[key]) for key in state)
