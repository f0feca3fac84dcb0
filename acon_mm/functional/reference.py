"""The plain formula: the twin that every implementation is tested against.

Tracing, scripting and ONNX export see these lines and nothing else. What is
scripted spells its types as TorchScript before 2.5 reads them.
"""
from typing import Optional, Union

import torch
from torch import Tensor


def acon(x: Tensor,
         p1: Union[Tensor, float],
         p2: Union[Tensor, float],
         beta: Union[Tensor, float],
         channel_dim: int = 1,
         scale: Optional[Tensor] = None,
         shift: Optional[Tensor] = None) -> Tensor:
    """See :func:`acon_mm.functional.acon`."""
    inputs = x.to(compute_dtype(x))
    if scale is not None and shift is not None:
        inputs = broadcast(scale, x, channel_dim, True) * inputs
        inputs = inputs + broadcast(shift, x, channel_dim, True)
    b = broadcast(p2, x, channel_dim, True) * inputs
    difference = broadcast(p1, x, channel_dim, True) * inputs - b
    switch = torch.sigmoid(broadcast(beta, x, channel_dim) * difference)
    return (difference * switch + b).to(x.dtype)


def unavailable() -> None:
    """It runs everywhere."""


def refuses(x: Tensor) -> None:
    """It takes every input."""


def compute_dtype(x: Tensor) -> torch.dtype:
    """Float32 for the half types, whose sums and products are too coarse."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def broadcast(parameter: Union[Tensor, float],
              x: Tensor,
              channel_dim: int,
              shared: bool = False) -> Tensor:
    """A parameter in the dtype of the arithmetic, shaped to multiply ``x``.

    Args:
        parameter: A float, or a tensor () or (C,), or unless ``shared``
            (N, C), (N, 1) or ``x``'s own shape.
        x (Tensor): The input with C channels in ``channel_dim``.
        channel_dim (int): May be negative.
        shared (bool): Whether all samples share it, as they do p1 and p2.

    Returns:
        Tensor: As many dimensions as ``x``, each 1 or as long as ``x``'s.

    Raises:
        ValueError: The parameter has none of these shapes.
    """
    dtype = compute_dtype(x)
    if not isinstance(parameter, Tensor):
        return torch.full([1] * x.dim(),
                          parameter,
                          dtype=dtype,
                          device=x.device)
    # comparing sizes would make tracing warn that it fixes them
    if not torch.jit.is_tracing():
        check(parameter, x, channel_dim, shared)
    shape = [1] * x.dim()
    if parameter.dim() == x.dim():
        shape = list(parameter.shape)
    elif parameter.dim() > 0:
        if parameter.dim() == 2:
            shape[0] = parameter.size(0)
        shape[channel_dim] = parameter.size(-1)
    return parameter.to(dtype).reshape(shape)


def check(parameter: Tensor, x: Tensor, channel_dim: int,
          shared: bool) -> None:
    """Refuse a parameter of another shape than :func:`broadcast` takes."""
    samples, channels = x.size(0), x.size(channel_dim)
    if parameter.dim() < 2:
        fits = parameter.dim() == 0 or parameter.size(0) == channels
    elif shared:
        fits = False
    elif parameter.shape == x.shape:
        fits = True
    else:
        fits = (parameter.dim() == 2 and parameter.size(0) == samples
                and (parameter.size(1) == channels or parameter.size(1) == 1))
    if not fits:
        others = '' if shared else (
            f', ({samples}, {channels}), ({samples}, 1) or its own shape')
        raise ValueError(
            f'A parameter of shape {list(parameter.shape)} does not fit an '
            f'input of shape {list(x.shape)} with channel_dim={channel_dim}: '
            f'give a float, ({channels},){others}.')
