"""ACON in one pass over memory on the CPU, by the kernels of ``op.c``."""
import ctypes
import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..keeps_input import KeepsInput, Parameters
from ..rows import Betas, Rows, dense_parameters
from ..tracing import is_traced
from . import build

DEFINES = {torch.float32: '-DFLOAT32', torch.bfloat16: '-DBFLOAT16'}

# rows whose sums are made one after the other, by one thread
CHUNK = 256

# elements that are worth waking another thread
GRAIN = 1 << 15


def acon(x: Tensor,
         p1: Tensor | float,
         p2: Tensor | float,
         beta: Tensor | float,
         channel_dim: int = 1,
         scale: Tensor | None = None,
         shift: Tensor | None = None) -> Tensor:
    """See :func:`acon_mm.functional.acon`."""
    return KeepsInput.apply(Kernels, channel_dim % x.dim(), x, p1, p2, beta,
                            scale, shift)


def unavailable() -> str | None:
    """Why this machine cannot run it; None if it can."""
    return build.load('op', DEFINES[torch.float32]).error


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x``, on a machine that can run it."""
    if is_traced(x):
        return 'a graph is captured, which should show the formula'
    if not x.is_cpu:
        return f'x is on {x.device}, not on the CPU'
    if x.numel() == 0:
        return 'x is empty'
    if x.dtype not in DEFINES:
        return f'x is {x.dtype}, not torch.float32 or torch.bfloat16'
    return build.load('op', DEFINES[x.dtype]).error


@functools.cache
def _library(dtype: torch.dtype) -> ctypes.CDLL:
    library = build.load('op', DEFINES[dtype]).library
    pointer, size, number, _ = build.TYPES
    layout = [*[size] * 4, number, number]
    library.forward.argtypes = [*[pointer] * 7, *layout, number]
    library.backward.argtypes = [*[pointer] * 14, *layout, size, number]
    library.forward.restype = library.backward.restype = None
    return library


class Kernels:
    """What :class:`KeepsInput` runs."""

    @staticmethod
    def forward(x: Tensor, parameters: Parameters, dim: int) -> Tensor:
        plan = _plan(x, parameters, dim)
        inputs, y = plan.rows.view(x), plan.rows.new_empty(x)
        dense = _dense(x, parameters, dim, plan.rows)
        _library(x.dtype).forward(*build.pointers(y, inputs, *dense),
                                  *plan.layout, plan.threads)
        return y

    @staticmethod
    def backward(dy: Tensor, x: Tensor, parameters: Parameters, dim: int,
                 needs: Sequence[bool]) -> list[Tensor | None]:
        plan = _plan(x, parameters, dim)
        rows = plan.rows
        inputs, upstream, dx = rows.view(x), rows.view(dy), rows.new_empty(x)
        dense = _dense(x, parameters, dim, rows)
        # the sums cost nothing beside dx, so all are made and some dropped
        p1, p2, beta, *affine = dense
        dbeta = (
            rows.new_empty(x, torch.float32).zero_()
            if rows.betas == Betas.PER_ELEMENT else torch.empty_like(beta))
        grads = [*new_grads((p1, p2)), dbeta, *new_grads(affine)]
        parts = x.new_empty(plan.parts, dtype=torch.float32)
        _library(x.dtype).backward(
            *build.pointers(dx, *grads, parts, upstream, inputs, *dense),
            *plan.layout, plan.chunk, plan.threads)
        return [
            _sum_to(grad, value) if need else None
            for grad, value, need in zip((dx, *grads), (x, *parameters),
                                         needs)
        ]


class Plan(NamedTuple):
    """What ``op.c`` is told of a layout in memory; it explains it.

    ``parts`` is how many numbers the chunks leave, which the gradients of
    the parameters are the sums of.
    """
    rows: Rows
    layout: tuple[int, ...]
    parts: int
    chunk: int
    threads: int


def new_grads(parameters: Parameters) -> list[Tensor | None]:
    """Memory for gradients of dense parameters; None where there is none."""
    return [p if p is None else torch.empty_like(p) for p in parameters]


def _plan(x: Tensor, parameters: Parameters, dim: int) -> Plan:
    return make_plan(x.shape, x.stride(), dim, Betas.of(parameters[2], x),
                     torch.get_num_threads())


@functools.lru_cache(maxsize=4096)
def make_plan(shape: torch.Size, strides: tuple[int, ...], dim: int,
              betas: Betas, threads: int) -> Plan:
    """The plan of a layout; making it takes longer than a small tensor."""
    x = torch.empty_strided(shape, strides, device='meta')
    rows = Rows(x, betas, dim)
    chunks = rows.samples * (-(-rows.share // CHUNK) if rows.wide else
                             rows.share // rows.channels)
    return Plan(
        rows,
        layout=(rows.rows, rows.n, rows.channels, rows.share, rows.wide,
                betas),
        parts=5 * chunks * rows.channels,
        chunk=min(CHUNK, rows.share) if rows.wide else 1,
        threads=min(threads, max(1, x.numel() // GRAIN)))


def _dense(x: Tensor, parameters: Parameters, dim: int,
           rows: Rows) -> list[Tensor | None]:
    """Parameters as they lie in memory for the kernels."""
    p1, p2, beta, *affine = dense_parameters(x, parameters, dim)
    beta = (rows.view(beta) if rows.betas == Betas.PER_ELEMENT else
            beta.contiguous())
    return [p1.contiguous(), p2.contiguous(), beta,
            *(p if p is None else p.contiguous() for p in affine)]


def _sum_to(grad: Tensor, value: Tensor) -> Tensor:
    return grad if grad.shape == value.shape else grad.sum_to_size(value.shape)
