"""What MMEngine's checkpoints hold beside tensors, declared safe to load.

``torch.load`` takes ``weights_only=True`` from torch 2.6 on and refuses the
message hub that MMEngine's runner saves, so resuming and testing fail. The
types that occur there are declared here; torch's safe loading stays on.
"""

from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_STATISTICS = ('min', 'max', 'current', 'mean')


def _getattr_of_history_buffer(owner: Any, name: str) -> Callable:
    """Stand in for ``builtins.getattr`` while a checkpoint is read.

    A ``HistoryBuffer`` is pickled with its statistics, each written as
    ``getattr(HistoryBuffer, name)``. The real ``getattr`` would let a
    checkpoint reach, and run, any code.

    Args:
        owner (type): ``HistoryBuffer``.
        name (str): A statistic of it: min, max, current or mean.

    Raises:
        UnpicklingError: If anything else is asked for.
    """
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    raise UnpicklingError(
        f'The checkpoint asks for the attribute {name!r} of {owner!r}, which '
        'no checkpoint of MMEngine needs; load it only if you trust its '
        'source, with torch.load(path, weights_only=False).')


def register_safe_globals() -> None:
    """Let ``torch.load(..., weights_only=True)`` read MMEngine's checkpoints.

    Declares ``HistoryBuffer`` and numpy's numeric arrays and scalars, under
    the names that numpy 1 and numpy 2 give them. Calling it again is harmless.
    """
    # numpy exports neither function under one name for all versions
    rebuild_array: Any = np.empty(0).__reduce__()[0]
    rebuild_scalar: Any = np.float64(0).__reduce__()[0]
    numbers = '?' + np.typecodes['AllInteger'] + np.typecodes['Float']
    if not hasattr(torch.serialization, 'add_safe_globals'):
        return  # before 2.4; nothing asks for safe loading there
    torch.serialization.add_safe_globals([
        HistoryBuffer,
        _named('builtins.getattr', _getattr_of_history_buffer),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in numbers},
        *[_named(f'numpy.{core}.multiarray._reconstruct', rebuild_array)
          for core in ('core', '_core')],
        *[_named(f'numpy.{core}.multiarray.scalar', rebuild_scalar)
          for core in ('core', '_core')],
    ])


def _named(name: str, function: Callable) -> Callable:
    """``function`` as a checkpoint names it.

    PyTorch takes a name beside the function from 2.6 on only.
    """

    def call(*args: Any) -> Any:
        return function(*args)

    call.__module__, call.__qualname__ = name.rsplit('.', 1)
    call.__name__ = call.__qualname__
    return call
