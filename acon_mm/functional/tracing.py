"""Telling a run from the capture of a graph."""
import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import torch_versions


def is_exported(x: Tensor) -> bool:
    """Whether a graph is captured for elsewhere, or ``x`` is a stand-in."""
    return (is_symbolic(x) or torch_versions.is_exporting()
            or torch.jit.is_tracing() or x.is_meta
            or type(x) not in (Tensor, torch.nn.Parameter))


def is_symbolic(x: Tensor) -> bool:
    """Whether ``torch.fx.symbolic_trace`` records what is done to ``x``,
    which no decision may then depend on."""
    return isinstance(x, torch.fx.Proxy)


def is_transformed() -> bool:
    """Whether a transform of ``torch.func`` or forward-mode differentiation
    is at work, which know the rules of PyTorch's operators alone."""
    return (torch._C._are_functorch_transforms_active()
            or forward_ad._current_level >= 0)


def is_traced(x: Tensor) -> bool:
    """Whether a graph is captured, which should show plain formulas, or
    transformed, which needs them."""
    return (is_exported(x) or torch_versions.is_compiling()
            or is_transformed())
