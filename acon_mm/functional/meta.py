"""Meta-ACON as one function: the means, the net on them, and the op.

Each part by itself meets the overhead of Python and autograd, and costs as
much as a pass over a small input.
"""
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from . import dispatch, reference
from .channel_mean import channel_mean
from .cpu import meta as cpu_meta
from .cuda import meta as cuda_meta
from .keeps_input import KeepsLittle
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
    return dispatch.choose_kernels(x, cpu_meta, cuda_meta)


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
    return KeepsLittle.apply(kernels, _formula, (net, ),
                             channel_dim % x.dim(), x, p1, p2, scale, shift,
                             *net.trained)


def _formula(net: Net, dim: int, x: Tensor, p1: Tensor, p2: Tensor,
             scale: Tensor | None, shift: Tensor | None,
             *trained: Tensor | None) -> Tensor:
    means = channel_mean(x, dim).to(p1.dtype)
    if scale is not None:
        means = means * scale + shift
    beta = beta_formula(means, trained, net)
    return reference.acon(x, p1, p2, beta, dim, scale, shift)
