"""Meta-ACON on CUDA: PyTorch's operators for the net, Triton for the op."""
from collections.abc import Sequence

import torch
from torch import Tensor

from . import triton, triton_launch
from .net import Layer, Net
from .tracing import is_traced

_aten = torch.ops.aten


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x`` here; None if it can."""
    if is_traced(x):
        return 'a graph is captured, which should show the modules'
    return triton.refuses(x) or triton.unavailable()


def forward(x: Tensor, inputs: Sequence[Tensor | None], net: Net,
            dim: int) -> tuple[Tensor, list[Tensor]]:
    """See :class:`acon_mm.functional.meta.Kernels`.

    Half types too have a net of float32.
    """
    p1, p2, scale, shift, *_ = inputs
    with torch.autocast(x.device.type, enabled=False):
        means = _means(x, dim)
        out = means if scale is None else torch.addcmul(shift, means, scale)
        kept = [means]
        for layer in net.layers:
            product, mean, invstd, normed = _layer(out, layer)
            kept += [out, product, mean, invstd]
            out = normed
        gate = out.sigmoid()
        beta = net.scale * gate
    y = triton_launch.forward(x, (p1, p2, beta, scale, shift), dim)
    return y, [*kept, gate, beta]


def backward(dy: Tensor, x: Tensor, inputs: Sequence[Tensor | None],
             net: Net, dim: int,
             kept: Sequence[Tensor]) -> list[Tensor | None]:
    """See :class:`acon_mm.functional.meta.Kernels`."""
    p1, p2, scale, shift, *_ = inputs
    means, *layers, gate, beta = kept
    dx, dp1, dp2, dbeta, *affine = triton_launch.gradients(
        *triton_launch.backward(dy, x, (p1, p2, beta, scale, shift), dim),
        x, beta, [True] * 6)
    with torch.autocast(x.device.type, enabled=False):
        grad = _aten.sigmoid_backward(net.scale * dbeta, gate)
        trained = []
        for at in reversed(range(len(net.layers))):
            grad, *own = _layer_backward(grad, net.layers[at],
                                         *layers[4 * at:4 * at + 4])
            trained = own + trained
        if scale is not None:
            affine[0] += (grad * means).sum(0)
            affine[1] += grad.sum(0)
            grad = grad * scale
    _add_to_pixels(dx, grad, dim)
    return [dx, dp1, dp2, *affine, *trained]


def _means(x: Tensor, dim: int) -> Tensor:
    pixels = [d for d in range(1, x.dim()) if d != dim]
    return x.mean(pixels, dtype=torch.float32) if pixels else x.float()


def _add_to_pixels(dx: Tensor, grad: Tensor, dim: int) -> None:
    """Add the gradient of the means to that of the input."""
    shape = [1] * dx.dim()
    shape[0], shape[dim] = grad.shape
    share = grad * (grad.numel() / dx.numel())
    dx += share.view(shape).to(dx.dtype)


def _layer(x: Tensor, layer: Layer) -> tuple[Tensor, ...]:
    """Its product, the statistics of that, and its output."""
    product = torch.addmm(layer.bias, x, layer.weight.flatten(1).t())
    if layer.gamma is None:
        return product, product, product, product
    if layer.batch:
        layer.seen.add_(1)
    out, mean, invstd = torch.native_batch_norm(
        product, layer.gamma, layer.offset, layer.mean, layer.variance,
        layer.batch, layer.momentum, layer.eps)
    return product, mean, invstd, out


def _layer_backward(grad: Tensor, layer: Layer, x: Tensor, product: Tensor,
                    mean: Tensor, invstd: Tensor) -> list[Tensor | None]:
    """Gradients of its input and of what it trains."""
    norm = [None, None]
    if layer.gamma is not None:
        grad, *norm = _aten.native_batch_norm_backward(
            grad, product, layer.gamma, layer.mean, layer.variance, mean,
            invstd, layer.batch, layer.eps, (True, True, True))
    weight = layer.weight.flatten(1)
    return [grad @ weight, (grad.t() @ x).view(layer.weight.shape),
            grad.sum(0), *norm]
