"""ACON in pieces that stay in cache, in plain PyTorch, on any device."""
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from . import kernels, reference
from .keeps_input import KeepsInput, Parameters
from .matrix import Matrix

# elements of a piece: its temporaries fit in second-level caches
PIECE = 1 << 17

Piece = tuple[int, slice]


def acon(x: Tensor,
         p1: Tensor | float,
         p2: Tensor | float,
         beta: Tensor | float,
         channel_dim: int = 1,
         scale: Tensor | None = None,
         shift: Tensor | None = None) -> Tensor:
    """See :func:`acon_mm.functional.acon`."""
    return KeepsInput.apply(_Blocked, channel_dim % x.dim(), x, p1, p2, beta,
                            scale, shift)


def unavailable() -> None:
    """It runs everywhere."""


def refuses(x: Tensor) -> None:
    """It takes every input."""


class _Blocked:

    @staticmethod
    def forward(x: Tensor, parameters: Parameters, dim: int) -> Tensor:
        parameters = _broadcast(x, parameters, dim)
        if _is_one_piece(x):
            return kernels.forward(x, *parameters)
        matrix = Matrix.of(x, parameters, dim)
        shaped = [matrix.view_parameter(p, x) for p in parameters]
        y = matrix.new_empty(x)
        inputs, outputs = matrix.view(x), matrix.view(y)
        for piece in _pieces(matrix.shape):
            outputs[piece] = kernels.forward(
                inputs[piece], *(_cut(p, piece) for p in shaped))
        return y

    @staticmethod
    def backward(dy: Tensor, x: Tensor, parameters: Parameters, dim: int,
                 needs: Sequence[bool]) -> list[Tensor | None]:
        run = _whole_backward if _is_one_piece(x) else _pieced_backward
        grads = run(dy, x, _broadcast(x, parameters, dim), dim, needs)
        return [
            grad if grad is None else grad.reshape(value.shape).to(value.dtype)
            for grad, value in zip(grads, (x, *parameters))
        ]


def _whole_backward(dy: Tensor, x: Tensor, parameters: Sequence[Tensor],
                    dim: int, needs: Sequence[bool]) -> list[Tensor | None]:
    return kernels.backward(dy, x, *parameters, needs=needs)


def _pieced_backward(dy: Tensor, x: Tensor, parameters: Sequence[Tensor],
                     dim: int, needs: Sequence[bool]) -> list[Tensor | None]:
    matrix = Matrix.of(x, parameters, dim)
    shaped = [matrix.view_parameter(p, x) for p in parameters]
    inputs, upstream = matrix.view(x), matrix.view(dy)
    dx = matrix.new_empty(x) if needs[0] else None
    outputs = None if dx is None else matrix.view(dx)
    totals = [
        torch.zeros_like(p) if need else None
        for p, need in zip(shaped, needs[1:])
    ]
    for piece in _pieces(matrix.shape):
        part, *sums = kernels.backward(upstream[piece], inputs[piece],
                                       *(_cut(p, piece) for p in shaped),
                                       needs=needs)
        if outputs is not None:
            outputs[piece] = part
        for total, part in zip(totals, sums):
            if total is not None:
                _cut(total, piece).add_(part)
    grads = [dx, *matrix.restore_parameters(totals, x, parameters)]
    return grads + [None] * (len(needs) - len(grads))


def _broadcast(x: Tensor, parameters: Parameters, dim: int) -> list[Tensor]:
    """Parameters that multiply ``x``; scale and shift only if there."""
    p1, p2, beta, *affine = parameters
    return [
        reference.broadcast(p1, x, dim, shared=True),
        reference.broadcast(p2, x, dim, shared=True),
        reference.broadcast(beta, x, dim),
        *(reference.broadcast(p, x, dim, shared=True) for p in affine
          if p is not None)
    ]


def _is_one_piece(x: Tensor) -> bool:
    return x.numel() <= PIECE or not x.is_cpu


def _pieces(shape: Sequence[int]) -> Iterator[Piece]:
    """Indices of the pieces of a matrix (G, L, I), along L."""
    groups, length, inner = shape
    step = max(1, PIECE // inner)
    for group in range(groups):
        for start in range(0, length, step):
            yield group, slice(start, start + step)


def _cut(parameter: Tensor, piece: Piece) -> Tensor:
    """The part of a parameter's matrix that goes with a piece."""
    group, rows = piece
    part = parameter[group if parameter.size(0) > 1 else 0]
    return part[rows] if part.size(0) > 1 else part
