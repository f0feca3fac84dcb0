"""Batch norm and ACON as one function, which keeps the norm's input alone.

One by one, the two write the norm's output and keep it. ReLU does not: it
overwrites it. Here a first pass over the input makes the statistics, and a
second one ACON's output; the backward pass computes the norm's output again.
"""
from collections.abc import Sequence
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from . import dispatch, reference
from .channel_mean import channel_mean
from .cpu import norm as cpu_norm
from .cuda import norm as cuda_norm
from .keeps_input import KeepsLittle
from .net import Net, Norm, are_dense, beta_formula
from .rows import dense_parameters
from .tracing import is_traced


class Kernels(Protocol):
    """What an implementation provides.

    ``inputs`` are p1, p2, beta, the norm's weight and bias and what the net
    trains; beta is None where the net makes it.
    """

    def refuses(self, x: Tensor, net: Net | None) -> str | None:
        """Why it cannot serve ``x`` here; None if it can."""

    def forward(self, x: Tensor, inputs: Sequence[Tensor | None], norm: Norm,
                net: Net | None, dim: int) -> tuple[Tensor, list[Tensor]]:
        """The activation, and what is small and kept beside ``x``."""

    def backward(self, dy: Tensor, x: Tensor,
                 inputs: Sequence[Tensor | None], norm: Norm,
                 net: Net | None, dim: int,
                 kept: Sequence[Tensor]) -> list[Tensor | None]:
        """Gradients of ``x`` and ``inputs``."""


def norm_acon(x: Tensor,
              p1: Tensor | float,
              p2: Tensor | float,
              beta: Tensor | float,
              running_mean: Tensor | None = None,
              running_var: Tensor | None = None,
              weight: Tensor | None = None,
              bias: Tensor | None = None,
              momentum: float = .1,
              eps: float = 1e-5,
              channel_dim: int = 1) -> Tensor:
    """:func:`acon` behind a batch norm that takes the batch's statistics.

    As ``acon(F.batch_norm(x, ..., training=True), p1, p2, beta)``, without
    the norm's output in memory: ``x`` and what is (C,) are kept for the
    backward pass. Where no kernel can run (float64, a captured graph, a beta
    of each element) the two run one after the other.

    Args:
        x (Tensor): (N, C, *) or, with ``channel_dim=-1``, (N, \\*, C); more
            than one value a channel.
        p1, p2 (Tensor or float): As of :func:`acon`.
        beta (Tensor or float): As of :func:`acon`.
        running_mean, running_var (Tensor, optional): (C,), both or none;
            follow the batch's.
        weight, bias (Tensor, optional): The norm's own, (C,).
        momentum (float): How far the running statistics follow. Defaults to
            0.1.
        eps (float): Added to the variance. Defaults to 1e-5.
        channel_dim (int): Dimension of the channels. Defaults to 1.

    Returns:
        Tensor: ``x``'s shape and dtype.

    Raises:
        TypeError: ``x`` is not a floating-point tensor.
        ValueError: A parameter does not fit ``x``, or a channel has one
            value.
    """
    dispatch.check_type(x, 'norm_acon')
    norm = Norm(weight, bias, running_mean, running_var, momentum, eps)
    y = joined(x, p1, p2, beta, norm, channel_dim)
    if y is None:
        normed = _normalize(x, norm, channel_dim)
        y = dispatch.acon(normed, p1, p2, beta, channel_dim)
    return y


def joined(x: Tensor, p1: Tensor | float, p2: Tensor | float,
           beta: Tensor | float, norm: Norm,
           channel_dim: int) -> Tensor | None:
    """:func:`norm_acon` by kernels; None where the two run by themselves."""
    if isinstance(beta, Tensor) and (beta.dim() > 2
                                     or beta.shape == x.shape):
        return None
    kernels = kernels_for(x, norm, None, channel_dim)
    if kernels is None:
        return None
    p1, p2, beta, *_ = dense_parameters(
        x, (p1, p2, beta, None, None), channel_dim % x.dim())
    return apply(kernels, x, p1.contiguous(), p2.contiguous(),
                 beta.contiguous(), norm, None, channel_dim)


def kernels_for(x: Tensor, norm: Norm, net: Net | None,
                channel_dim: int) -> Kernels | None:
    """What computes it of ``x``; None if the two run by themselves."""
    if is_traced(x):
        return None
    channels = x.size(channel_dim)
    given = [t for t in norm[:4] if t is not None]
    if x.numel() <= channels or (norm.mean is None) != (
            norm.variance is None) or not are_dense(
                given, [channels] * len(given), x.device):
        return None
    return dispatch.choose_kernels(x, cpu_norm, cuda_norm, net)


def apply(kernels: Kernels, x: Tensor, p1: Tensor, p2: Tensor,
          beta: Tensor | None, norm: Norm, net: Net | None,
          channel_dim: int) -> Tensor:
    """:func:`norm_acon` by kernels, of dense parameters.

    Args:
        kernels (Kernels): Those of :func:`kernels_for`.
        x (Tensor): As of :func:`norm_acon`.
        p1, p2 (Tensor): (C,).
        beta (Tensor, optional): (C,) or (N, C); None where ``net`` makes it
            of the means of each channel of the norm's output.
        norm (Norm): The norm.
        net (Net, optional): Meta-ACON's.
        channel_dim (int): Dimension of the channels.
    """
    channels = p1.numel()
    weight = p1.new_ones(channels) if norm.weight is None else norm.weight
    bias = p1.new_zeros(channels) if norm.bias is None else norm.bias
    return KeepsLittle.apply(kernels, _formula, (norm, net),
                             channel_dim % x.dim(), x, p1, p2, beta, weight,
                             bias, *(() if net is None else net.trained))


def _formula(norm: Norm, net: Net | None, dim: int, x: Tensor, p1: Tensor,
             p2: Tensor, beta: Tensor | None, weight: Tensor, bias: Tensor,
             *trained: Tensor | None) -> Tensor:
    # the running statistics have followed already
    normed = _normalize(x, Norm(weight, bias, eps=norm.eps), dim)
    if net is not None:
        means = channel_mean(normed, dim).to(p1.dtype)
        beta = beta_formula(means, trained, net)
    return reference.acon(normed, p1, p2, beta, dim)


def _normalize(x: Tensor, norm: Norm, channel_dim: int) -> Tensor:
    if channel_dim not in (1, 1 - x.dim()):
        moved = _normalize(x.movedim(channel_dim, 1), norm, 1)
        return moved.movedim(1, channel_dim)
    return F.batch_norm(x, norm.mean, norm.variance, norm.weight, norm.bias,
                        True, norm.momentum, norm.eps)
