"""ACON on CUDA in one pass over memory, by Triton."""
import functools
import importlib.util
from collections.abc import Sequence

import torch
from torch import Tensor

from .. import torch_versions
from ..keeps_input import KeepsInput, Parameters
from ..rows import dense_parameters
from ..tracing import is_traced
from . import grid, launch

if torch_versions.HAS_CUSTOM_OPERATORS:
    from . import operators

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def acon(x: Tensor,
         p1: Tensor | float,
         p2: Tensor | float,
         beta: Tensor | float,
         channel_dim: int = 1,
         scale: Tensor | None = None,
         shift: Tensor | None = None) -> Tensor:
    """See :func:`acon_mm.functional.acon`."""
    dim = channel_dim % x.dim()
    p1, p2, beta, *affine = dense_parameters(
        x, (p1, p2, beta, scale, shift), dim)
    if beta.shape != x.shape:
        beta = beta.contiguous()
    inputs = (x, p1.contiguous(), p2.contiguous(), beta,
              *(None if p is None else p.contiguous() for p in affine))
    if is_traced(x):
        return operators.forward(*inputs, dim)
    # an operator's autograd takes longer
    return KeepsInput.apply(Kernels, dim, *inputs)


@torch_versions.constant
def unavailable() -> str | None:
    """Why this machine cannot run it; None if it can."""
    if importlib.util.find_spec('triton') is None:
        return 'Triton is not installed'
    if grid.is_interpreted():
        return None
    if not torch.cuda.is_available():
        return 'there is no CUDA device'
    import triton
    if int(triton.__version__.split('.')[0]) < 3:
        return f'Triton {triton.__version__} is older than 3.0'
    return _failure()


@functools.cache
def _failure() -> str | None:
    """Why kernels do not run: no C compiler for Triton, too old a card."""
    try:
        with torch.inference_mode(False), torch.enable_grad():
            x = torch.zeros(1, 1, device='cuda', requires_grad=True)
            acon(x, 1., 0., 1.).backward()
    except Exception as error:
        return f'a first kernel failed ({error})'
    return None


def refuses(x: Tensor) -> str | None:
    """Why it cannot serve ``x``, on a machine that can run it."""
    if not x.is_cuda and not grid.is_interpreted():
        return f'x is on {x.device}, not on a CUDA device'
    if x.numel() == 0:
        return 'x is empty'
    if x.dtype not in DTYPES:
        return f'x is {x.dtype}, not float32, float16 or bfloat16'
    if not torch_versions.HAS_CUSTOM_OPERATORS and is_traced(x):
        return 'a graph is captured, and PyTorch has operators from 2.4 on'
    return None


class Kernels:
    """What :class:`KeepsInput` runs, with parameters of dense memory."""

    forward = staticmethod(launch.forward)

    @staticmethod
    def backward(dy: Tensor, x: Tensor, parameters: Parameters, dim: int,
                 needs: Sequence[bool]) -> list[Tensor | None]:
        results = launch.backward(dy, x, parameters, dim)
        return launch.gradients(*results, x, parameters[2], needs)
