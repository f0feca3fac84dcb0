"""The plain formula: the twin that every implementation is tested against.

Tracing, scripting and ONNX export see these lines and nothing else.
"""
from typing import Union

import torch
from torch import Tensor


def acon(x: Tensor,
         p1: Union[Tensor, float],
         p2: Union[Tensor, float],
         beta: Union[Tensor, float],
         channel_dim: int = 1) -> Tensor:
    """See :func:`acon_mm.functional.acon`."""
    inputs = x.to(compute_dtype(x))
    b = broadcast(p2, x, channel_dim) * inputs
    difference = broadcast(p1, x, channel_dim) * inputs - b
    switch = torch.sigmoid(broadcast(beta, x, channel_dim) * difference)
    return (difference * switch + b).to(x.dtype)


def compute_dtype(x: Tensor) -> torch.dtype:
    """Float32 for the half types, whose sums and products are too coarse."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def broadcast(parameter: Union[Tensor, float], x: Tensor,
              channel_dim: int) -> Tensor:
    """A parameter in the dtype of the arithmetic, shaped to multiply ``x``.

    Args:
        parameter: A float, or a tensor (), (C,), (N, C), (N, 1) or ``x``'s
            own shape.
        x (Tensor): The input with C channels in ``channel_dim``.
        channel_dim (int): May be negative.

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
        _check(parameter, x, channel_dim)
    shape = [1] * x.dim()
    if parameter.dim() == x.dim():
        shape = list(parameter.shape)
    elif parameter.dim() > 0:
        if parameter.dim() == 2:
            shape[0] = parameter.size(0)
        shape[channel_dim] = parameter.size(-1)
    return parameter.to(dtype).reshape(shape)


def _check(parameter: Tensor, x: Tensor, channel_dim: int) -> None:
    samples, channels = x.size(0), x.size(channel_dim)
    if parameter.dim() == 1:
        fits = parameter.size(0) == channels
    elif parameter.dim() == 2 and parameter.shape != x.shape:
        fits = parameter.size(0) == samples and (parameter.size(1) == channels
                                                 or parameter.size(1) == 1)
    else:
        fits = parameter.dim() == 0 or parameter.shape == x.shape
    if not fits:
        raise ValueError(
            f'A parameter of shape {list(parameter.shape)} does not fit an '
            f'input of shape {list(x.shape)} with channel_dim={channel_dim}: '
            f'give ({channels},), ({samples}, {channels}), ({samples}, 1) or '
            'the shape of the input.')
