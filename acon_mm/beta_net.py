"""The net that computes meta-ACON's beta from the mean of each channel."""
from collections.abc import Sequence

import torch
import torch.nn as nn
from mmengine.dist import get_world_size
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from acon_mm import functional
from acon_mm.functional import native_net
from acon_mm.functional.tracing import is_traced
from acon_mm.hooks import is_watched


class OnePixelConv2d(nn.Conv2d):
    """1x1 convolution of (N, C, 1, 1), computed as the product it is.

    On the CPU a convolution takes several times as long to set up.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor,
                      bias: Tensor | None) -> Tensor:
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
        Tensor: (N, C'). A training batch of one image is normalized by the
        running statistics.
    """
    if _is_native(mean, modules):
        return native_net.beta_net(
            mean, [_layer(conv, norm, len(mean))
                   for conv, norm in zip(modules[::2], modules[1::2])], scale)
    out = _as_image(mean)
    for conv, norm in zip(modules[::2], modules[1::2]):
        out = _normalize(norm, conv(out))
    beta = out.flatten(1).sigmoid()
    return beta if scale == 1. else scale * beta


def _as_image(x: Tensor) -> Tensor:
    """(N, C) as (N, C, 1, 1)."""
    return x.unsqueeze(-1).unsqueeze(-1)


def _normalize(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply the norm to (N, C, 1, 1)."""
    if isinstance(norm, nn.LayerNorm):
        return _as_image(norm(x.flatten(1)))
    if (isinstance(norm, _BatchNorm) and norm.training and x.size(0) == 1
            and norm.track_running_stats and not _synchronized(norm)):
        return nn.functional.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias,
            eps=norm.eps)
    return norm(x)


def _synchronized(norm: nn.Module) -> bool:
    """Whether the norm sees the batches of several processes."""
    return isinstance(norm, nn.SyncBatchNorm) and get_world_size() > 1


def _is_native(mean: Tensor, modules: Sequence[nn.Module]) -> bool:
    """Whether the kernel computes what the modules would."""
    return (mean.is_cpu and mean.dtype == torch.float32 and mean.numel() > 0
            and functional.get_implementation() in ('auto', 'native')
            and not is_traced(mean) and not torch.is_autocast_enabled('cpu')
            and all(map(_is_plain, modules))
            and native_net.unavailable() is None)


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is what its type says, and its tensors are dense."""
    if is_watched(module):
        return False
    if type(module) is nn.BatchNorm2d:
        return (module.track_running_stats and module.momentum is not None
                and _are_dense(module.weight, module.bias,
                               module.running_mean, module.running_var))
    return type(module) is nn.Identity or (
        type(module) is OnePixelConv2d
        and _are_dense(module.weight, module.bias))


def _are_dense(*tensors: Tensor | None) -> bool:
    """Whether a kernel may read and write them where they lie."""
    return all(t is not None and t.is_cpu and t.dtype == torch.float32
               and t.is_contiguous() for t in tensors)


def _layer(conv: nn.Module, norm: nn.Module, samples: int) -> native_net.Layer:
    if isinstance(norm, nn.Identity):
        return native_net.Layer(conv.weight, conv.bias)
    batch = norm.training and samples > 1
    if batch:
        norm.num_batches_tracked.add_(1)
    return native_net.Layer(
        conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean,
        norm.running_var, batch, norm.momentum, norm.eps)
