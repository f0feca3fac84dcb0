"""Reading and writing checkpoint files without harm to either."""
import os
from pathlib import Path
from typing import Any

import torch

from acon_mm.checkpoints.converter import Conversion


def load_released(path: str) -> Any:
    """Read a checkpoint; nothing in the file is executed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or holds more than tensors.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'{path} is not a file: give the downloaded checkpoint.')
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged pickle raises almost anything
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        raise ValueError(f'{path} cannot be read as a checkpoint of tensors '
                         f'({reason}): download it again.') from error


def save_converted(conversion: Conversion, path: str) -> None:
    """Write a conversion for ``init_cfg=dict(type='Pretrained', ...)``.

    The file appears complete or not at all.

    Raises:
        FileExistsError: ``path`` exists.
        FileNotFoundError: The folder does not.
    """
    target = Path(path)
    if target.exists():
        raise FileExistsError(
            f'{path} exists: move it away or choose another name.')
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f'{target.parent} is not a folder: create it first.')
    content = dict(
        meta=dict(
            name=conversion.name,
            backbone=conversion.backbone,
            data_preprocessor=conversion.data_preprocessor),
        state_dict=conversion.state_dict)
    draft = target.with_name(f'.{target.name}.{os.getpid()}')
    try:
        torch.save(content, draft)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
