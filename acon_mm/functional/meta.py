"""Meta-ACON as one function: the means, the net on them, and the op.

Each part by itself meets the overhead of Python and autograd, and costs as
much as a pass over a small input.
"""
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from . import dispatch, reference
from .channel_mean import channel_mean
from .cpu import meta as cpu_meta
from .cuda import meta as cuda_meta
from .keeps_input import differentiate, is_by_formula
from .net import Net, beta_formula


class Kernels(Protocol):
    """What an implementation provides.

    ``inputs`` are p1, p2, scale, shift and what the net trains.
    """

    def refuses(self, x: Tensor) -> str | None:
        """Why it cannot serve ``x`` here; None if it can."""

    def forward(self, x: Tensor, inputs: Sequence[Tensor | None], net: Net,
                dim: int) -> tuple[Tensor, list[Tensor]]:
        """The activation, and what is small and kept beside ``x``."""

    def backward(self, dy: Tensor, x: Tensor,
                 inputs: Sequence[Tensor | None], net: Net, dim: int,
                 kept: Sequence[Tensor]) -> list[Tensor | None]:
        """Gradients of ``x`` and ``inputs``."""


def kernels_for(x: Tensor) -> Kernels | None:
    """What computes it of ``x``; None if its parts do."""
    choice = dispatch.get_implementation()
    if choice in ('auto', 'native') and cpu_meta.refuses(x) is None:
        return cpu_meta
    if (choice == 'triton' or choice == 'auto' and x.is_cuda) and (
            cuda_meta.refuses(x) is None):
        return cuda_meta
    return None


def acon(kernels: Kernels, x: Tensor, p1: Tensor, p2: Tensor,
         scale: Tensor | None, shift: Tensor | None, net: Net,
         channel_dim: int) -> Tensor:
    """:func:`acon_mm.functional.acon` with beta from the means of ``x``.

    Args:
        kernels (Kernels): Those of :func:`kernels_for`.
        x (Tensor): (N, C, *) or, with ``channel_dim=-1``, (N, \\*, C).
        p1, p2 (Tensor): (C,); dense, as all tensors but ``x``.
        scale, shift (Tensor, optional): (C,), both or none.
        net (Net): Gives beta, (N, C), of the means of each channel of
            ``scale * x + shift``.
        channel_dim (int): Dimension of the channels.
    """
    return _MetaAcon.apply(kernels, channel_dim % x.dim(), net, x, p1, p2,
                           scale, shift, *net.trained)


class _MetaAcon(torch.autograd.Function):

    @staticmethod
    def forward(ctx, kernels, dim, net, x, *inputs):
        y, kept = kernels.forward(x, inputs, net, dim)
        ctx.kernels, ctx.dim, ctx.net = kernels, dim, net
        ctx.save_for_backward(x, *inputs, *kept)
        ctx.count = len(inputs)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, *rest = ctx.saved_tensors
        inputs, kept = rest[:ctx.count], rest[ctx.count:]
        if is_by_formula(dy):
            grads = _formula_backward(dy, (x, *inputs), ctx)
        else:
            grads = ctx.kernels.backward(dy, x, inputs, ctx.net, ctx.dim,
                                         kept)
        return (None, None, None, *grads)


def _formula_backward(dy: Tensor, inputs: Sequence[Tensor | None],
                      ctx) -> list[Tensor | None]:

    def formula(x, p1, p2, scale, shift, *trained):
        means = channel_mean(x, ctx.dim).to(p1.dtype)
        if scale is not None:
            means = means * scale + shift
        beta = beta_formula(means, trained, ctx.net)
        return reference.acon(x, p1, p2, beta, ctx.dim, scale, shift)

    return differentiate(formula, inputs, dy, ctx.needs_input_grad[3:])
