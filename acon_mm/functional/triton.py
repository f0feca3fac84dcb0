"""ACON on CUDA by Triton, as operators that ``torch.compile`` knows."""
import functools
import importlib.util

import torch
from torch import Tensor

from .keeps_input import formula_backward, is_by_formula
from .rows import Betas, Rows, dense_parameters
from .triton_launch import Launch, is_interpreted

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def acon(x: Tensor,
         p1: Tensor | float,
         p2: Tensor | float,
         beta: Tensor | float,
         channel_dim: int = 1,
         scale: Tensor | None = None,
         shift: Tensor | None = None) -> Tensor:
    """See :func:`acon_mm.functional.acon`."""
    dim = channel_dim % x.dim()
    p1, p2, beta, *affine = dense_parameters(
        x, (p1, p2, beta, scale, shift), dim)
    if beta.shape != x.shape:
        beta = beta.contiguous()
    return _forward(
        x, p1.contiguous(), p2.contiguous(), beta,
        *(None if p is None else p.contiguous() for p in affine), dim)


@torch.compiler.assume_constant_result
def unavailable() -> str | None:
    """Why this machine cannot run it; None if it can."""
    if importlib.util.find_spec('triton') is None:
        return 'Triton is not installed'
    if not torch.cuda.is_available() and not is_interpreted():
        return 'there is no CUDA device'
    return None if is_interpreted() else _failure()


@functools.cache
def _failure() -> str | None:
    """Why kernels do not run: no C compiler for Triton, too old a card."""
    try:
        acon(torch.zeros(1, 1, device='cuda'), 1., 0., 1.)
    except Exception as error:
        return f'a first kernel failed ({error})'
    return None


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x``, on a machine that can run it."""
    if not x.is_cuda and not is_interpreted():
        return f'x is on {x.device}, not on a CUDA device'
    if x.numel() == 0:
        return 'x is empty'
    if x.dtype not in DTYPES:
        return f'x is {x.dtype}, not float32, float16 or bfloat16'
    return None


@torch.library.custom_op('acon_mm::acon', mutates_args=())
def _forward(x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor,
             scale: Tensor | None, shift: Tensor | None, dim: int) -> Tensor:
    from . import triton_kernels
    launch = Launch(x, (p1, p2, beta, scale, shift), dim, False)
    y = launch.rows.new_empty(x)
    with torch.cuda.device_of(x):
        triton_kernels.forward[launch.grid](
            y, launch.rows.view(x), *launch.tensors, *launch.sizes,
            **launch.options)
    return y


@torch.library.custom_op('acon_mm::acon_backward', mutates_args=())
def _backward(dy: Tensor, x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor,
              scale: Tensor | None, shift: Tensor | None,
              dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """dx, sums (3 or 5, samples, C) for the parameters, dbeta per element."""
    from . import triton_kernels
    launch = Launch(x, (p1, p2, beta, scale, shift), dim, True)
    rows = launch.rows
    dx, dbeta = rows.new_empty(x), _new_dbeta(x, rows)
    sums = x.new_empty((_planes(scale), launch.segments, rows.samples,
                        launch.parts, rows.channels), dtype=torch.float32)
    with torch.cuda.device_of(x):
        triton_kernels.backward[launch.grid](
            dx, sums, dbeta, rows.view(dy), rows.view(x), *launch.tensors,
            *launch.sizes, **launch.options)
    return dx, sums.sum((1, 3)), dbeta


@_forward.register_fake
def _(x, p1, p2, beta, scale, shift, dim):
    return Rows(x, Betas.of(beta, x), dim).new_empty(x)


@_backward.register_fake
def _(dy, x, p1, p2, beta, scale, shift, dim):
    rows = Rows(x, Betas.of(beta, x), dim)
    sums = x.new_empty((_planes(scale), rows.samples, rows.channels),
                       dtype=torch.float32)
    return rows.new_empty(x), sums, _new_dbeta(x, rows)


def _new_dbeta(x: Tensor, rows: Rows) -> Tensor:
    """For the gradient of a beta per element; else empty."""
    if rows.betas != Betas.PER_ELEMENT:
        return x.new_empty(0, dtype=torch.float32)
    return rows.new_empty(x, torch.float32)


def _keep(ctx, inputs, output):
    *tensors, ctx.dim = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx, dy):
    x, *parameters = ctx.saved_tensors
    needs = ctx.needs_input_grad[:6]
    if is_by_formula(dy):
        grads = formula_backward(dy, x, parameters, ctx.dim, needs)
        return (*grads, None)
    dx, sums, dbeta = _backward(dy, x, *parameters, ctx.dim)
    # the sums cost nothing beside dx, so all are made and some dropped
    totals = sums.sum(1) if sums.size(1) > 1 else sums.squeeze(1)
    grads = [dx, *totals.unbind(), None, None]
    betas = Betas.of(parameters[2], x)
    if betas == Betas.PER_SAMPLE:
        grads[3] = sums[2]
    elif betas == Betas.PER_ELEMENT:
        grads[3] = dbeta
    return (*(g if need else None for g, need in zip(grads, needs)), None)


_forward.register_autograd(_differentiate, setup_context=_keep)


def _planes(scale: Tensor | None) -> int:
    """Parameters that have sums."""
    return 3 if scale is None else 5
