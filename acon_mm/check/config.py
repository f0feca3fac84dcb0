"""The overrides in a user's config, and the stock model without them."""
from pathlib import Path

from mmengine.hub import get_config

from acon_mm.act_cfg import take_act_cfg
from acon_mm.base import AconBase
from acon_mm.check.subject import StockModel, shrink
from acon_mm.config_files import read_config
from acon_mm.lookup import SCOPE, find_stock
from acon_mm.registry import MODELS

RECTIFIER = dict(type='ReLU')  # what the layers have that take an act_cfg


def load_model(path: str, options: dict) -> StockModel:
    """The model of a config, small.

    Args:
        path (str): Of a .py, .json or .yml file, or ``package::path`` for
            one that a package ships.
        options (dict): Of ``--cfg-options``.

    Raises:
        ValueError: There is no such file, it cannot be read, or it has no
            model.
    """
    if '::' in path:
        cfg = get_config(path)
    elif Path(path).is_file():
        cfg = read_config(path)
    else:
        raise ValueError(f'{path} is no file: give the path of a config, or '
                         'mmdet::PATH for one that mmdet ships.')
    cfg.merge_from_dict(options)
    if not isinstance(cfg.get('model'), dict):
        raise ValueError(f'{path} has no model: give a config with one.')
    return StockModel(cfg.get('default_scope') or 'mmengine', [path],
                      shrink(cfg.model.to_dict()))


def without_override(cfg):
    """The config of the stock model: no override, ReLU for ACON layers.

    Raises:
        KeyError: There is no such stock module.
    """
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(without_override(item) for item in cfg)
    if not isinstance(cfg, dict):
        return cfg
    name = str(cfg.get('type')).removeprefix(f'{SCOPE}.')
    own = MODELS.module_dict.get(name)
    if isinstance(own, type) and issubclass(own, AconBase):
        return dict(RECTIFIER)
    stock = {key: without_override(value) for key, value in cfg.items()}
    if own is not None or not str(cfg.get('type')).startswith(f'{SCOPE}.'):
        return stock
    scope, key = MODELS.split_scope_key(name)
    stock.pop('placement', None)
    take_act_cfg(find_stock(key, scope, None), name, stock)
    return stock | dict(type=name)
