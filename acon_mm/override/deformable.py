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

# functions by the modules that hold them under their names
PLACES = {
    'mmcv.ops.deform_conv': ('deform_conv2d', ),
    'mmcv.ops.modulated_deform_conv': ('modulated_deform_conv2d', ),
    'mmcv.ops.saconv': ('deform_conv2d', ),
}


@contextlib.contextmanager
def without_deformable_kernels() -> Iterator[None]:
    """Compute MMCV's deformable convolutions without their offsets."""
    saved = []
    for name, functions in PLACES.items():
        module = sys.modules.get(name)
        for function in functions if module is not None else ():
            saved.append((module, function, getattr(module, function)))
            setattr(module, function, _STAND_INS[function])
    try:
        yield
    finally:
        for module, function, kernel in saved:
            setattr(module, function, kernel)


def _deform_conv2d(input: Tensor, offset: Tensor, weight: Tensor, stride=1,
                   padding=0, dilation=1, groups: int = 1, *_, **__):
    return F.conv2d(input, weight, None, stride, padding, dilation, groups
                    ) + 0 * offset.mean()


def _modulated_deform_conv2d(input: Tensor, offset: Tensor, mask: Tensor,
                             weight: Tensor, bias: Tensor | None = None,
                             stride=1, padding=0, dilation=1,
                             groups: int = 1, *_, **__):
    return F.conv2d(input, weight, bias, stride, padding, dilation, groups
                    ) + 0 * (offset.mean() + mask.mean())


_STAND_INS = dict(deform_conv2d=_deform_conv2d,
                  modulated_deform_conv2d=_modulated_deform_conv2d)
