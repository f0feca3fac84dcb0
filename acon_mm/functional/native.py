"""ACON in one pass over memory on the CPU, by the kernels of ``native.c``."""
import enum
from collections.abc import Sequence

import torch
from torch import Tensor

from . import native_build, reference
from .keeps_input import KeepsInput, Parameters
from .matrix import Matrix

# rows whose sums are made one after the other, by one thread
CHUNK = 256

# elements that are worth waking another thread
GRAIN = 1 << 15


def acon(x: Tensor,
         p1: Tensor | float,
         p2: Tensor | float,
         beta: Tensor | float,
         channel_dim: int = 1) -> Tensor:
    """See :func:`acon_mm.functional.acon`."""
    return KeepsInput.apply(_Native, x, p1, p2, beta, channel_dim % x.dim())


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
        y = job.matrix.new_empty(x)
        job.library.forward(*_pointers(y, job.inputs, *job.parameters),
                            *job.layout, job.threads)
        return y

    @staticmethod
    def backward(dy: Tensor, x: Tensor, parameters: Parameters, dim: int,
                 needs: Sequence[bool]) -> list[Tensor | None]:
        job = _Job(x, parameters, dim)
        upstream = job.matrix.view(dy).contiguous()
        # the sums cost nothing beside dx, so all are made and some dropped
        dx = job.matrix.new_empty(x)
        dbeta = torch.zeros_like(job.parameters[2])
        sums = dbeta.new_zeros(3, job.samples, job.chunks, x.size(dim))
        job.library.backward(
            *_pointers(dx, sums, dbeta, upstream, job.inputs,
                       *job.parameters), *job.layout, job.chunk, job.threads)
        grads = [dx, *job.totals(sums, dbeta, x)]
        return [
            _sum_to(grad, value) if need else None
            for grad, value, need in zip(grads, (x, *parameters), needs)
        ]


class _Betas(enum.IntEnum):
    """What beta differs with; the same as in ``native.c``."""
    PER_CHANNEL = 0
    PER_SAMPLE = 1
    PER_ELEMENT = 2


class _Job:
    """The arguments of ``native.c``, which explains them."""

    def __init__(self, x: Tensor, parameters: Parameters, dim: int) -> None:
        self.library = native_build.load(x.dtype).library
        self.matrix = Matrix.of(x, (), dim)
        self.inputs = self.matrix.view(x).contiguous()
        p1, p2, beta = parameters
        self.betas = _betas(beta, x)
        self.samples = x.size(0) if self.betas == _Betas.PER_SAMPLE else 1
        channels, wide = x.size(dim), self.matrix.side_by_side
        _, rows, n = self.matrix.shape
        share = rows // self.samples
        self.chunk = min(CHUNK, share) if wide else 1
        self.chunks = -(-share // CHUNK) if wide else share // channels
        self.layout = (rows, n, channels, share, wide, self.betas)
        self.threads = min(torch.get_num_threads(),
                           max(1, x.numel() // GRAIN))
        self.parameters = [
            _dense(p1, (channels, ), x, dim, True),
            _dense(p2, (channels, ), x, dim, True),
            self._dense_beta(beta, x, dim)
        ]

    def totals(self, sums: Tensor, dbeta: Tensor, x: Tensor) -> list[Tensor]:
        """Gradients of the parameters, from what ``backward`` left."""
        if self.betas == _Betas.PER_SAMPLE:
            return [*sums[:2].flatten(1, 2).sum(1), sums[2].sum(1)]
        totals = sums.flatten(1, 2)
        totals = totals[:, 0] if totals.size(1) == 1 else totals.sum(1)
        dp1, dp2, shared_dbeta = totals.unbind()
        if self.betas == _Betas.PER_CHANNEL:
            return [dp1, dp2, shared_dbeta]
        return [dp1, dp2, self.matrix.restore(dbeta, x)]

    def _dense_beta(self, beta: Tensor | float, x: Tensor,
                    dim: int) -> Tensor:
        if self.betas == _Betas.PER_ELEMENT:
            return self.matrix.view(beta).float().contiguous()
        shape = (x.size(dim), )
        if self.betas == _Betas.PER_SAMPLE:
            shape = (x.size(0), *shape)
        return _dense(beta, shape, x, dim, False)


def _betas(beta: Tensor | float, x: Tensor) -> _Betas:
    if not isinstance(beta, Tensor) or beta.dim() < 2:
        return _Betas.PER_CHANNEL
    return (_Betas.PER_ELEMENT
            if beta.shape == x.shape else _Betas.PER_SAMPLE)


def _dense(parameter: Tensor | float, shape: Sequence[int], x: Tensor,
           dim: int, shared: bool) -> Tensor:
    if not isinstance(parameter, Tensor):
        return torch.full(shape, parameter, dtype=torch.float32)
    if (parameter.shape == shape and parameter.dtype == torch.float32
            and parameter.is_contiguous()):
        return parameter
    reference.check(parameter, x, dim, shared)
    return parameter.expand(shape).float().contiguous()


def _sum_to(grad: Tensor, value: Tensor) -> Tensor:
    return grad if grad.shape == value.shape else grad.sum_to_size(value.shape)


def _pointers(*tensors: Tensor) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]
