"""The autograd function that keeps ``x`` and the parameters, no more."""
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from . import reference

Parameters = Sequence[Tensor | float]


class Kernels(Protocol):
    """What an implementation provides; ``parameters`` is p1, p2, beta."""

    def forward(self, x: Tensor, parameters: Parameters, dim: int) -> Tensor:
        """The activation."""

    def backward(self, dy: Tensor, x: Tensor, parameters: Parameters,
                 dim: int, needs: Sequence[bool]) -> list[Tensor | None]:
        """Gradients of x, p1, p2, beta, or None where not needed."""


class KeepsInput(torch.autograd.Function):
    """``apply(kernels, x, p1, p2, beta, dim)``, twice differentiable."""

    @staticmethod
    def forward(ctx, kernels, x, p1, p2, beta, dim):
        ctx.kernels, ctx.dim = kernels, dim
        ctx.floats = [
            None if isinstance(p, Tensor) else p for p in (p1, p2, beta)
        ]
        ctx.save_for_backward(
            x, *(p for p in (p1, p2, beta) if isinstance(p, Tensor)))
        return kernels.forward(x, (p1, p2, beta), dim)

    @staticmethod
    def backward(ctx, dy):
        x, *tensors = ctx.saved_tensors
        parameters = [
            tensors.pop(0) if value is None else value for value in ctx.floats
        ]
        needs = ctx.needs_input_grad[1:5]
        # grad mode is on when the gradients will be differentiated again
        if torch.is_grad_enabled():
            grads = formula_backward(dy, (x, *parameters), ctx.dim, needs)
        else:
            grads = ctx.kernels.backward(dy, x, parameters, ctx.dim, needs)
        return (None, *grads, None)


def formula_backward(dy: Tensor, inputs: Sequence[Tensor | float], dim: int,
                     needs: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of x, p1, p2, beta that can be differentiated again."""
    y = reference.acon(*inputs, dim)
    wanted = [value for value, need in zip(inputs, needs) if need]
    grads = iter(torch.autograd.grad(y, wanted, dy, create_graph=True))
    return [next(grads) if need else None for need in needs]
