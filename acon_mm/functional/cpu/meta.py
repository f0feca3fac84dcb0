"""Meta-ACON in one call on the CPU, by the kernels of ``meta.c``."""
import ctypes
import functools
import struct
from collections.abc import Sequence

import torch
from torch import Tensor

from .. import torch_versions
from ..net import Net
from ..rows import Betas
from . import build, op

_POINTER, _SIZE, _NUMBER, _REAL = build.TYPES

# `layer` and two `gradients` of net.c
_LAYER = struct.Struct('7P2li2f0P')
_GRADS = struct.Struct('8P')


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x`` here; None if it can."""
    if x.dtype != torch.float32:
        return f'x is {x.dtype}, not torch.float32'
    if torch_versions.is_autocast(x):
        return 'the net is to be computed in half precision'
    return op.refuses(x) or build.load('meta').error


def forward(x: Tensor, inputs: Sequence[Tensor | None], net: Net,
            dim: int) -> tuple[Tensor, list[Tensor]]:
    """See :class:`acon_mm.functional.meta.Kernels`."""
    plan = _plan(x, dim)
    rows = plan.rows
    dense, y = rows.view(x), rows.new_empty(x)
    kept = x.new_empty(_kept_size(rows.samples, rows.channels, net))
    _library().meta_forward(
        *build.pointers(y, kept, dense, *inputs[:4]), _in_c(net),
        net.scale, *plan.layout[:5], plan.chunk, plan.threads)
    return y, [kept]


def backward(dy: Tensor, x: Tensor, inputs: Sequence[Tensor | None],
             net: Net, dim: int,
             kept: Sequence[Tensor]) -> list[Tensor | None]:
    """See :class:`acon_mm.functional.meta.Kernels`."""
    plan = _plan(x, dim)
    rows = plan.rows
    dense, upstream, dx = rows.view(x), rows.view(dy), rows.new_empty(x)
    grads = op.new_grads(inputs)
    betas = rows.samples * rows.channels
    work = x.new_empty(
        plan.parts + 2 * betas + rows.samples * net.hidden)
    _library().meta_backward(
        *build.pointers(dx, *grads[:4], work, upstream, dense, *inputs[:4],
                        *kept), _in_c(net),
        _GRADS.pack(*build.pointers(*grads[4:])), net.scale,
        *plan.layout[:5], plan.chunk, plan.threads)
    return [dx, *grads]


def beta_forward(inputs: Tensor, net: Net,
                 threads: int) -> tuple[Tensor, Tensor]:
    """Beta of ``inputs`` (N, C), and the memory that it is in."""
    size = inputs.numel()
    memory = inputs.new_empty(_kept_size(*inputs.shape, net))
    memory[size:2 * size] = inputs.view(-1)
    at = _library().beta_forward(*build.pointers(memory), _in_c(net),
                                 net.scale, *inputs.shape, threads)
    return memory[at:at + size].view(inputs.shape), memory


def beta_backward(dbeta: Tensor, memory: Tensor, net: Net, threads: int
                  ) -> tuple[Tensor, list[Tensor | None]]:
    """Gradients of the inputs of :func:`beta_forward` and of the net."""
    size, grads = dbeta.numel(), op.new_grads(net.trained)
    work = dbeta.new_empty(2 * size + len(dbeta) * net.hidden)
    work[:size] = dbeta.view(-1)
    at = _library().beta_backward(
        *build.pointers(work, memory), _in_c(net),
        _GRADS.pack(*build.pointers(*grads)), net.scale, *dbeta.shape,
        threads)
    return work[at:at + size].view(dbeta.shape), grads


def _kept_size(samples: int, channels: int, net: Net) -> int:
    return 2 * samples * channels + (2 * samples + 1) * (
        net.hidden + channels)


@functools.cache
def _library() -> ctypes.CDLL:
    library = build.load('meta').library
    rest = [_REAL, *[_SIZE] * 4, _NUMBER, _SIZE, _NUMBER]
    library.meta_forward.argtypes = [*[_POINTER] * 7, ctypes.c_char_p, *rest]
    library.meta_backward.argtypes = [
        *[_POINTER] * 13, *[ctypes.c_char_p] * 2, *rest]
    library.meta_forward.restype = library.meta_backward.restype = None
    rest = [_REAL, _SIZE, _SIZE, _NUMBER]
    library.beta_forward.argtypes = [_POINTER, ctypes.c_char_p, *rest]
    library.beta_backward.argtypes = [
        *[_POINTER] * 2, *[ctypes.c_char_p] * 2, *rest]
    library.beta_forward.restype = library.beta_backward.restype = _SIZE
    return library


def _in_c(net: Net) -> bytes:
    """The layers as the kernels read them, while the tensors live."""
    return b''.join(
        _LAYER.pack(*build.pointers(*layer.tensors),
                    *layer.weight.shape[:2], *layer[7:])
        for layer in net.layers)


def _plan(x: Tensor, dim: int) -> op.Plan:
    return op.make_plan(x.shape, x.stride(), dim, Betas.PER_SAMPLE,
                        torch.get_num_threads())
