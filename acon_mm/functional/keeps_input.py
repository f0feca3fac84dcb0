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
        ctx.floats = [
            None if isinstance(p, Tensor) else p for p in parameters
        ]
        ctx.save_for_backward(
            x, *(p if isinstance(p, Tensor) else None for p in parameters))
        return kernels.forward(x, parameters, dim)

    @staticmethod
    def backward(ctx, dy):
        x, *saved = ctx.saved_tensors
        parameters = [
            value if tensor is None else tensor
            for tensor, value in zip(saved, ctx.floats)
        ]
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
