"""Deformable convolutions of MMCV, as plain ones for a moment.

Their CPU kernels end the process on some inputs (DetectoRS), and an MMCV
without compiled operators has none; for what the activations around them
get, a plain convolution of the same weight does as well.
"""
import contextlib
import sys
from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor


@contextlib.contextmanager
def without_deformable_kernels() -> Iterator[None]:
    """Compute MMCV's deformable convolutions without their offsets."""
    saved = []
    for function, (home, stand_in) in _KERNELS.items():
        kernel = getattr(sys.modules.get(home), function, None)
        for module in list(sys.modules.values()) if kernel else ():
            # heads import it under its name (TOOD)
            if getattr(module, '__dict__', {}).get(function) is kernel:
                saved.append((module, function, kernel))
                setattr(module, function, stand_in)
    try:
        yield
    finally:
        for module, function, kernel in saved:
            setattr(module, function, kernel)


def _deform_conv2d(input: Tensor, offset: Tensor, weight: Tensor, stride=1,
                   padding=0, dilation=1, groups: int = 1, *_, **__):
    return F.conv2d(input + 0 * offset.mean(), weight, None, stride, padding,
                    dilation, groups)


def _modulated_deform_conv2d(input: Tensor, offset: Tensor, mask: Tensor,
                             weight: Tensor, bias: Tensor | None = None,
                             stride=1, padding=0, dilation=1,
                             groups: int = 1, *_, **__):
    return F.conv2d(input + 0 * (offset.mean() + mask.mean()), weight, bias,
                    stride, padding, dilation, groups)


_KERNELS = {
    'deform_conv2d': ('mmcv.ops.deform_conv', _deform_conv2d),
    'modulated_deform_conv2d': (
        'mmcv.ops.modulated_deform_conv', _modulated_deform_conv2d),
}
