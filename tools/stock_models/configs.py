"""The distinct models among the configs that mmdet and mmseg ship."""
import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

PACKAGES = ('mmdet', 'mmseg')
# work that a config asks for and that no layer depends on
FEW = dict(nms_pre=64, max_per_img=16, num_points=196, max_num=16)
FEW_SAMPLES = 16
# transformers whose position tables fit one size of image
FIXED_SIZE = ('BEiT', 'MAE')
SMALL_IMAGE = 64

# what two models may differ in and still have the same activations, in
# the same places and of the same widths
NO_LAYERS = frozenset((
    'num_classes', 'num_things_classes', 'num_stuff_classes', 'test_cfg',
    'init_cfg', 'pretrained', 'data_preprocessor', 'align_corners',
    'drop_path_rate', 'dropout_ratio'))


class StockConfig(NamedTuple):
    """One config; ``model`` is None where ``error`` says why."""
    package: str
    path: str
    model: dict | None
    error: str = ''


class StockModel(NamedTuple):
    """One distinct model and the configs that have it."""
    package: str
    configs: list[str]
    model: dict | None
    error: str = ''


def config_root(package: str) -> Path:
    """Folder of the configs that came with an installed package."""
    return Path(find_spec(package).origin).parent / '.mim' / 'configs'


def list_configs() -> Iterator[tuple[str, str]]:
    """(package, path) of all configs, those of ``_base_`` left out."""
    for package in PACKAGES:
        root = config_root(package)
        for path in sorted(root.rglob('*.py')):
            name = path.relative_to(root).as_posix()
            if '_base_' not in path.parts:
                yield package, name


def load_config(package: str, path: str) -> StockConfig:
    """Read one config; what is wrong with it goes into ``error``."""
    root = config_root(package)
    try:
        with contextlib.chdir(root.parent):  # some read 'configs/...'
            cfg = Config.fromfile(root / path)
    except Exception as error:
        return StockConfig(package, path, None, reason(error))
    if cfg.get('model') is None:
        return StockConfig(package, path, None)
    return StockConfig(package, path, cfg.model.to_dict())


def load_models(pool: Executor) -> list[StockModel]:
    """All distinct models, in the order of their first configs."""
    configs = pool.map(load_config, *zip(*list_configs()), chunksize=16)
    models: dict[str, StockModel] = {}
    for config in configs:
        if config.model is None and not config.error:
            continue  # a config without a model
        key = config.path if config.model is None else text(config.model)
        model = models.setdefault(
            f'{config.package} {key}',
            StockModel(config.package, [], config.model, config.error))
        model.configs.append(config.path)
    return list(models.values())


def group_by_layers(models: list[StockModel]) -> list[list[StockModel]]:
    """Models that differ in classes, weights or testing alone, together."""
    groups: dict[str, list[StockModel]] = {}
    for model in models:
        key = model.configs[0] if model.model is None else text(
            _without(model.model, NO_LAYERS))
        groups.setdefault(f'{model.package} {key}', []).append(model)
    return list(groups.values())


def _without(cfg, keys: frozenset[str]):
    if isinstance(cfg, (list, tuple)):
        return [_without(item, keys) for item in cfg]
    if not isinstance(cfg, dict):
        return cfg
    return {name: _without(value, keys) for name, value in cfg.items()
            if name not in keys}


def text(cfg) -> str:
    """A config in one canonical line."""
    return json.dumps(cfg, sort_keys=True, default=repr)


def shrink(cfg):
    """A model's config that is quick to build and to train a step.

    Fewer proposals, samples, points and prompts, which cost most of a step
    on the CPU and change no layer; a small image for the transformers that
    take one size alone; and no checkpoint to download.
    """
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(shrink(item) for item in cfg)
    if not isinstance(cfg, dict):
        return cfg
    if cfg.get('type') == 'Pretrained':
        return None
    small = {
        name: min(value, FEW[name]) if name in FEW and isinstance(value, int)
        else shrink(value)
        for name, value in cfg.items()
    }
    if str(cfg.get('type')).endswith('Sampler') and 'num' in cfg:
        small['num'] = min(cfg['num'], FEW_SAMPLES)
    if cfg.get('type') in FIXED_SIZE and 'img_size' in cfg:
        small['img_size'] = SMALL_IMAGE
    if 'templates' in cfg:
        small['templates'] = ['a photo of a {}.']
    if isinstance(cfg.get('pretrained'), str):
        small['pretrained'] = None
    return small


def reason(error: BaseException) -> str:
    """One line that says what went wrong, without local paths."""
    text = ' '.join(str(error).split()).replace(os.path.expanduser('~'), '~')
    for package in ('mmdet', 'mmseg', 'torch'):
        site = Path(find_spec(package).origin).parents[1]
        text = text.replace(f'{site}/', '')
    return f'{type(error).__name__}: {text}'[:240]
