"""Which activations there are to swap, and how ACON starts like each."""
import copy
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn.bricks import Swish
from torch import Tensor

from acon_mm.starts import Start

# beta that brings x * sigmoid(beta * x) nearest in the maximum norm
GELU_BETA = 1.77
HARDSWISH_BETA = 1.05
MISH_BETA = 1.25
QUICK_GELU_BETA = 1.702  # its definition: x * sigmoid(1.702 * x)
# no ACON tends to a constant other than 0, or is not 0 at 0
UNMATCHED = (nn.ELU, nn.CELU, nn.SELU, nn.Softplus, nn.Softsign,
             nn.LogSigmoid, nn.Hardtanh, nn.Threshold)
# functions and tensor methods by what they compute
_MATCHED_FUNCTIONS = ('relu', 'leaky_relu', 'rrelu', 'silu', 'gelu',
                      'hardswish', 'mish')
_UNMATCHED_FUNCTIONS = ('relu6', 'hardtanh', 'elu', 'celu', 'selu',
                        'softplus', 'softsign', 'logsigmoid', 'prelu',
                        'threshold', 'clamp', 'clamp_min', 'clip')


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
    if _computes(act, nn.LeakyReLU, nn.RReLU, nn.PReLU):
        return _leaky(_slope(act))
    if _computes(act, nn.ReLU, nn.ReLU6):
        return Start()
    if _computes(act, nn.Threshold):
        return Start() if act.threshold == act.value == 0 else None
    if _computes(act, nn.SiLU, Swish):
        return Start(beta=1.)
    if type(act).__name__ == 'QuickGELU':  # CLIP's; mmseg, mmpretrain
        return Start(beta=QUICK_GELU_BETA)
    if _computes(act, nn.GELU):
        return Start(beta=GELU_BETA)
    if _computes(act, nn.Hardswish):
        return Start(beta=HARDSWISH_BETA)
    if _computes(act, nn.Mish):
        return Start(beta=MISH_BETA)
    return None


def _computes(act: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether it is of a kind, and not a subclass that computes another."""
    return any(isinstance(act, kind) and type(act).forward is kind.forward
               for kind in kinds)


def is_unmatched(act: nn.Module) -> bool:
    """Whether ``act`` is of a kind that stays: no ACON is near it."""
    return isinstance(act, UNMATCHED) and start_of(act) is None


def function_name(function: Callable, args: tuple,
                  kwargs: dict[str, Any]) -> str | None:
    """Name of an activation that is called as a function, None for others.

    ``clamp`` is one where it cuts at zero alone, and ``threshold`` is then
    ``relu``.
    """
    name = _NAMES.get(function)
    if name == 'threshold' and (
            _argument(args, kwargs, 1, 'threshold', 1)
            == _argument(args, kwargs, 2, 'value', 1) == 0):
        return 'relu'
    if name in ('clamp', 'clamp_min', 'clip'):
        bounds = [*args[1:], *kwargs.values()]
        cuts = [b for b in bounds if b is not None]
        if len(cuts) != 1 or not isinstance(cuts[0], (int, float)) or (
                cuts[0] != 0 or 'max' in kwargs or bounds[0] is None):
            return None
    return name


def start_of_function(name: str, args: tuple,
                      kwargs: dict[str, Any]) -> Start | None:
    """:func:`start_of` for a function of :func:`function_name`."""
    if name == 'leaky_relu':
        return _leaky(_argument(args, kwargs, 1, 'negative_slope', 0.01))
    if name == 'rrelu':
        return _leaky((_argument(args, kwargs, 1, 'lower', 1 / 8)
                       + _argument(args, kwargs, 2, 'upper', 1 / 3)) / 2)
    module = dict(relu=nn.ReLU, silu=nn.SiLU, gelu=nn.GELU,
                  hardswish=nn.Hardswish, mish=nn.Mish).get(name)
    return None if module is None else start_of(module())


def called_as(called: Callable, args: tuple,
              kwargs: dict[str, Any]) -> tuple[str, Start | None]:
    """Name and start of what is called: a module, a function or a partial
    of one; '' and None of what is no activation."""
    if isinstance(called, nn.Module):
        return type(called).__name__, start_of(called)
    while isinstance(called, functools.partial):
        args = (*args, *called.args)
        kwargs = {**called.keywords, **kwargs}
        called = called.func
    name = function_name(called, args, kwargs)
    return name or '', name and start_of_function(name, args, kwargs)


def _argument(args: tuple, kwargs: dict[str, Any], index: int, name: str,
              default: float) -> float:
    return args[index] if len(args) > index else kwargs.get(name, default)


def _named_functions() -> dict[Callable, str]:
    """``F.relu``, ``torch.relu``, ``Tensor.relu_`` and so on."""
    return {
        function: name
        for name in _MATCHED_FUNCTIONS + _UNMATCHED_FUNCTIONS
        for owner in (F, torch, Tensor) for end in ('', '_')
        if (function := getattr(owner, name + end, None)) is not None}


_NAMES = _named_functions()
FUNCTION_NAMES = {name + end for name in _MATCHED_FUNCTIONS
                  for end in ('', '_')}


def stock_module(act: nn.Module) -> Callable[[Tensor], Tensor]:
    """What ``act`` computes, but not in place."""
    act = copy.copy(act)
    if hasattr(act, 'inplace'):
        act.inplace = False
    return act.forward


def stock_function(name: str, args: tuple,
                   kwargs: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    """What a function of :func:`function_name` computes, but not in place."""
    if name == 'relu':
        return F.relu
    rest = [value for value in args[1:] if not isinstance(value, bool)]
    named = {key: value for key, value in kwargs.items()
             if key not in ('input', 'inplace')}
    return StockFunction(name, tuple(rest), named)


class StockFunction(NamedTuple):
    """A function of :func:`function_name`, which pickles."""
    name: str
    rest: tuple
    named: dict[str, Any]

    def __call__(self, x: Tensor) -> Tensor:
        function = getattr(F, self.name, getattr(torch, self.name, None))
        return function(x, *self.rest, **self.named)


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
