"""The autograd function that keeps ``x`` and the parameters, no more."""
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from . import reference

# p1, p2, beta, scale, shift; the last two are None where there is no affine
Parameters = Sequence[Tensor | float | None]


class Kernels(Protocol):
    """What an implementation provides."""

    def forward(self, x: Tensor, parameters: Parameters, dim: int) -> Tensor:
        """The activation."""

    def backward(self, dy: Tensor, x: Tensor, parameters: Parameters,
                 dim: int, needs: Sequence[bool]) -> list[Tensor | None]:
        """Gradients of x and the parameters, or None where not needed."""


class KeepsInput(torch.autograd.Function):
    """``apply(kernels, dim, x, *parameters)``, twice differentiable."""

    @staticmethod
    def forward(ctx, kernels, dim, x, *parameters):
        ctx.kernels, ctx.dim = kernels, dim
        ctx.constants = {
            i: p
            for i, p in enumerate(parameters) if not isinstance(p, Tensor)
        }
        ctx.save_for_backward(
            x, *(p for p in parameters if isinstance(p, Tensor)))
        return kernels.forward(x, parameters, dim)

    @staticmethod
    def backward(ctx, dy):
        x, *parameters = ctx.saved_tensors
        for i, constant in ctx.constants.items():
            parameters.insert(i, constant)
        needs = ctx.needs_input_grad[2:]
        # grad mode is on when the gradients will be differentiated again
        if torch.is_grad_enabled():
            grads = formula_backward(dy, x, parameters, ctx.dim, needs)
        else:
            grads = ctx.kernels.backward(dy, x, parameters, ctx.dim, needs)
        return (None, None, *grads)


def formula_backward(dy: Tensor, x: Tensor, parameters: Parameters, dim: int,
                     needs: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of x and the parameters that can be differentiated again."""
    p1, p2, beta, scale, shift = parameters
    y = reference.acon(x, p1, p2, beta, dim, scale, shift)
    wanted = [
        value for value, need in zip((x, *parameters), needs) if need
    ]
    grads = iter(torch.autograd.grad(y, wanted, dy, create_graph=True))
    return [next(grads) if need else None for need in needs]
