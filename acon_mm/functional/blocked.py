"""ACON that keeps its input only and works on pieces that stay in cache.

With d = (p1 - p2) x, s = sigmoid(beta d), q = dy s (1 - s) and dy from above::

    y     = d s + p2 x
    g     = dy s + beta d q                      (what reaches d)
    dx    = (p1 - p2) g + p2 dy
    dp1   = sum x g,   dp2 = sum x dy - sum x g
    dbeta = sum d d q
"""
from typing import Iterator, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from . import reference
from .matrix import Matrix

# elements of a piece: a few of them fit in a second-level cache
PIECE = 1 << 17

Piece = Tuple[int, slice]


def acon(x: Tensor,
         p1: Union[Tensor, float],
         p2: Union[Tensor, float],
         beta: Union[Tensor, float],
         channel_dim: int = 1) -> Tensor:
    """See :func:`acon_mm.functional.acon`."""
    return _Acon.apply(x, p1, p2, beta, channel_dim % x.dim())


class _Acon(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x, p1, p2, beta, dim):
        parameters = (p1, p2, beta)
        ctx.dim = dim
        ctx.floats = [None if isinstance(p, Tensor) else p for p in parameters]
        ctx.save_for_backward(
            x, *(p for p in parameters if isinstance(p, Tensor)))
        return _forward(x, parameters, dim)

    @staticmethod
    def backward(ctx, grad):
        x, *tensors = ctx.saved_tensors
        parameters = [
            tensors.pop(0) if value is None else value for value in ctx.floats
        ]
        # grad mode is on when the gradients will be differentiated again
        run = _formula_backward if torch.is_grad_enabled() else _backward
        needs = ctx.needs_input_grad[:4]
        return (*run(grad, x, parameters, ctx.dim, needs), None)


def _formula_backward(grad: Tensor, x: Tensor, parameters: Sequence, dim: int,
                      needs: Sequence[bool]) -> List[Optional[Tensor]]:
    """Gradients that can be differentiated again."""
    inputs = (x, *parameters)
    y = reference.acon(*inputs, dim)
    wanted = [value for value, need in zip(inputs, needs) if need]
    grads = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return [next(grads) if need else None for need in needs]


def _forward(x: Tensor, parameters: Sequence, dim: int) -> Tensor:
    shaped = [reference.broadcast(p, x, dim) for p in parameters]
    matrix = Matrix.of(x, shaped, dim)
    p1, p2, beta = (matrix.view_parameter(p, x) for p in shaped)
    slope = p1 - p2
    inputs = matrix.view(x)
    outputs = inputs.new_empty(matrix.shape)
    buffers = _buffers(matrix.shape, x, 2)
    for piece in _pieces(matrix.shape):
        value = _load(inputs, piece, buffers[0])
        out, t = _target(outputs, piece, buffers[1])
        torch.mul(value, _cut(slope, piece), out=t)
        t.mul_(_cut(beta, piece)).sigmoid_()
        t.mul_(_cut(slope, piece)).add_(_cut(p2, piece)).mul_(value)
        _store(t, out)
    return matrix.restore(outputs, x)


def _backward(grad: Tensor, x: Tensor, parameters: Sequence, dim: int,
              needs: Sequence[bool]) -> List[Optional[Tensor]]:
    shaped = [reference.broadcast(p, x, dim) for p in parameters]
    matrix = Matrix.of(x, shaped, dim)
    p1, p2, beta = (matrix.view_parameter(p, x) for p in shaped)
    slope = p1 - p2
    inputs, upstream = matrix.view(x), matrix.view(grad)
    dx = inputs.new_empty(matrix.shape) if needs[0] else None
    dp1, dp2, dbeta = (
        torch.zeros_like(p) if need else None
        for p, need in zip((p1, p2, beta), needs[1:]))
    buffers = _buffers(matrix.shape, x, 6)
    for piece in _pieces(matrix.shape):
        value = _load(inputs, piece, buffers[0])
        dy = _load(upstream, piece, buffers[1])
        d, s, q, t = (b[:len(value)] for b in buffers[2:])
        k = _cut(slope, piece)
        torch.mul(value, k, out=d)
        torch.mul(d, _cut(beta, piece), out=s).sigmoid_()
        torch.ops.aten.sigmoid_backward.grad_input(dy, s, grad_input=q)
        q.mul_(d)
        if dbeta is not None:
            _add_product(dbeta, piece, q, d, t)
        g = s.mul_(dy).addcmul_(q, _cut(beta, piece))
        if dp1 is not None:
            _add_product(dp1, piece, value, g, t)
        if dp2 is not None:
            _add_product(dp2, piece, value, torch.sub(dy, g, out=q), t)
        if dx is not None:
            out, t = _target(dx, piece, t)
            torch.mul(g, k, out=t).addcmul_(dy, _cut(p2, piece))
            _store(t, out)
    grads = [None if dx is None else matrix.restore(dx, x)]
    for total, like, parameter in zip((dp1, dp2, dbeta), shaped, parameters):
        if total is not None:
            total = matrix.restore_parameter(total, like, x)
            total = total.reshape(parameter.shape).to(parameter.dtype)
        grads.append(total)
    return grads


def _pieces(shape: Sequence[int]) -> Iterator[Piece]:
    """Indices of the pieces of a matrix (G, L, I), along L."""
    groups, length, inner = shape
    step = _rows(shape)
    for group in range(groups):
        for start in range(0, length, step):
            yield group, slice(start, start + step)


def _rows(shape: Sequence[int]) -> int:
    """How many rows of the matrix make a piece."""
    return max(1, min(shape[1], PIECE // max(shape[2], 1)))


def _buffers(shape: Sequence[int], x: Tensor, count: int) -> List[Tensor]:
    """Temporaries of one piece, used again by the next."""
    dtype = reference.compute_dtype(x)
    return list(
        torch.empty((count, _rows(shape), shape[2]),
                    dtype=dtype,
                    device=x.device))


def _load(matrix: Tensor, piece: Piece, buffer: Tensor) -> Tensor:
    """The piece in the dtype of the arithmetic."""
    part = matrix[piece]
    if part.dtype == buffer.dtype:
        return part
    return buffer[:len(part)].copy_(part)


def _target(matrix: Tensor, piece: Piece,
            buffer: Tensor) -> Tuple[Tensor, Tensor]:
    """Where a result goes, and where to compute it."""
    part = matrix[piece]
    return part, part if part.dtype == buffer.dtype else buffer[:len(part)]


def _store(result: Tensor, target: Tensor) -> None:
    if result is not target:
        target.copy_(result)


def _cut(parameter: Tensor, piece: Piece) -> Tensor:
    """The part of a parameter's matrix that goes with a piece."""
    group, rows = piece
    part = parameter[group if parameter.size(0) > 1 else 0]
    return part[rows] if part.size(0) > 1 else part


def _add_product(total: Tensor, piece: Piece, a: Tensor, b: Tensor,
                 buffer: Tensor) -> None:
    """Add ``a * b``, summed to its shape, to the part of a total."""
    part = _cut(total, piece)
    part += torch.mul(a, b, out=buffer).sum_to_size(part.shape)
