"""Telling a run from the capture of a graph."""
import torch
from torch import Tensor


def is_traced(x: Tensor) -> bool:
    """Whether a graph is being captured, which should show plain formulas."""
    return (torch.compiler.is_compiling() or torch.jit.is_tracing()
            or x.is_meta or type(x) not in (Tensor, torch.nn.Parameter))
