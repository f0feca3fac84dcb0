"""The arithmetic of ACON and of its gradients, on tensors that broadcast.

With d = (p1 - p2) x, s = sigmoid(beta d) and the upstream gradient dy::

    y     = d s + p2 x
    g     = dy (s + beta d s (1 - s))            (what reaches d)
    dx    = (p1 - p2) g + p2 dy
    dp1   = sum x g
    dp2   = sum x (dy - g)
    dbeta = sum dy d d s (1 - s)

Parameters come in the dtype of the arithmetic, with as many dimensions as x.
"""
from collections.abc import Sequence

import torch
from torch import Tensor


def forward(x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor) -> Tensor:
    """``y`` in the dtype of ``x``."""
    slope = p1 - p2
    value = x.to(slope.dtype)
    switch = torch.mul(value, beta * slope).sigmoid_()
    return switch.mul_(slope).add_(p2).mul_(value).to(x.dtype)


def backward(dy: Tensor, x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor,
             needs: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of x, p1, p2 and beta; None for those not in ``needs``."""
    slope = p1 - p2
    value, up = x.to(slope.dtype), dy.to(slope.dtype)
    d = value * slope
    s = (d * beta).sigmoid_()
    bend = torch.ops.aten.sigmoid_backward(up, s).mul_(d)
    g = s.mul_(up).addcmul_(bend, beta)
    dx = dp1 = dp2 = dbeta = None
    if needs[3]:
        dbeta = bend.mul_(d).sum_to_size(beta.shape)
    if needs[1]:
        dp1 = (value * g).sum_to_size(p1.shape)
    if needs[2]:
        dp2 = (up - g).mul_(value).sum_to_size(p2.shape)
    if needs[0]:
        dx = g.mul_(slope).addcmul_(up, p2).to(x.dtype)
    return [dx, dp1, dp2, dbeta]
