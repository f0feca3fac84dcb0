"""Which modules are activations to swap, and how ACON starts like each."""

import torch.nn as nn
from mmcv.cnn.bricks import Swish
from torch import Tensor

from acon_mm.activations import Start

# beta that brings x * sigmoid(beta * x) nearest in the maximum norm
GELU_BETA = 1.77
HARDSWISH_BETA = 1.05
MISH_BETA = 1.25
QUICK_GELU_BETA = 1.702  # its definition: x * sigmoid(1.702 * x)


def start_of(act: nn.Module) -> Start | None:
    """How ACON begins as ``act``, or None if ``act`` is not to be swapped.

    Pointwise rectifiers have a start. Gates (Sigmoid, Hardsigmoid, Tanh) and
    every other module have none. SiLU and QuickGELU are met exactly; the
    ReLU family up to ``0.2785 / beta``, and ReLU6 below its bound of 6;
    GELU within 0.015, Mish and Hardswish within 0.13.

    Args:
        act (nn.Module): Any module.

    Returns:
        Start, optional: p1, p2 and beta.
    """
    if isinstance(act, (nn.LeakyReLU, nn.RReLU)):
        return Start(p2=_slope(act))
    if isinstance(act, nn.PReLU):
        return Start(p2=_prelu_slope(act.weight))
    if isinstance(act, (nn.ReLU, nn.ReLU6)):
        return Start()
    if isinstance(act, (nn.SiLU, Swish)):
        return Start(beta=1.)
    if type(act).__name__ == 'QuickGELU':  # CLIP's; mmseg, mmpretrain
        return Start(beta=QUICK_GELU_BETA)
    if isinstance(act, nn.GELU):
        return Start(beta=GELU_BETA)
    if isinstance(act, nn.Hardswish):
        return Start(beta=HARDSWISH_BETA)
    if isinstance(act, nn.Mish):
        return Start(beta=MISH_BETA)
    return None


def _slope(act: nn.Module) -> float:
    if isinstance(act, nn.RReLU):
        return (act.lower + act.upper) / 2
    return act.negative_slope


def _prelu_slope(weight: Tensor):
    slope = weight.detach().clone()
    return float(slope) if slope.numel() == 1 else slope
