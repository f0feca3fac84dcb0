"""The model that is checked, by its config."""
import json
import os
import re
from typing import NamedTuple

from acon_mm.probe.few import FEW, FEW_SAMPLES

# transformers whose position tables fit one size of image
FIXED_SIZE = ('BEiT', 'MAE')
SMALL_IMAGE = 64


class StockModel(NamedTuple):
    """One distinct model and the configs that have it.

    ``package`` is its scope; ``model`` is None where ``error`` says why.
    """
    package: str
    configs: list[str]
    model: dict | None
    error: str = ''


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
    line = ' '.join(str(error).split()).replace(os.path.expanduser('~'), '~')
    line = re.sub(r'[^\s\'"]*/site-packages/', '', line)
    return f'{type(error).__name__}: {line}'[:240]
