"""Meta-ACON behind one call on the CPU, by the kernels of ``native_meta.c``.

Its parts by themselves would each meet Python's overhead, on caches that a
pass over the input has emptied.
"""
import ctypes
import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from . import native, native_build, native_net, reference
from .channel_mean import channel_mean
from .keeps_input import differentiate, is_by_formula
from .native_net import Net
from .rows import Betas


def acon(x: Tensor, p1: Tensor, p2: Tensor, scale: Tensor | None,
         shift: Tensor | None, net: Net, channel_dim: int) -> Tensor:
    """:func:`acon_mm.functional.acon` with beta from the means of ``x``.

    Args:
        x (Tensor): (N, C, *) or, with ``channel_dim=-1``, (N, \\*, C).
        p1, p2 (Tensor): (C,); dense, as all tensors but ``x``.
        scale, shift (Tensor, optional): (C,), both or none.
        net (Net): Gives beta, (N, C), of the means of each channel of
            ``scale * x + shift``.
        channel_dim (int): Dimension of the channels.
    """
    return _MetaAcon.apply(channel_dim % x.dim(), net, x, p1, p2, scale,
                           shift, *net.trained)


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x`` here; None if it can."""
    if x.dtype != torch.float32:
        return f'x is {x.dtype}, not torch.float32'
    return native.refuses(x) or native_build.load('native_meta').error


@functools.cache
def _library() -> ctypes.CDLL:
    library = native_build.load('native_meta').library
    pointer, size, number, real = native_build.TYPES
    rest = [pointer, real, *[size] * 4, number, size, number]
    library.meta_forward.argtypes = [*[pointer] * 7, *rest]
    library.meta_backward.argtypes = [*[pointer] * 10, *rest]
    library.meta_forward.restype = library.meta_backward.restype = None
    return library


class _MetaAcon(torch.autograd.Function):

    @staticmethod
    def forward(ctx, dim, net, x, p1, p2, scale, shift, *trained):
        plan = _plan(x, dim, scale is not None)
        rows = plan.rows
        inputs, y = rows.view(x), rows.new_empty(x)
        betas = rows.samples * rows.channels
        kept = x.new_empty(
            2 * betas +
            (2 * rows.samples + 1) * (net.hidden + rows.channels))
        _library().meta_forward(
            *native_build.pointers(y, kept, inputs, p1, p2, scale, shift),
            net.in_c(), net.scale, *plan.layout[:5], plan.chunk,
            plan.threads)
        ctx.dim, ctx.net = dim, net
        ctx.save_for_backward(kept, x, p1, p2, scale, shift, *trained)
        return y

    @staticmethod
    def backward(ctx, dy):
        kept, *inputs = ctx.saved_tensors
        net = ctx.net
        if is_by_formula(dy):
            return (None, None, *_formula_backward(dy, inputs, ctx))
        x, p1, p2, scale, shift, *trained = inputs
        plan = _plan(x, ctx.dim, scale is not None)
        rows = plan.rows
        dense, upstream = rows.view(x), rows.view(dy)
        dx = rows.new_empty(x)
        given = [p for p in trained if p is not None]
        sizes = *plan.sums, *map(Tensor.numel, given)
        grads = x.new_empty(sum(sizes))
        work = x.new_empty(
            plan.parts + rows.samples * (net.hidden + rows.channels))
        _library().meta_backward(
            *native_build.pointers(dx, grads, work, upstream, dense, p1, p2,
                                   scale, shift, kept), net.in_c(),
            net.scale, *plan.layout[:5], plan.chunk, plan.threads)
        dp1, dp2, _, *rest = grads.split_with_sizes(sizes)
        affine = (None, None) if scale is None else (rest.pop(0), rest.pop(0))
        own = iter(rest)
        return (None, None, dx, dp1, dp2, *affine,
                *(p if p is None else _shaped(next(own), p)
                  for p in trained))


def _shaped(grad: Tensor, parameter: Tensor) -> Tensor:
    return grad.view(parameter.shape) if parameter.dim() > 1 else grad


def _plan(x: Tensor, dim: int, affine: bool) -> native.Plan:
    return native.make_plan(x.shape, x.stride(), dim, Betas.PER_SAMPLE,
                            affine, torch.get_num_threads())


def _formula_backward(dy: Tensor, inputs: Sequence[Tensor | None],
                      ctx) -> list[Tensor | None]:

    def formula(x, p1, p2, scale, shift, *trained):
        means = channel_mean(x, ctx.dim)
        if scale is not None:
            means = means * scale + shift
        beta = native_net.formula(means, trained, ctx.net)
        return reference.acon(x, p1, p2, beta, ctx.dim, scale, shift)

    return differentiate(formula, inputs, dy, ctx.needs_input_grad[2:])
