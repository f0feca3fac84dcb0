"""The net that computes meta-ACON's beta from the mean of each channel."""
from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn as nn
from mmengine.dist import get_world_size
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from acon_mm.functional import torch_versions
from acon_mm.functional.net import Layer, Net, are_dense
from acon_mm.functional.torch_versions import sigmoid
from acon_mm.functional.tracing import is_symbolic
from acon_mm.watched import is_watched

torch.fx.wrap('sigmoid')


class OnePixelConv2d(nn.Conv2d):
    """1x1 convolution of (N, C, 1, 1), computed as the product it is.

    On the CPU a convolution takes several times as long to set up.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # symbolic traces keep whole what is PyTorch's (MMEngine's
        # efficient_conv_bn_eval looks for the norms behind convolutions)
        self.__module__ = nn.Conv2d.__module__

    def _conv_forward(self, input: Tensor, weight: Tensor,
                      bias: Optional[Tensor]) -> Tensor:
        out = nn.functional.linear(
            input.flatten(1), weight.flatten(1), bias)
        return _as_image(out)


def beta_net(mean: Tensor, modules: Sequence[nn.Module],
             scale: float) -> Tensor:
    """``scale * sigmoid`` of convolutions with a norm behind each.

    Args:
        mean (Tensor): (N, C).
        modules (Sequence[nn.Module]): 1x1 convolution, norm, 1x1
            convolution, norm; an ``nn.Identity`` for no norm.
        scale (float): Factor in front of the sigmoid.

    Returns:
        Tensor: (N, C'), float32 under autocast. A training batch of one
        image is normalized by the running statistics.
    """
    if not is_symbolic(mean) and torch_versions.is_autocast(mean) and (
            modules[0].weight.dtype == torch.float32):
        # half types have no room for what a layer makes of large means
        with torch.autocast(mean.device.type, enabled=False):
            return _run(mean.float(), modules, scale)
    return _run(mean, modules, scale)


def _run(mean: Tensor, modules: Sequence[nn.Module], scale: float) -> Tensor:
    out = _as_image(mean)
    for conv, norm in zip(modules[::2], modules[1::2]):
        out = _normalize(norm, conv(out))
    beta = sigmoid(out.flatten(1))
    return beta if scale == 1. else scale * beta


def _as_image(x: Tensor) -> Tensor:
    """(N, C) as (N, C, 1, 1)."""
    return x.unsqueeze(-1).unsqueeze(-1)


def _normalize(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply the norm to (N, C, 1, 1)."""
    if isinstance(norm, nn.LayerNorm):
        return _as_image(norm(x.flatten(1)))
    if (isinstance(norm, _BatchNorm) and norm.training
            and not is_symbolic(x) and x.size(0) == 1
            and norm.track_running_stats and not _synchronized(norm)):
        return nn.functional.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias,
            eps=norm.eps)
    return norm(x)


def takes_one_pixel(norm: nn.Module, width: int) -> bool:
    """Whether a norm runs on images of ``width`` channels and one pixel."""
    weight = next(norm.parameters(), None)
    image = torch.zeros(2, width, 1, 1) if weight is None else (
        weight.new_zeros(2, width, 1, 1))
    training = norm.training
    norm.eval()  # leaves the running statistics alone
    try:
        with torch.no_grad():
            return _normalize(norm, image).shape == image.shape
    except (RuntimeError, ValueError):
        return False
    finally:
        norm.train(training)


def _synchronized(norm: nn.Module) -> bool:
    """Whether the norm sees the batches of several processes."""
    return isinstance(norm, nn.SyncBatchNorm) and get_world_size() > 1


def plain_net(x: Tensor, channel_dim: int,
              parameters: Sequence[Tensor | None],
              modules: Sequence[nn.Module], scale: float) -> Net | None:
    """The net for :mod:`acon_mm.functional.meta`, which computes all.

    Args:
        x (Tensor): Input of the activation.
        channel_dim (int): Dimension of its C channels.
        parameters (Sequence[Tensor]): Of the activation, (C,) or None.
        modules, scale: As of :func:`beta_net`.

    Returns:
        Net: None where kernels would not compute what the modules do.
    """
    channels = x.size(channel_dim)
    given = [p for p in parameters if p is not None]
    if ((parameters[-1] is None) != (parameters[-2] is None)
            or not are_dense(given, [channels] * len(given), x.device)
            or not all(map(_is_plain, modules))):
        return None
    conv1, norm1, conv2, norm2 = modules
    first = _layer(conv1, norm1, len(x))
    last = _layer(conv2, norm2, len(x))
    hidden = conv1.out_channels
    fits = (_is_dense(first, channels, hidden, x.device)
            and _is_dense(last, hidden, channels, x.device))
    return Net((first, last), scale) if fits else None


def _is_plain(module: nn.Module) -> bool:
    """Whether a module computes what its type says."""
    if is_watched(module):
        return False
    if type(module) is nn.BatchNorm2d:
        return (module._parameters['weight'] is not None
                and module.track_running_stats
                and module.momentum is not None)
    return type(module) in (nn.Identity, OnePixelConv2d)


def _layer(conv: nn.Module, norm: nn.Module, samples: int) -> Layer:
    # asking the modules themselves takes longer than a small net
    product = conv._parameters
    if isinstance(norm, nn.Identity):
        return Layer(product['weight'], product['bias'])
    affine, running = norm._parameters, norm._buffers
    return Layer(
        product['weight'], product['bias'], affine['weight'], affine['bias'],
        running['running_mean'], running['running_var'],
        running['num_batches_tracked'], norm.training and samples > 1,
        norm.momentum, norm.eps)


def _is_dense(layer: Layer, width: int, out: int,
              device: torch.device) -> bool:
    """Whether kernels may read and write it where it lies."""
    sizes = out * width, out, out, out, out, out, 1
    tensors = layer.tensors[:2 if layer.gamma is None else None]
    return are_dense(tensors, sizes, device)
