"""The public op and the choice between its implementations."""
from collections.abc import Callable
from types import ModuleType
from typing import Any, Optional, Union

import torch
from torch import Tensor

from . import blocked, reference
from .cpu import op as cpu_op
from .cuda import op as cuda_op
from .tracing import is_exported, is_traced, is_transformed

IMPLEMENTATIONS = {
    'reference': reference,
    'blocked': blocked,
    'native': cpu_op,
    'triton': cuda_op,
}
_choice = 'auto'


def acon(x: Tensor,
         p1: Union[Tensor, float],
         p2: Union[Tensor, float],
         beta: Union[Tensor, float],
         channel_dim: int = 1,
         scale: Optional[Tensor] = None,
         shift: Optional[Tensor] = None) -> Tensor:
    r"""ACON-C, the smooth maximum of two lines, Eq. 5 of the paper.

    .. math:: (p_1 - p_2) x \, \sigma(\beta (p_1 - p_2) x) + p_2 x

    Only ``x`` and the parameters are kept for the backward pass. Gradients
    go to whatever requires them; differentiating twice works.

    Args:
        x (Tensor): (N, C, *) or, with ``channel_dim=-1``, (N, \*, C);
            float16, bfloat16, float32 or float64. Contiguous and
            channels-last memory stays so.
        p1, p2 (Tensor or float): Slopes of the two lines, (C,) if tensors.
        beta (Tensor or float): The switch: (C,); (N, C) or (N, 1), one value
            a sample; or ``x``'s own shape.
        channel_dim (int): Dimension of the channels. Defaults to 1.
        scale, shift (Tensor, optional): (C,), both or none: the op of
            ``scale * x + shift``, such as a frozen batch norm in front of
            it computes, without storing that.

    Returns:
        Tensor: ``x``'s shape and dtype. The arithmetic is float64 for float64
        and float32 else, whatever the dtype of the parameters.

    Raises:
        TypeError: ``x`` is not a floating-point tensor.
        ValueError: A parameter or ``channel_dim`` does not fit ``x``, or one
            of scale and shift is missing.
    """
    check_type(x, 'acon')
    if not -x.dim() <= channel_dim < x.dim():
        raise ValueError(f'acon() got x of shape {list(x.shape)} and '
                         f'channel_dim={channel_dim}: give one that x has.')
    if (scale is None) != (shift is None):
        raise ValueError('acon() got one of scale and shift: give both.')
    if torch.jit.is_scripting():
        return reference.acon(x, p1, p2, beta, channel_dim, scale, shift)
    else:
        return _select(x)(x, p1, p2, beta, channel_dim, scale, shift)


def check_type(x: Tensor, name: str) -> None:
    """Refuse an input that has no fractions."""
    if not x.is_floating_point():
        raise TypeError(f'{name}() got x of dtype {x.dtype}: convert it to a '
                        'floating-point type first.')


def set_implementation(name: str) -> None:
    """Choose what computes :func:`acon` from now on, in this process.

    Args:
        name (str): One of

            - 'auto': the fastest that can run; the default.
            - 'reference': the plain formula, which keeps more than ``x``.
            - 'blocked': plain PyTorch in pieces that stay in cache.
            - 'native': on the CPU, one pass by a kernel that the machine's
              C compiler builds when it is first used.
            - 'triton': on CUDA, one pass by Triton's kernels.

    Raises:
        ValueError: The name is unknown.
        RuntimeError: This machine cannot run it. The op raises the same for
            an input that the implementation cannot take.
    """
    global _choice
    if name != 'auto':
        if name not in IMPLEMENTATIONS:
            raise ValueError(
                f'implementation {name!r} is unknown: choose one of auto, '
                f'{", ".join(IMPLEMENTATIONS)}.')
        _require(name, IMPLEMENTATIONS[name].unavailable())
    _choice = name


def get_implementation() -> str:
    """Name given to :func:`set_implementation`; 'auto' at the start."""
    return _choice


def choose_kernels(x: Tensor, cpu: ModuleType, cuda: ModuleType,
                   *args: Any) -> ModuleType | None:
    """Kernels of a function around the op; None where its parts run.

    Args:
        x (Tensor): The input.
        cpu, cuda (ModuleType): Those of each room, which say by
            ``refuses(x, *args)`` whether they can serve it.
        *args: What they ask for beside ``x``.
    """
    if _choice in ('auto', 'native') and cpu.refuses(x, *args) is None:
        return cpu
    if (_choice == 'triton' or _choice == 'auto' and x.is_cuda) and (
            cuda.refuses(x, *args) is None):
        return cuda
    return None


def _select(x: Tensor) -> Callable[..., Tensor]:
    if _choice != 'auto':
        _require(_choice, IMPLEMENTATIONS[_choice].refuses(x))
        return IMPLEMENTATIONS[_choice].acon
    if (x.is_cuda and not is_exported(x) and not is_transformed()
            and _can_run(cuda_op, x)):
        return cuda_op.acon
    if _can_run(cpu_op, x):
        return cpu_op.acon
    # Inductor makes of the formula what the kernels are
    return reference.acon if is_traced(x) else blocked.acon


def _can_run(module: ModuleType, x: Tensor) -> bool:
    return module.refuses(x) is None and module.unavailable() is None


def _require(name: str, problem: str | None) -> None:
    if problem is not None:
        raise RuntimeError(f'implementation {name!r} cannot run: {problem}; '
                           "set_implementation('auto') chooses one that can.")
