"""Meta-ACON's beta net on the CPU, by the kernels of ``native_net.c``.

It is small, and made of PyTorch's operators it costs as much as a pass over
the activation's input: each of them is fetched anew behind such a pass.
"""
import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import native_build
from .keeps_input import differentiate, is_by_formula


class Layer(NamedTuple):
    """A product and its norm; ``gamma`` is None without a norm.

    Attributes:
        weight (Tensor): (out, in), or a 1x1 convolution's.
        bias (Tensor): (out,), as all below.
        gamma, offset (Tensor, optional): The norm's weight and bias.
        mean, variance (Tensor, optional): Its running statistics.
        batch (bool): Whether it takes the batch's statistics instead, which
            the running ones then follow.
        momentum, eps (float): As of ``nn.BatchNorm2d``.
    """
    weight: Tensor
    bias: Tensor
    gamma: Tensor | None = None
    offset: Tensor | None = None
    mean: Tensor | None = None
    variance: Tensor | None = None
    batch: bool = False
    momentum: float = 0.
    eps: float = 0.

    @property
    def trained(self) -> tuple[Tensor | None, ...]:
        """What gets gradients."""
        return self[:4]


def beta_net(x: Tensor, layers: Sequence[Layer], scale: float) -> Tensor:
    """``scale * sigmoid`` of the layers, one behind the other.

    Args:
        x (Tensor): (N, C), float32 on the CPU, as all tensors of ``layers``.
        layers (Sequence[Layer]): In their order.
        scale (float): More than 0.

    Returns:
        Tensor: (N, C'), differentiable twice.
    """
    trained = [tensor for layer in layers for tensor in layer.trained]
    return _BetaNet.apply(scale, layers, x, *trained)


def unavailable() -> str | None:
    """Why this machine cannot run it; None if it can."""
    return native_build.load('native_net').error


@functools.cache
def _library():
    library = native_build.load('native_net').library
    pointer, size, number, real = native_build.TYPES
    library.forward.argtypes = [
        *[pointer] * 10, *[size] * 3, number, real, real, real]
    library.backward.argtypes = [*[pointer] * 12, *[size] * 3, number, real]
    library.forward.restype = library.backward.restype = None
    return library


class _BetaNet(torch.autograd.Function):

    @staticmethod
    def forward(ctx, scale, layers, x, *trained):
        ctx.scale, ctx.layers = scale, layers
        outputs = []  # of each layer: y, hat, inverse
        inputs = x.contiguous()
        for layer in layers:
            y = x.new_empty(x.size(0), layer.weight.size(0))
            if layer.gamma is None:
                hat = inverse = None
            else:
                hat, inverse = torch.empty_like(y), x.new_empty(y.size(1))
            _library().forward(
                *native_build.pointers(y, hat, inverse, inputs, *layer[:6]),
                len(y), inputs.size(1), y.size(1), layer.batch,
                layer.momentum, layer.eps,
                scale if layer is layers[-1] else 0.)
            outputs += [y, hat, inverse]
            inputs = y
        ctx.save_for_backward(x, *outputs, *trained)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, *saved = ctx.saved_tensors
        count = 3 * len(ctx.layers)
        outputs, trained = saved[:count], saved[count:]
        if is_by_formula(dy):
            return (None, None, *_formula_backward(dy, x, trained, ctx))
        grads = []
        for at in reversed(range(len(ctx.layers))):
            layer = ctx.layers[at]
            weight, _, gamma, _ = trained[4 * at:4 * at + 4]
            inputs = outputs[3 * at - 3] if at else x.contiguous()
            dx = torch.empty_like(inputs)
            own = [None if p is None else torch.empty_like(p)
                   for p in trained[4 * at:4 * at + 4]]
            dy = dy.clone(memory_format=torch.contiguous_format)
            _library().backward(
                *native_build.pointers(
                    dx, *own, dy, *outputs[3 * at:3 * at + 3], inputs, weight,
                    gamma), len(dy), inputs.size(1), dy.size(1), layer.batch,
                ctx.scale if layer is ctx.layers[-1] else 0.)
            grads[:0] = own
            dy = dx
        return (None, None, dx, *grads)


def _formula_backward(dy: Tensor, x: Tensor, trained: Sequence[Tensor | None],
                      ctx) -> list[Tensor | None]:
    """Gradients of x and the layers by PyTorch's operators."""

    def formula(y, *trained):
        for at, layer in enumerate(ctx.layers):
            weight, bias, gamma, offset = trained[4 * at:4 * at + 4]
            y = F.linear(y, weight.flatten(1), bias)
            if gamma is not None:
                running = (None, None) if layer.batch else (
                    layer.mean, layer.variance)
                y = F.batch_norm(y, *running, gamma, offset, layer.batch,
                                 eps=layer.eps)
        return ctx.scale * y.sigmoid()

    return differentiate(formula, (x, *trained), dy, ctx.needs_input_grad[2:])
