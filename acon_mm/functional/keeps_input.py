"""The autograd functions that keep ``x`` and the parameters, no more."""
import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from . import reference, torch_versions

# p1, p2, beta, scale, shift; the last two are None where there is no affine
Parameters = Sequence[Tensor | float | None]


class Kernels(Protocol):
    """What an implementation provides."""

    def forward(self, x: Tensor, parameters: Parameters, dim: int) -> Tensor:
        """The activation."""

    def backward(self, dy: Tensor, x: Tensor, parameters: Parameters,
                 dim: int, needs: Sequence[bool]) -> list[Tensor | None]:
        """Gradients of x and the parameters, or None where not needed."""


def _require_memory(x: Tensor) -> None:
    """Kernels read what is at an address, whatever it is."""
    if x.numel() and not x.untyped_storage().nbytes():
        raise RuntimeError(
            'The input of an activation was freed before its backward pass: '
            'ACON needs it there, where ReLU needs its output.')


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
        _require_memory(x)
        parameters = [
            value if tensor is None else tensor
            for tensor, value in zip(saved, ctx.floats)
        ]
        needs = ctx.needs_input_grad[2:]
        if is_by_formula(dy):
            grads = formula_backward(dy, x, parameters, ctx.dim, needs)
        else:
            grads = ctx.kernels.backward(dy, x, parameters, ctx.dim, needs)
        return (None, None, *grads)


class KeepsLittle(torch.autograd.Function):
    """``apply(kernels, formula, details, dim, x, *inputs)``: kernels that
    keep, beside what they get, something small; twice differentiable.

    ``kernels.forward(x, inputs, *details, dim)`` gives the output and what is
    kept, ``kernels.backward(dy, x, inputs, *details, dim, kept)`` the
    gradients of x and the inputs, ``formula(*details, dim, x, *inputs)`` the
    same output by PyTorch's operators.
    """

    @staticmethod
    def forward(ctx, kernels, formula, details, dim, x, *inputs):
        y, kept = kernels.forward(x, inputs, *details, dim)
        ctx.kernels, ctx.formula = kernels, formula
        ctx.details = (*details, dim)
        ctx.save_for_backward(x, *inputs, *kept)
        ctx.count = len(inputs)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, *rest = ctx.saved_tensors
        _require_memory(x)
        inputs, kept = rest[:ctx.count], rest[ctx.count:]
        if is_by_formula(dy):
            grads = differentiate(
                functools.partial(ctx.formula, *ctx.details), (x, *inputs),
                dy, ctx.needs_input_grad[4:])
        else:
            grads = ctx.kernels.backward(dy, x, inputs, *ctx.details, kept)
        return (None, None, None, None, *grads)


def formula_backward(dy: Tensor, x: Tensor, parameters: Parameters, dim: int,
                     needs: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of x and the parameters by the reference formula."""

    def formula(x, p1, p2, beta, scale, shift):
        return reference.acon(x, p1, p2, beta, dim, scale, shift)

    return differentiate(formula, (x, *parameters), dy, needs)


def differentiate(formula: Callable[..., Tensor],
                  inputs: Sequence[Tensor | float | None], dy: Tensor,
                  needs: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of ``formula(*inputs)``, in grad mode differentiable again.

    Each is that of its own argument: where one input was computed from
    another (beta from x), the graph in front adds what comes that way.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        aliases = [
            value.view_as(value) if isinstance(value, Tensor) else value
            for value in inputs
        ]
        y = formula(*aliases)
    wanted = [alias for alias, need in zip(aliases, needs) if need]
    grads = iter(torch.autograd.grad(y, wanted, dy,
                                     create_graph=create_graph))
    return [next(grads) if need else None for need in needs]


def is_by_formula(dy: Tensor) -> bool:
    """Whether a backward pass leaves the kernels to the formula.

    Grad mode is on when the gradients will be differentiated again; several
    upstream gradients at a time (``is_grads_batched``) have no memory.
    """
    return torch.is_grad_enabled() or torch_versions.is_batched(dy)
