"""The Triton kernels as operators, which ``torch.compile`` sees through."""
import torch
from torch import Tensor

from ..keeps_input import formula_backward, is_by_formula
from ..rows import Betas, Rows
from . import launch


@torch.library.custom_op('acon_mm::acon', mutates_args=())
def forward(x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor,
            scale: Tensor | None, shift: Tensor | None, dim: int) -> Tensor:
    """Of parameters in dense memory, float32 of (C,), (N, C) or x's shape."""
    return launch.forward(x, (p1, p2, beta, scale, shift), dim)


@torch.library.custom_op('acon_mm::acon_backward', mutates_args=())
def backward(dy: Tensor, x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor,
             scale: Tensor | None, shift: Tensor | None,
             dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`acon_mm.functional.cuda.launch.backward`."""
    return launch.backward(dy, x, (p1, p2, beta, scale, shift), dim)


@forward.register_fake
def _(x, p1, p2, beta, scale, shift, dim):
    return Rows(x, Betas.of(beta, x), dim).new_empty(x)


@backward.register_fake
def _(dy, x, p1, p2, beta, scale, shift, dim):
    rows = Rows(x, Betas.of(beta, x), dim)
    sums = x.new_empty(
        (launch.planes(scale), rows.samples, rows.channels),
        dtype=torch.float32)
    return rows.new_empty(x), sums, launch.new_dbeta(x, rows)


def _keep(ctx, inputs, output):
    *tensors, ctx.dim = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx, dy):
    x, *parameters = ctx.saved_tensors
    needs = ctx.needs_input_grad[:6]
    if is_by_formula(dy):
        grads = formula_backward(dy, x, parameters, ctx.dim, needs)
    else:
        results = backward(dy, x, *parameters, ctx.dim)
        grads = launch.gradients(*results, x, parameters[2], needs)
    return (*grads, None)


forward.register_autograd(_differentiate, setup_context=_keep)
