"""The arithmetic of ACON and of its gradients, on tensors that broadcast.

With d = (p1 - p2) x, s = sigmoid(beta d) and the upstream gradient dy::

    y     = d s + p2 x
    g     = dy (s + beta d s (1 - s))            (what reaches d)
    dx    = (p1 - p2) g + p2 dy
    dp1   = sum x g
    dp2   = sum x (dy - g)
    dbeta = sum dy d d s (1 - s)

Where x is scale z + shift, dz = scale dx, dscale = sum z dx, dshift = sum dx.
Parameters come in the dtype of the arithmetic, with as many dimensions as x.
"""
from collections.abc import Sequence

import torch
from torch import Tensor


def forward(z: Tensor,
            p1: Tensor,
            p2: Tensor,
            beta: Tensor,
            scale: Tensor | None = None,
            shift: Tensor | None = None) -> Tensor:
    """``y`` in the dtype of the input."""
    slope = p1 - p2
    x = _affine(z.to(slope.dtype), scale, shift)
    switch = torch.mul(x, beta * slope).sigmoid_()
    return switch.mul_(slope).add_(p2).mul_(x).to(z.dtype)


def backward(dy: Tensor,
             z: Tensor,
             p1: Tensor,
             p2: Tensor,
             beta: Tensor,
             scale: Tensor | None = None,
             shift: Tensor | None = None,
             *,
             needs: Sequence[bool]) -> list[Tensor | None]:
    """Gradients in the order of the arguments; None for those not needed."""
    slope = p1 - p2
    inputs, up = z.to(slope.dtype), dy.to(slope.dtype)
    x = _affine(inputs, scale, shift)
    d = x * slope
    s = (d * beta).sigmoid_()
    bend = torch.ops.aten.sigmoid_backward(up, s).mul_(d)
    g = s.mul_(up).addcmul_(bend, beta)
    grads: list[Tensor | None] = [None] * 6
    if needs[3]:
        grads[3] = bend.mul_(d).sum_to_size(beta.shape)
    if needs[1]:
        grads[1] = (x * g).sum_to_size(p1.shape)
    if needs[2]:
        grads[2] = (up - g).mul_(x).sum_to_size(p2.shape)
    if needs[0] or any(needs[4:]):
        dx = g.mul_(slope).addcmul_(up, p2)
    if needs[4]:
        grads[4] = (inputs * dx).sum_to_size(scale.shape)
    if needs[5]:
        grads[5] = dx.sum_to_size(shift.shape)
    if needs[0]:
        grads[0] = (dx if scale is None else dx.mul(scale)).to(z.dtype)
    return grads


def _affine(z: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    return z if scale is None else torch.addcmul(shift, z, scale)
