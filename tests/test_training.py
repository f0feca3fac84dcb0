"""Short real trainings through mim's command line: train, resume, test."""
import os
import subprocess
from pathlib import Path

import pytest
import torch

from acon_mm.installed import distribution_of

CLASSES = "('circle','square','triangle','star','ring','cross')"
DETECTION = {
    f'{split}_dataloader.{key}': value
    for split in ('train', 'val', 'test') for key, value in {
        'num_workers': 0,
        'persistent_workers': False,
        'dataset.metainfo.classes': CLASSES,
        # the third step of every stock pipeline here is Resize, but for
        # evaluation, where it is the second
        f'dataset.pipeline.{2 if split == "train" else 1}.scale': '(64,64)',
    }.items()
}
SHORT = {
    'train_dataloader.batch_size': 4,
    'default_hooks.logger.interval': 1,
    'optim_wrapper.optimizer.lr': 0.0001,
    # no weights can be downloaded in a test
    'model.backbone.init_cfg': None,
}


def mim(*words, options, work_dir):
    """Run a mim command on the CPU; fail with what it printed."""
    command = [
        'mim', *words, '--work-dir', str(work_dir), '--cfg-options',
        *(f'{key}={value}' for key, value in options.items())
    ]
    environment = dict(os.environ, CUDA_VISIBLE_DEVICES='-1')
    done = subprocess.run(command, env=environment, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout + done.stderr


def checkpoint(work_dir):
    return Path((work_dir / 'last_checkpoint').read_text().strip())


def new_parameters(file):
    state = torch.load(file, weights_only=False)['state_dict']
    return {k: v for k, v in state.items() if '.act2.' in k}


@pytest.mark.parametrize('config, model', [
    ('retinanet_r50_fpn_1x_coco.py', {
        'model.bbox_head.num_classes': 6,
        'model.bbox_head.in_channels': 32,
        'model.bbox_head.feat_channels': 32,
        'model.test_cfg.score_thr': 0}),
    ('mask-rcnn_r50_fpn_1x_coco.py', {
        'model.rpn_head.in_channels': 32,
        'model.rpn_head.feat_channels': 32,
        'model.roi_head.bbox_roi_extractor.out_channels': 32,
        'model.roi_head.mask_roi_extractor.out_channels': 32,
        'model.roi_head.bbox_head.in_channels': 32,
        'model.roi_head.bbox_head.fc_out_channels': 128,
        'model.roi_head.bbox_head.num_classes': 6,
        'model.roi_head.mask_head.in_channels': 32,
        'model.roi_head.mask_head.conv_out_channels': 32,
        'model.roi_head.mask_head.num_classes': 6,
        'model.test_cfg.rcnn.score_thr': 0,
        # regions are what takes the time
        'model.train_cfg.rpn_proposal.max_per_img': 50,
        'model.train_cfg.rcnn.sampler.num': 32,
        'model.test_cfg.rpn.max_per_img': 50,
        'model.test_cfg.rcnn.max_per_img': 10}),
])
def test_stock_detectors_train_resume_and_test(config, model, shapes_coco,
                                               tmp_path):
    options = dict(SHORT, **DETECTION, **model)
    options['train_cfg.val_interval'] = 2
    options['default_hooks.checkpoint.interval'] = 2
    options['model.backbone.type'] = 'acon_mm.ResNet'
    options['model.backbone.depth'] = 18
    options['model.neck.in_channels'] = '[64,128,256,512]'
    options['model.neck.out_channels'] = 32
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.dataset.data_root'] = f'{shapes_coco}/'
    for evaluator in ('val_evaluator', 'test_evaluator'):
        options[f'{evaluator}.ann_file'] = (
            shapes_coco / 'annotations/instances_val2017.json')
    train_and_test('mmdet', config, options, tmp_path,
                   epoch='train_cfg.max_epochs', metric='coco/bbox_mAP')


def test_stock_pspnet_trains_resumes_and_tests(shapes_cityscapes, tmp_path):
    options = dict(SHORT)
    options.update({
        'model.backbone.type': 'acon_mm.ResNetV1c',
        'model.backbone.depth': 18,
        'model.pretrained': None,
        'model.decode_head.in_channels': 512,
        'model.decode_head.channels': 32,
        'model.decode_head.num_classes': 19,
        'model.auxiliary_head.in_channels': 256,
        'crop_size': '(64,64)',
        'model.data_preprocessor.size': '(64,64)',
        'train_cfg.val_interval': 2,
        'default_hooks.checkpoint.interval': 2,
        'train_dataloader.dataset.pipeline.2.scale': '(64,64)',
        'train_dataloader.dataset.pipeline.3.crop_size': '(64,64)',
    })
    for part in ('backbone', 'decode_head', 'auxiliary_head'):
        options[f'model.{part}.norm_cfg.type'] = 'BN'
    for split in ('train', 'val', 'test'):
        loader = f'{split}_dataloader'
        options[f'{loader}.num_workers'] = 0
        options[f'{loader}.persistent_workers'] = False
        options[f'{loader}.dataset.data_root'] = f'{shapes_cityscapes}/'
        if split != 'train':
            options[f'{loader}.dataset.pipeline.1.scale'] = '(64,64)'
    train_and_test('mmseg',
                   'pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py', options,
                   tmp_path, epoch='train_cfg.max_iters', metric='mIoU')


def train_and_test(package, config, options, tmp_path, epoch, metric):
    """Two epochs (or iterations), two more, and an evaluation."""
    package = distribution_of(package)
    work_dir = tmp_path / 'work'
    first = dict(options, **{epoch: 2})
    out = mim('train', package, config, options=first, work_dir=work_dir)
    assert out.count('ReLU -> MetaAconC') == 1
    trained = new_parameters(checkpoint(work_dir))
    assert trained and all(torch.isfinite(v).all() for v in trained.values())

    more = dict(options, **{epoch: 4})
    out = mim('train', package, config, '--resume', options=more,
              work_dir=work_dir)
    assert 'resumed' in out
    later = new_parameters(checkpoint(work_dir))
    # fc2 and bn2 begin at zero, where the first small steps can be seen
    assert any(not torch.equal(trained[k], later[k]) for k in trained
               if k.endswith(('bn2.weight', 'bn2.bias')))

    out = mim('test', package, config, '--checkpoint',
              str(checkpoint(work_dir)), options=options, work_dir=work_dir)
    assert metric in out
