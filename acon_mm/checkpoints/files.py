"""Reading and writing checkpoint files without harm to either."""
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from mmengine.runner import CheckpointLoader

from acon_mm.checkpoints.converter import Conversion
from acon_mm.functional.torch_versions import VERSION
from acon_mm.whole_files import whole

# 2.6 and later are safe by themselves, unless the user's environment says
# otherwise; before 2.4 MMEngine's types cannot be declared
SAFE: dict[str, Any] = (
    dict(weights_only=True) if (2, 4) <= VERSION < (2, 6) else {})


def load_released(path: str) -> Any:
    """Read a checkpoint; nothing in the file is executed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, holds more than tensors, or a NaN.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'{path} is not a file: give the downloaded checkpoint.')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged pickle raises almost anything
        raise ValueError(f'{path} cannot be read as a checkpoint of tensors '
                         f'({_reason(error)}): download it again.') from error
    return _without_nan(content, path)


def load_local(filename: str, map_location: Any = None) -> Any:
    """Read one of MMEngine's checkpoints, as its own function does.

    Raises:
        FileNotFoundError: There is no such file.
        UnpicklingError: The file holds what is not declared safe.
        ValueError: The file is damaged, or weights of it are NaN.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{filename} is no file: give the path of a '
                                'checkpoint.')
    try:
        content = torch.load(path, map_location=map_location, **SAFE)
    except UnpicklingError:
        raise
    except Exception as error:
        raise ValueError(
            f'{filename} cannot be read as a checkpoint ({_reason(error)}): '
            'it is damaged or cut short, take another.') from error
    return _without_nan(content, filename)


def _without_nan(content: Any, path: str) -> Any:
    """The content, of which no weight is NaN; infinity may be a mask."""
    state = content.get('state_dict', content) if isinstance(
        content, dict) else None
    for name, value in (state.items() if isinstance(state, dict) else ()):
        if isinstance(value, torch.Tensor) and value.is_floating_point() and (
                value.isnan().any()):
            raise ValueError(
                f'{path} has NaN among the numbers of {name}: take a '
                'checkpoint from before its training diverged.')
    return content


def config_in(checkpoint: Any) -> str | None:
    """Text of the config in one of MMEngine's checkpoints, if it has one."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    text = meta.get('cfg') if isinstance(meta, dict) else None
    return text if isinstance(text, str) else None


def register_loader() -> None:
    """Let MMEngine read local files by :func:`load_local`."""
    CheckpointLoader.register_scheme('', load_local, force=True)


def _reason(error: Exception) -> str:
    """The first sentence of an error: PyTorch's go on for pages."""
    text = re.split(r'\. |\n', str(error).strip())[0].rstrip('.')
    return text or type(error).__name__


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
    with whole(target) as draft:
        torch.save(content, draft)
