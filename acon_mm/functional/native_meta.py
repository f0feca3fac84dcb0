"""Meta-ACON in one call on the CPU, by the kernels of ``native_meta.c``."""
import ctypes
import functools
import struct
from collections.abc import Sequence

import torch
from torch import Tensor

from . import native, native_build, torch_versions
from .net import Net
from .rows import Betas

_POINTER, _SIZE, _NUMBER, _REAL = native_build.TYPES

# `layer` and two `gradients` of native_net.c
_LAYER = struct.Struct('7P2li2f0P')
_GRADS = struct.Struct('8P')


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x`` here; None if it can."""
    if x.dtype != torch.float32:
        return f'x is {x.dtype}, not torch.float32'
    if torch_versions.is_autocast(x):
        return 'the net is to be computed in half precision'
    return native.refuses(x) or native_build.load('native_meta').error


def forward(x: Tensor, inputs: Sequence[Tensor | None], net: Net,
            dim: int) -> tuple[Tensor, list[Tensor]]:
    """See :class:`acon_mm.functional.meta.Kernels`."""
    plan = _plan(x, dim)
    rows = plan.rows
    dense, y = rows.view(x), rows.new_empty(x)
    betas = rows.samples * rows.channels
    kept = x.new_empty(
        2 * betas + (2 * rows.samples + 1) * (net.hidden + rows.channels))
    _library().meta_forward(
        *native_build.pointers(y, kept, dense, *inputs[:4]), _in_c(net),
        net.scale, *plan.layout[:5], plan.chunk, plan.threads)
    return y, [kept]


def backward(dy: Tensor, x: Tensor, inputs: Sequence[Tensor | None],
             net: Net, dim: int,
             kept: Sequence[Tensor]) -> list[Tensor | None]:
    """See :class:`acon_mm.functional.meta.Kernels`."""
    plan = _plan(x, dim)
    rows = plan.rows
    dense, upstream, dx = rows.view(x), rows.view(dy), rows.new_empty(x)
    grads = native.new_grads(inputs)
    betas = rows.samples * rows.channels
    work = x.new_empty(
        plan.parts + 2 * betas + rows.samples * net.hidden)
    _library().meta_backward(
        *native_build.pointers(dx, *grads[:4], work, upstream, dense,
                               *inputs[:4], *kept), _in_c(net),
        _GRADS.pack(*native_build.pointers(*grads[4:])), net.scale,
        *plan.layout[:5], plan.chunk, plan.threads)
    return [dx, *grads]


@functools.cache
def _library() -> ctypes.CDLL:
    library = native_build.load('native_meta').library
    rest = [_REAL, *[_SIZE] * 4, _NUMBER, _SIZE, _NUMBER]
    library.meta_forward.argtypes = [*[_POINTER] * 7, ctypes.c_char_p, *rest]
    library.meta_backward.argtypes = [
        *[_POINTER] * 13, *[ctypes.c_char_p] * 2, *rest]
    library.meta_forward.restype = library.meta_backward.restype = None
    return library


def _in_c(net: Net) -> bytes:
    """The layers as the kernels read them, while the tensors live."""
    return b''.join(
        _LAYER.pack(*native_build.pointers(*layer.tensors),
                    *layer.weight.shape[:2], *layer[7:])
        for layer in net.layers)


def _plan(x: Tensor, dim: int) -> native.Plan:
    return native.make_plan(x.shape, x.stride(), dim, Betas.PER_SAMPLE,
                            torch.get_num_threads())
