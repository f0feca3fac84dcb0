"""Batch norm and ACON as one function on the CPU, by ``norm.c``."""
import ctypes
import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from ..net import Net, Norm
from ..rows import Betas
from . import build, meta, op

# what one call of the library does
FIRST, SECOND = 1, 2
BOTH = FIRST | SECOND


def refuses(x: Tensor, net: Net | None) -> str | None:
    """See :class:`acon_mm.functional.norm.Kernels`."""
    problem = op.refuses(x) if net is None else meta.refuses(x)
    return problem or build.load('norm', op.DEFINES[x.dtype]).error


def forward(x: Tensor, inputs: Sequence[Tensor | None], norm: Norm,
            net: Net | None, dim: int) -> tuple[Tensor, list[Tensor]]:
    """See :class:`acon_mm.functional.norm.Kernels`."""
    p1, p2, beta, weight, bias, *_ = inputs
    plan = _plan(x, beta, dim)
    dense, y = plan.rows.view(x), plan.rows.new_empty(x)
    channels = plan.rows.channels
    kept = x.new_empty((4 + plan.rows.samples) * channels,
                       dtype=torch.float32)
    sums = x.new_empty(plan.parts, dtype=torch.float32)

    def run(beta: Tensor | None, passes: int) -> None:
        _library(x.dtype).norm_forward(
            *build.pointers(y, kept, sums, dense, p1, p2, beta, weight, bias,
                            norm.mean, norm.variance),
            norm.momentum, norm.eps, *plan.layout, plan.chunk, plan.threads,
            passes)

    if net is None:
        run(beta, BOTH)
        return y, [kept]
    run(None, FIRST)
    scale, shift = kept[2 * channels:4 * channels].view(2, channels)
    means = kept[4 * channels:].view(-1, channels)
    beta, memory = meta.beta_forward(
        torch.addcmul(shift, means, scale), net, plan.threads)
    run(beta, SECOND)
    return y, [kept, beta, memory]


def backward(dy: Tensor, x: Tensor, inputs: Sequence[Tensor | None],
             norm: Norm, net: Net | None, dim: int,
             kept: Sequence[Tensor]) -> list[Tensor | None]:
    """See :class:`acon_mm.functional.norm.Kernels`."""
    p1, p2, beta, *_ = inputs
    plan = _plan(x, beta, dim)
    rows = plan.rows
    dense, upstream, dx = rows.view(x), rows.view(dy), rows.new_empty(x)
    dp1, dp2, dweight, dbias = x.new_empty(
        (4, rows.channels), dtype=torch.float32).unbind()
    sums = x.new_empty(plan.parts, dtype=torch.float32)
    if net is not None:
        beta = kept[1]
    dbeta = torch.empty_like(beta)

    def run(dmeans: Tensor | None, passes: int) -> None:
        _library(x.dtype).norm_backward(
            *build.pointers(dx, dp1, dp2, dbeta, dweight, dbias, sums, dmeans,
                            upstream, dense, p1, p2, beta, kept[0]),
            *plan.layout, plan.chunk, plan.threads, passes)

    if net is None:
        run(None, BOTH)
        return [dx, dp1, dp2, dbeta, dweight, dbias]
    run(None, FIRST)
    dmeans, grads = meta.beta_backward(dbeta, kept[2], net, plan.threads)
    run(dmeans, SECOND)
    return [dx, dp1, dp2, None, dweight, dbias, *grads]


@functools.cache
def _library(dtype: torch.dtype) -> ctypes.CDLL:
    library = build.load('norm', op.DEFINES[dtype]).library
    pointer, size, number, real = build.TYPES
    layout = [*[size] * 4, number, number, size, number, number]
    library.norm_forward.argtypes = [*[pointer] * 11, real, real, *layout]
    library.norm_backward.argtypes = [*[pointer] * 14, *layout]
    library.norm_forward.restype = library.norm_backward.restype = None
    return library


def _plan(x: Tensor, beta: Tensor | None, dim: int) -> op.Plan:
    betas = Betas.PER_SAMPLE if beta is None else Betas.of(beta, x)
    return op.make_plan(x.shape, x.stride(), dim, betas,
                        torch.get_num_threads())
