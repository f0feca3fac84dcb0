"""ACON in one pass over memory on the CPU, by the kernels of ``native.c``."""
from collections.abc import Sequence

import torch
from torch import Tensor

from . import native_build
from .keeps_input import KeepsInput, Parameters
from .rows import Betas, Rows, dense_parameters

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
    return KeepsInput.apply(_Native, channel_dim % x.dim(), x, p1, p2, beta,
                            scale, shift)


def unavailable() -> str | None:
    """Why this machine cannot run it; None if it can."""
    return native_build.load(torch.float32).error


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x``, on a machine that can run it."""
    if not x.is_cpu:
        return f'x is on {x.device}, not on the CPU'
    if x.numel() == 0:
        return 'x is empty'
    if x.dtype not in native_build.DEFINES:
        return f'x is {x.dtype}, not torch.float32 or torch.bfloat16'
    return None


class _Native:

    @staticmethod
    def forward(x: Tensor, parameters: Parameters, dim: int) -> Tensor:
        job = _Job(x, parameters, dim)
        y = job.rows.new_empty(x)
        job.library.forward(*_pointers(y, job.inputs, *job.parameters),
                            *job.layout, job.threads)
        return y

    @staticmethod
    def backward(dy: Tensor, x: Tensor, parameters: Parameters, dim: int,
                 needs: Sequence[bool]) -> list[Tensor | None]:
        job = _Job(x, parameters, dim)
        upstream = job.rows.view(dy)
        # the sums cost nothing beside dx, so all are made and some dropped
        dx = job.rows.new_empty(x)
        dbeta = (job.rows.new_dbeta(x)
                 if job.rows.betas == Betas.PER_ELEMENT else None)
        sums = x.new_zeros((5, job.rows.samples, job.chunks, x.size(dim)),
                           dtype=torch.float32)
        job.library.backward(
            *_pointers(dx, sums, dbeta, upstream, job.inputs,
                       *job.parameters), *job.layout, job.chunk, job.threads)
        grads = [dx, *job.rows.totals(sums, dbeta)]
        return [
            _sum_to(grad, value) if need else None
            for grad, value, need in zip(grads, (x, *parameters), needs)
        ]


class _Job:
    """The arguments of ``native.c``, which explains them."""

    def __init__(self, x: Tensor, parameters: Parameters, dim: int) -> None:
        self.library = native_build.load(x.dtype).library
        self.rows = rows = Rows(x, parameters[2], dim)
        self.inputs = rows.view(x)
        self.parameters = dense_parameters(x, parameters, dim)
        if rows.betas == Betas.PER_ELEMENT:
            self.parameters[2] = rows.view(self.parameters[2])
        self.parameters = [
            p if p is None or p.is_contiguous() else p.contiguous()
            for p in self.parameters
        ]
        self.layout = (rows.rows, rows.n, rows.channels, rows.share,
                       rows.wide, rows.betas)
        self.chunk = min(CHUNK, rows.share) if rows.wide else 1
        self.chunks = (-(-rows.share // CHUNK)
                       if rows.wide else rows.share // rows.channels)
        self.threads = min(torch.get_num_threads(),
                           max(1, x.numel() // GRAIN))


def _sum_to(grad: Tensor, value: Tensor) -> Tensor:
    return grad if grad.shape == value.shape else grad.sum_to_size(value.shape)


def _pointers(*tensors: Tensor | None) -> list[int | None]:
    return [None if t is None else t.data_ptr() for t in tensors]
