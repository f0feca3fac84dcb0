"""What must be installed beside acon_mm, told at import.

pip cannot require "MMCV or its fork", nor one package's version by another's.
"""
import functools
import re
from importlib import import_module, metadata
from importlib.util import find_spec
from types import ModuleType

import numpy
import torch

OPENMMLAB = "mim install 'mmengine>=0.10' 'mmcv>=2.0.1,<2.2'"
OLDEST = dict(mmengine='0.10.0', mmcv='2.0.1')


def check() -> None:
    """Refuse versions that are known not to work.

    Raises:
        ImportError: One is missing or too old; the message names what works.
    """
    if _older(torch, '2.1'):
        raise ImportError(f'acon_mm needs torch 2.1 or newer, and this is '
                          f"{torch.__version__}: pip install 'torch>=2.1'")
    if _older(torch, '2.3') and not _older(numpy, '2'):
        raise ImportError(
            f'torch {torch.__version__} was compiled for numpy 1, and this '
            f"is numpy {numpy.__version__}: pip install 'numpy<2'")
    for name, oldest in OLDEST.items():
        module = _import(name)
        if _older(module, oldest):
            raise ImportError(
                f'acon_mm needs {name} {oldest} or newer, and this is '
                f'{module.__version__}: {OPENMMLAB}')


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ImportError(
            f'acon_mm needs {name}, which is not installed: {OPENMMLAB}, or '
            "in a clone of acon_mm requirements/mmcv.sh python && pip install "
            "'.[mim]'") from error


def _older(module: ModuleType, version: str) -> bool:
    # of 2.1.0a0 as of 2.1.0: vendors ship such builds
    numbers = [[int(part) for part in re.findall(r'\d+', text)[:3]]
               for text in (module.__version__, version)]
    return numbers[0] < numbers[1]


@functools.cache
def distribution_of(module: str) -> str:
    """What pip and mim call the package of a module: of ``mmdet`` that, or
    ``onedl-mmdetection``; the module's own name where there is none."""
    return metadata.packages_distributions().get(module, [module])[0]


def find_configs_of_forks() -> dict[str, str]:
    """Let MMEngine read ``_base_ = 'mmseg::...'`` beside a fork, which it
    looks for as ``mmsegmentation``, the original's distribution.

    Returns:
        dict: What pip calls the originals, by their modules.
    """
    from mmengine.config.utils import MODULE2PACKAGE
    packages = dict(MODULE2PACKAGE)
    for module, package in packages.items():
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            if find_spec(module):
                MODULE2PACKAGE[module] = module
    return packages


check()
PACKAGES = find_configs_of_forks()
