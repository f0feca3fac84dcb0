"""The distinct models among the configs that a package ships.

A detector or segmentor of mmdet and mmseg is swept as a whole. Of any other
package of OpenMMLab it is the backbones; timm and torchvision have models
without configs.
"""
import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from acon_mm.check.subject import StockModel, reason, text
from acon_mm.installed import PACKAGES
from stock_models.libraries import LIBRARIES, models_of

WHOLE = ('mmdet', 'mmseg')
# what two models may differ in and still have the same activations, in
# the same places and of the same widths
NO_LAYERS = frozenset((
    'num_classes', 'num_things_classes', 'num_stuff_classes', 'test_cfg',
    'init_cfg', 'pretrained', 'data_preprocessor', 'align_corners',
    'drop_path_rate', 'dropout_ratio'))


class StockConfig(NamedTuple):
    """One config and what of it is swept; ``error`` says why nothing is."""
    package: str
    path: str
    models: list[dict]
    error: str = ''


def module_name(package: str) -> str:
    """What is imported of an installed package, e.g. mmaction of mmaction2.

    Raises:
        ValueError: It is not installed, or ships no configs.
    """
    names = {distribution: name
             for name, distribution in PACKAGES.items()}
    name = names.get(package, package)
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None:
        raise ValueError(f'{package!r} is not installed: pip install '
                         f'{PACKAGES.get(name, package)}')
    if name not in LIBRARIES and not config_root(name).is_dir():
        raise ValueError(f'{package!r} ships no configs: name a package of '
                         f'OpenMMLab, {" or ".join(LIBRARIES)}')
    return name


def config_root(package: str) -> Path:
    """Folder of the configs that came with an installed package."""
    return Path(find_spec(package).origin).parent / '.mim' / 'configs'


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """``contextlib.chdir``, which Python 3.10 has not."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def list_configs(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(package, path) of all configs, those of ``_base_`` left out."""
    for package in packages:
        root = config_root(package)
        for path in sorted(root.rglob('*.py')):
            name = path.relative_to(root).as_posix()
            if '_base_' not in path.parts:
                yield package, name


def load_config(package: str, path: str) -> StockConfig:
    """Read one config; what is wrong with it goes into ``error``."""
    root = config_root(package)
    try:
        with working_in(root.parent):  # some read 'configs/...'
            cfg = Config.fromfile(root / path)
        model = cfg.get('model')
        model = {} if model is None else model.to_dict()
    except Exception as error:
        return StockConfig(package, path, [], reason(error))
    if package in WHOLE:
        return StockConfig(package, path, [model] if model else [])
    return StockConfig(package, path, list(_backbones(model)))


def _load_one(names: tuple[str, str]) -> StockConfig:
    return load_config(*names)


def _backbones(cfg) -> Iterator[dict]:
    """Configs of backbones anywhere in a model's."""
    if isinstance(cfg, (list, tuple)):
        for item in cfg:
            yield from _backbones(item)
    elif isinstance(cfg, dict):
        for key, value in cfg.items():
            if 'backbone' in key and isinstance(value, dict) and isinstance(
                    value.get('type'), str):
                yield value
            else:
                yield from _backbones(value)


def load_models(packages: Sequence[str], pool: Executor) -> list[StockModel]:
    """All distinct models, in the order of their first configs."""
    listed = list_configs([p for p in packages if p not in LIBRARIES])
    configs = pool.map(_load_one, listed, chunksize=16)
    models: dict[str, StockModel] = {}
    for config in configs:
        for number, model in enumerate(config.models or [None]):
            if model is None and not config.error:
                continue  # a config without a model
            key = config.path if model is None else text(model)
            name = config.path + (f'#{number}' if number else '')
            known = models.setdefault(
                f'{config.package} {key}',
                StockModel(config.package, [], model, config.error))
            known.configs.append(name)
    return list(models.values()) + [
        model for package in packages if package in LIBRARIES
        for model in models_of(package)]


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
