"""Telling a run from the capture of a graph."""
import torch
from torch import Tensor


def is_exported(x: Tensor) -> bool:
    """Whether a graph is captured for elsewhere, or ``x`` is a stand-in."""
    return (torch.compiler.is_exporting() or torch.jit.is_tracing()
            or x.is_meta or type(x) not in (Tensor, torch.nn.Parameter))


def is_traced(x: Tensor) -> bool:
    """Whether a graph is captured, which should show plain formulas."""
    return is_exported(x) or torch.compiler.is_compiling()
