"""ACON on CUDA by Triton, as operators that ``torch.compile`` knows."""
import importlib.util
import os

import torch
from torch import Tensor

from .keeps_input import Parameters, formula_backward
from .rows import Betas, Rows, dense_parameters

DTYPES = (torch.float32, torch.float16, torch.bfloat16)

# elements of a tile, its widest row where that is one pixel, and the tiles
# whose sums one program makes: few enough to busy a large GPU with small
# tensors, and so many that the sums of a large tensor are little to write
TILE = 2048
WIDE_TILE = 256
STEPS = (8, 32)
PROGRAMS = 2048


def acon(x: Tensor,
         p1: Tensor | float,
         p2: Tensor | float,
         beta: Tensor | float,
         channel_dim: int = 1,
         scale: Tensor | None = None,
         shift: Tensor | None = None) -> Tensor:
    """See :func:`acon_mm.functional.acon`."""
    dim = channel_dim % x.dim()
    parameters = dense_parameters(x, (p1, p2, beta, scale, shift), dim)
    return _forward(
        x, *(None if p is None else p.contiguous() for p in parameters), dim)


@torch.compiler.assume_constant_result
def unavailable() -> str | None:
    """Why this machine cannot run it; None if it can."""
    if importlib.util.find_spec('triton') is None:
        return 'Triton is not installed'
    if not torch.cuda.is_available() and not _is_interpreted():
        return 'there is no CUDA device'
    return None


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x``, on a machine that can run it."""
    if not x.is_cuda and not _is_interpreted():
        return f'x is on {x.device}, not on a CUDA device'
    if x.numel() == 0:
        return 'x is empty'
    if x.dtype not in DTYPES:
        return f'x is {x.dtype}, not float32, float16 or bfloat16'
    return None


def _is_interpreted() -> bool:
    """Whether Triton runs its kernels in Python, for tests."""
    return os.environ.get('TRITON_INTERPRET') == '1'


@torch.library.custom_op('acon_mm::acon', mutates_args=())
def _forward(x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor,
             scale: Tensor | None, shift: Tensor | None, dim: int) -> Tensor:
    from . import triton_kernels
    launch = _Launch(x, (p1, p2, beta, scale, shift), dim, 1)
    y = launch.rows.new_empty(x)
    with torch.cuda.device_of(x):
        triton_kernels.forward[launch.grid](
            y, launch.rows.view(x), *launch.parameters, *launch.sizes,
            **launch.constants, num_warps=4)
    return y


@torch.library.custom_op('acon_mm::acon_backward', mutates_args=())
def _backward(dy: Tensor, x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor,
              scale: Tensor | None, shift: Tensor | None,
              dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """dx, sums (3 or 5, samples, C) for the parameters, dbeta per element."""
    from . import triton_kernels
    launch = _Launch(x, (p1, p2, beta, scale, shift), dim, _steps(x))
    rows = launch.rows
    dx, dbeta = rows.new_empty(x), rows.new_dbeta(x)
    sums = x.new_empty(launch.sums, dtype=torch.float32)
    with torch.cuda.device_of(x):
        triton_kernels.backward[launch.grid](
            dx, sums, dbeta, rows.view(dy), rows.view(x), *launch.parameters,
            *launch.sizes, **launch.constants, STEPS=launch.steps,
            num_warps=8)
    return dx, sums.sum((1, 3)), dbeta


@_forward.register_fake
def _(x, p1, p2, beta, scale, shift, dim):
    return Rows(x, Betas.of(beta, x), dim).new_empty(x)


@_backward.register_fake
def _(dy, x, p1, p2, beta, scale, shift, dim):
    rows = Rows(x, Betas.of(beta, x), dim)
    sums = x.new_empty((_planes(scale), rows.samples, rows.channels),
                       dtype=torch.float32)
    return rows.new_empty(x), sums, rows.new_dbeta(x)


def _keep(ctx, inputs, output):
    *tensors, ctx.dim = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx, dy):
    x, *parameters = ctx.saved_tensors
    needs = ctx.needs_input_grad[:6]
    # grad mode is on when the gradients will be differentiated again
    if torch.is_grad_enabled():
        grads = formula_backward(dy, x, parameters, ctx.dim, needs)
        return (*grads, None)
    dx, sums, dbeta = _backward(dy, x, *parameters, ctx.dim)
    # the sums cost nothing beside dx, so all are made and some dropped
    rows = Rows(x, Betas.of(parameters[2], x), ctx.dim)
    grads = [dx, *rows.totals(sums.unsqueeze(2), dbeta), None, None]
    return (*(g if need else None for g, need in zip(grads, needs)), None)


_forward.register_autograd(_differentiate, setup_context=_keep)


def _planes(scale: Tensor | None) -> int:
    """Parameters that have sums."""
    return 3 if scale is None else 5


def _steps(x: Tensor) -> int:
    """Tiles of a program of the backward pass; the shape alone decides."""
    least, most = STEPS
    return min(most, max(least, x.numel() // (TILE * PROGRAMS)))


class _Launch:
    """The grid and the arguments of the kernels, which explain them."""

    def __init__(self, x: Tensor, parameters: Parameters, dim: int,
                 steps: int) -> None:
        p1, p2, beta, scale, shift = parameters
        self.rows = rows = Rows(x, Betas.of(beta, x), dim)
        if rows.betas == Betas.PER_ELEMENT:
            beta = rows.view(beta)
        self.parameters = (p1, p2, beta, scale, shift)
        block_n = min(1 << (rows.n - 1).bit_length(),
                      WIDE_TILE if rows.wide else TILE)
        block_r = TILE // block_n
        if rows.wide:
            self.steps = steps
            parts = -(-rows.share // (block_r * steps))
            self.grid = (rows.samples * parts, -(-rows.n // block_n))
            segments = 1
        else:
            self.steps = min(steps, -(-rows.n // block_n))
            parts = rows.share // rows.channels
            segments = -(-rows.n // (block_n * self.steps))
            self.grid = (-(-rows.rows // block_r), segments)
        self.sums = (_planes(scale), segments, rows.samples, parts,
                     rows.channels)
        self.sizes = (rows.rows, rows.n, rows.channels, rows.share, parts)
        self.constants = dict(
            WIDE=rows.wide,
            BETAS=int(rows.betas),
            AFFINE=scale is not None,
            BLOCK_R=block_r,
            BLOCK_N=block_n)
