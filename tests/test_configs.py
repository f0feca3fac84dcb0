"""Every config in the folder builds its model and its optimizer."""
from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from acon_mm.base import AconBase

FOLDER = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(
    str(path.relative_to(FOLDER)) for path in FOLDER.rglob('*.py')
    # ImageNet's need MMPretrain: tests/test_imagenet.py builds them
    if '_base_' not in path.parts and 'imagenet' not in path.parts)


def acon_parameters(model):
    return {
        id(p): name
        for name, act in model.named_modules() if isinstance(act, AconBase)
        for p in act.parameters() if p.dim() == 1
    }


@pytest.mark.parametrize('config', CONFIGS)
def test_config_builds(config, scope):
    cfg = Config.fromfile(FOLDER / config)
    # an inferencer reads a checkpoint before it builds the model
    assert cfg.custom_imports.imports[-1].split('.')[0] == 'acon_mm'
    scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    one_dimensional = acon_parameters(model)
    if 'acon' in config:
        assert one_dimensional
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    decayed = [
        one_dimensional[id(p)] for group in optimizer.param_groups
        if group.get('weight_decay', 0) for p in group['params']
        if id(p) in one_dimensional
    ]
    assert not decayed


def test_there_is_a_config_for_each_model_activation_and_schedule():
    for depth in (50, 101):
        for act in ('aconc', 'metaacon'):
            for name in ('retinanet/retinanet', 'mask_rcnn/mask-rcnn'):
                assert f'{name}_r{depth}-{act}_fpn_1x_coco.py' in CONFIGS
            for schedule in ('40k', '80k'):
                assert (f'pspnet/pspnet_r{depth}-d8-{act}_4xb2-{schedule}_'
                        'cityscapes-512x1024.py') in CONFIGS
    for act in ('swish', 'prelu'):
        assert f'retinanet/retinanet_r50-{act}_fpn_1x_coco.py' in CONFIGS


@pytest.mark.parametrize('config', [
    f'{name}_r{depth}-metaacon_fpn_1x_coco.py' for depth in (50, 101)
    for name in ('retinanet/retinanet', 'mask_rcnn/mask-rcnn')])
def test_only_the_activations_differ_from_the_stock_config(config, scope):
    cfg = Config.fromfile(FOLDER / config)
    stock = Config.fromfile(
        Path(mmdet.__file__).parent / '.mim/configs' /
        config.replace('-metaacon', ''))
    scope(cfg.default_scope)
    ours = MODELS.build(cfg.model).state_dict()
    theirs = MODELS.build(stock.model).state_dict()
    assert set(theirs) <= set(ours)
    assert all('.act2.' in key for key in set(ours) - set(theirs))
    for key in set(cfg) - {'model', 'optim_wrapper', 'custom_imports'}:
        assert without_scope(cfg[key]) == stock[key], key


def without_scope(value):
    """A config's value without the marks of a base of another scope."""
    if isinstance(value, dict):
        return {
            k: without_scope(v) for k, v in value.items() if k != '_scope_'}
    if isinstance(value, (list, tuple)):
        return type(value)(without_scope(v) for v in value)
    return value
