"""Meta-ACON in one call on the CPU, by the kernels of ``native_meta.c``."""
import ctypes
import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from . import native, native_build
from .net import Layer, Net
from .rows import Betas

_POINTER, _SIZE, _NUMBER, _REAL = native_build.TYPES


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x`` here; None if it can."""
    if x.dtype != torch.float32:
        return f'x is {x.dtype}, not torch.float32'
    if torch.is_autocast_enabled('cpu'):
        return 'the net is to be computed in half precision'
    return native.refuses(x) or native_build.load('native_meta').error


def forward(x: Tensor, inputs: Sequence[Tensor | None], net: Net,
            dim: int) -> tuple[Tensor, list[Tensor]]:
    """See :class:`acon_mm.functional.meta.Kernels`."""
    plan = _plan(x, dim, inputs)
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
    plan = _plan(x, dim, inputs)
    rows = plan.rows
    dense, upstream, dx = rows.view(x), rows.view(dy), rows.new_empty(x)
    given = [p for p in inputs[4:] if p is not None]
    sizes = *plan.sums, *map(Tensor.numel, given)
    grads = x.new_empty(sum(sizes))
    work = x.new_empty(
        plan.parts + rows.samples * (net.hidden + rows.channels))
    _library().meta_backward(
        *native_build.pointers(dx, grads, work, upstream, dense, *inputs[:4],
                               *kept), _in_c(net), net.scale,
        *plan.layout[:5], plan.chunk, plan.threads)
    dp1, dp2, _, *rest = grads.split_with_sizes(sizes)
    affine = [None, None] if inputs[2] is None else [rest.pop(0), rest.pop(0)]
    own = iter(rest)
    return [dx, dp1, dp2, *affine,
            *(p if p is None else _shaped(next(own), p) for p in inputs[4:])]


@functools.cache
def _library() -> ctypes.CDLL:
    library = native_build.load('native_meta').library
    rest = [_POINTER, _REAL, *[_SIZE] * 4, _NUMBER, _SIZE, _NUMBER]
    library.meta_forward.argtypes = [*[_POINTER] * 7, *rest]
    library.meta_backward.argtypes = [*[_POINTER] * 10, *rest]
    library.meta_forward.restype = library.meta_backward.restype = None
    return library


class _Layer(ctypes.Structure):
    _fields_ = [
        *((name, _POINTER) for name in Layer._fields[:7]),
        ('out', _SIZE), ('in', _SIZE), ('batch', _NUMBER),
        ('momentum', _REAL), ('eps', _REAL)
    ]


def _in_c(net: Net) -> ctypes.Array:
    """The layers as the kernels read them, while the tensors live."""
    return (_Layer * len(net.layers))(*(
        (*native_build.pointers(*layer.tensors), *layer.weight.shape[:2],
         *layer[7:]) for layer in net.layers))


def _plan(x: Tensor, dim: int,
          inputs: Sequence[Tensor | None]) -> native.Plan:
    return native.make_plan(x.shape, x.stride(), dim, Betas.PER_SAMPLE,
                            inputs[2] is not None, torch.get_num_threads())


def _shaped(grad: Tensor, parameter: Tensor) -> Tensor:
    return grad.view(parameter.shape) if parameter.dim() > 1 else grad
