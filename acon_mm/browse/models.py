"""Trained models, and the validation images that they are run over."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner, load_checkpoint
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import DataLoader, Subset

from acon_mm.checkpoints.files import config_in, load_local
from acon_mm.config_files import read_config, read_dumped_config


class Source(NamedTuple):
    """Where a model comes from.

    Attributes:
        config (Config): Its config.
        checkpoint (Path, optional): Its weights; None for its start.
    """
    config: Config
    checkpoint: Path | None


def parse_source(text: str, cfg_options: dict[str, Any] | None = None
                 ) -> Source:
    """Read ``CHECKPOINT``, ``CONFIG`` or ``CONFIG:CHECKPOINT``.

    Args:
        text (str): A checkpoint that MMEngine saved in a training holds its
            config; one that was converted or published may not.
        cfg_options (dict, optional): Changes of the config.

    Raises:
        ValueError: A file is not there, or the checkpoint has no config; one
            sentence with the way out.
    """
    config, _, checkpoint = text.partition(':')
    if not config.endswith('.py'):
        config, checkpoint = '', text
    for file in filter(None, (config, checkpoint)):
        if not Path(file).is_file():
            raise ValueError(f'{file} is no file: give CHECKPOINT, CONFIG '
                             'or CONFIG:CHECKPOINT.')
    cfg = read_config(config) if config else _config_of(checkpoint)
    cfg.merge_from_dict(cfg_options or {})
    return Source(cfg, Path(checkpoint) if checkpoint else None)


def _config_of(checkpoint: str) -> Config:
    try:
        text = config_in(load_local(checkpoint, 'cpu'))
    except Exception as error:  # torch has several for what is no checkpoint
        reason = str(error).partition('\n')[0]
        raise ValueError(f'{checkpoint} is no checkpoint: {reason}'
                         ) from error
    way_out = f'give CONFIG:{checkpoint}.'
    if text is None:
        raise ValueError(f'{checkpoint} has no config: {way_out}')
    try:
        return read_dumped_config(text)
    except ValueError as error:
        raise ValueError(f'{checkpoint} has {error}, which is not run: '
                         f'{way_out}') from error


def build(source: Source, device: str = 'cpu') -> nn.Module:
    """The model, in evaluation mode, with the weights if there are any."""
    with DefaultScope.overwrite_default_scope(
            source.config.get('default_scope')):
        model = MODELS.build(source.config.model)
    if source.checkpoint:
        load_checkpoint(model, str(source.checkpoint), map_location='cpu',
                        logger='current')
    return model.to(device).eval()


def validation_loader(config: Config, images: int | Sequence[int]
                      ) -> DataLoader:
    """The first ``images`` of the validation set (all, where there are fewer),
    or those of these numbers.

    The classes are in ``dataset.metainfo``.

    Raises:
        ValueError: The config has none, its files are not there, or it has
            no image of that number.
    """
    loader = config.get('val_dataloader')
    if loader is None:
        raise ValueError(f'{config.filename} has no val_dataloader: give one '
                         'by --cfg-options or in the config.')
    loader = dict(loader, num_workers=0, persistent_workers=False)
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        try:
            dataset = DATASETS.build(loader['dataset'])
        except FileNotFoundError as error:
            raise ValueError(
                f'The validation images are not there ({error}): say where '
                'by --cfg-options val_dataloader.dataset.data_root=FOLDER/.'
            ) from error
        chosen = images
        if isinstance(images, int):
            chosen = range(min(images, len(dataset)))
        if max(chosen) >= len(dataset):
            raise ValueError(f'There is no image {max(chosen)}: the '
                             f'validation set has {len(dataset)}.')
        loader['dataset'] = subset = Subset(dataset, list(chosen))
        subset.metainfo = dataset.metainfo
        return Runner.build_dataloader(loader)


def run_over(model: nn.Module, loader: DataLoader) -> list[BaseDataElement]:
    """The data samples of the images, with what the model predicts."""
    samples: list[BaseDataElement] = []
    with torch.no_grad():
        for batch in loader:
            samples += model.test_step(batch)
    return samples
