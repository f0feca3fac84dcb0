"""Meta-ACON on CUDA: the kernels of ``net_kernels.py`` around the op."""
from collections.abc import Sequence

import torch
from torch import Tensor

from ..net import Layer, Net
from ..tracing import is_traced
from . import grid, launch, op

# samples that the registers of a program have place for
MOST_SAMPLES = 64
# outputs of a program, and numbers of its input that it reads at a time
BLOCK_O = 16
TILE = 2048
# of a side of a matrix, for Triton's products
LEAST = 16
# where beta is among what a net keeps
BETA = 3


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x`` here; None if it can."""
    if is_traced(x):
        return 'a graph is captured, which should show the modules'
    if x.dim() < 3 or len(x) > MOST_SAMPLES:
        return f'x has no pixels or more than {MOST_SAMPLES} samples'
    return op.refuses(x) or op.unavailable()


def forward(x: Tensor, inputs: Sequence[Tensor | None], net: Net,
            dim: int) -> tuple[Tensor, list[Tensor]]:
    """See :class:`acon_mm.functional.meta.Kernels`.

    Half types too have a net of float32.
    """
    p1, p2, scale, shift, *_ = inputs
    means = x.mean([d for d in range(1, x.dim()) if d != dim],
                   dtype=torch.float32)
    of_net = run_net(means, scale, shift, net)
    y = launch.forward(x, (p1, p2, of_net[BETA], scale, shift), dim)
    return y, [means, *of_net]


def backward(dy: Tensor, x: Tensor, inputs: Sequence[Tensor | None],
             net: Net, dim: int,
             kept: Sequence[Tensor]) -> list[Tensor | None]:
    """See :class:`acon_mm.functional.meta.Kernels`."""
    p1, p2, scale, shift, *_ = inputs
    means, *of_net = kept
    dx, sums, _ = launch.backward(
        dy, x, (p1, p2, of_net[BETA], scale, shift), dim)
    grad, grads = run_net_backward(sums[2], means, scale, shift, net, of_net)
    totals = _add_means_backward(dx, grad, net.layers[0].weight, sums, means,
                                 scale, dim)
    dp1, dp2, _, *affine = totals.unbind()
    return [dx, dp1, dp2, *(affine or (None, None)), *grads]


def run_net(means: Tensor, scale: Tensor | None, shift: Tensor | None,
            net: Net) -> list[Tensor]:
    """What is kept of the net on ``scale * means + shift``, (N, C)."""
    first, last = net.layers
    hidden = _run_layer(means, scale, shift, first)
    return [*hidden, *_run_layer(hidden[0], None, None, last, net.scale)]


def run_net_backward(dbeta: Tensor, means: Tensor, scale: Tensor | None,
                     shift: Tensor | None, net: Net, kept: Sequence[Tensor]
                     ) -> tuple[Tensor, list[Tensor | None]]:
    """Gradients of the first product and of what the net trains."""
    first, last = net.layers
    hidden, beta = kept[:3], kept[3:]
    grad, *of_last = _run_layer_backward(
        dbeta, None, beta, hidden[0], None, None, last, net.scale)
    grad, *of_first = _run_layer_backward(
        grad, last.weight, hidden, means, scale, shift, first)
    return grad, [*of_first, *of_last]


def _run_layer(x: Tensor, scale: Tensor | None, shift: Tensor | None,
               layer: Layer, factor: float | None = None) -> list[Tensor]:
    """The output, what the norm makes, and its 1 / standard deviation.

    A factor is that of a sigmoid behind the layer.
    """
    samples, width = x.shape
    size = layer.bias.numel()
    out, hat = x.new_empty(2, samples, size).unbind()
    invstd = x.new_empty(size)
    _launch('layer', size, x.shape, out, hat, invstd, x, scale, shift,
            *layer.tensors, samples, width, size, layer.momentum, layer.eps,
            factor or 1., **_options(scale, layer), LAST=factor is not None)
    return [out, hat, invstd]


def _run_layer_backward(grad: Tensor, next_weight: Tensor | None,
                        kept: Sequence[Tensor], x: Tensor,
                        scale: Tensor | None, shift: Tensor | None,
                        layer: Layer,
                        factor: float | None = None) -> list[Tensor | None]:
    """Gradients of the product and of what the layer trains.

    ``grad`` is that of the next layer's product, or of the output if there
    is a factor.
    """
    samples, width = x.shape
    size = layer.bias.numel()
    dproduct, dweight = grad.new_empty(samples, size), grad.new_empty(
        layer.weight.shape)
    dbias, *norm = grad.new_empty(3, size).unbind()
    _launch('layer_backward', size, x.shape, dproduct, dweight, dbias, *norm,
            grad, next_weight, *kept, x, scale, shift, layer.gamma, samples,
            width, size, grad.size(1), factor or 1.,
            **_options(scale, layer), LAST=factor is not None)
    if layer.gamma is None:
        norm = [None, None]
    return [dproduct, dweight, dbias, *norm]


def _add_means_backward(dx: Tensor, grad: Tensor, weight: Tensor,
                        sums: Tensor, means: Tensor, scale: Tensor | None,
                        dim: int) -> Tensor:
    """Add what comes through the means to ``dx``; the sums over samples."""
    samples, width = means.shape
    share = dx.new_empty(samples, width)
    totals = sums.new_empty(len(sums), width)
    _launch('means_backward', width, grad.shape, share, totals, sums, grad,
            weight, means, scale, samples, width, grad.size(1),
            dx.numel() // means.numel(), AFFINE=scale is not None)
    shape = [1] * dx.dim()
    shape[0], shape[dim] = samples, width
    dx += share.view(shape)
    return totals


def _options(scale: Tensor | None, layer: Layer) -> dict[str, bool]:
    return dict(AFFINE=scale is not None, NORM=layer.gamma is not None,
                BATCH=layer.batch)


def _launch(kernel: str, size: int, shape: torch.Size, *args,
            **options) -> None:
    """Run a kernel that reads a (samples, width) for ``size`` numbers."""
    from . import net_kernels
    samples, width = map(side, shape)
    with torch.cuda.device_of(args[0]):
        getattr(net_kernels, kernel)[(-(-size // BLOCK_O), )](
            *args, **options, BLOCK_S=samples, BLOCK_O=BLOCK_O,
            BLOCK_K=min(width, TILE // samples), num_warps=4)


def side(n: int) -> int:
    """Of a block of a matrix that has ``n`` of something."""
    return max(LEAST, grid.at_least(n))
