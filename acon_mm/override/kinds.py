"""Which modules are activations to swap, and how ACON starts like each."""
from collections.abc import Iterator

import torch
import torch.nn as nn
from mmcv.cnn.bricks import Swish
from torch import Tensor

from acon_mm.activations import Start

# beta that brings x * sigmoid(beta * x) nearest in the maximum norm
GELU_BETA = 1.77
HARDSWISH_BETA = 1.05
MISH_BETA = 1.25
QUICK_GELU_BETA = 1.702  # its definition: x * sigmoid(1.702 * x)
# no ACON tends to a constant other than 0, or is not 0 at 0
UNMATCHED = (nn.ELU, nn.CELU, nn.SELU, nn.Softplus)


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
    if isinstance(act, (nn.LeakyReLU, nn.RReLU, nn.PReLU)):
        return _leaky(_slope(act))
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


def unmatched_activations(
        model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Paths and activations of kinds that stay: no ACON is near them."""
    for path, module in model.named_modules():
        if isinstance(module, UNMATCHED):
            yield path, module


def _leaky(slope: float | Tensor) -> Start:
    """Start as ``x`` above zero and ``slope * x`` below."""
    # a slope above 1 makes of the maximum of the two the minimum
    steep = torch.as_tensor(slope) > 1
    if not steep.any():
        return Start(p2=slope)
    beta = torch.where(steep, -Start().beta, Start().beta)
    return Start(p2=slope, beta=beta if len(beta.unique()) > 1
                 else beta.flatten()[0].item())


def _slope(act: nn.Module) -> float | Tensor:
    """Of the lower branch: a number, or one a channel."""
    if isinstance(act, nn.RReLU):
        return (act.lower + act.upper) / 2
    if isinstance(act, nn.LeakyReLU):
        return act.negative_slope
    slope = act.weight.detach().clone()
    return float(slope) if slope.numel() == 1 else slope
