"""Checkpoints with deterministic weights, and what they compute.

Each ``data/parity/*.json`` has the names and shapes of a released network's
tensors and, for fixed weights and a fixed input, statistics of the features
that the authors' code computes in float64.
"""
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / 'data' / 'parity'
CASES = sorted(path.stem for path in FOLDER.glob('*.json'))


def load_case(name: str) -> dict:
    return json.loads((FOLDER / f'{name}.json').read_text())


def fill(name: str, shape: tuple) -> np.ndarray:
    """Value of a checkpoint's tensor, drawn from its original name.

    Only ``RandomState`` is used: NumPy keeps its streams as they are.
    """
    leaf = name.rsplit('.', 1)[-1]
    if leaf == 'num_batches_tracked':
        return np.zeros(shape, dtype=np.int64)
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    if leaf == 'running_var':
        value = rng.uniform(0.6, 1.4, shape)
    elif leaf == 'running_mean':
        value = rng.normal(0.0, 0.1, shape)
    elif leaf == 'beta':
        value = rng.uniform(0.5, 1.5, shape)
    elif leaf in ('p1', 'p2'):
        value = rng.normal(0.0, 1.0, shape)
    elif leaf == 'bias':
        value = rng.normal(0.0, 0.1, shape)
    elif len(shape) >= 2:
        value = rng.normal(0.0, np.prod(shape[1:])**-0.5, shape)
    else:
        value = rng.uniform(0.7, 1.3, shape)
    return value.astype(np.float32)


def fill_checkpoint(shapes: dict, dtype=torch.float64) -> dict:
    """State dict for names and shapes; integers stay integers."""
    tensors = {
        name: torch.from_numpy(np.asarray(fill(name, tuple(shape))))
        for name, shape in shapes.items()
    }
    return {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in tensors.items()
    }


def image(batch: int, height: int, width: int) -> Tensor:
    """BGR in 0..255, float64, (batch, 3, height, width)."""
    rng = np.random.RandomState(2021)
    values = rng.uniform(0.0, 255.0, (batch, 3, height, width))
    return torch.from_numpy(values.astype(np.float32)).double()
