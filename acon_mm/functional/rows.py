"""How the kernels that make one pass walk over a tensor."""
import enum
from collections.abc import Sequence

import torch
from torch import Tensor

from . import reference
from .keeps_input import Parameters
from .matrix import Matrix


class Betas(enum.IntEnum):
    """What beta differs with; the kernels know these numbers."""
    PER_CHANNEL = 0
    PER_SAMPLE = 1
    PER_ELEMENT = 2

    @classmethod
    def of(cls, beta: Tensor | float, x: Tensor) -> 'Betas':
        if not isinstance(beta, Tensor) or beta.dim() < 2:
            return cls.PER_CHANNEL
        return cls.PER_ELEMENT if beta.shape == x.shape else cls.PER_SAMPLE


class Rows:
    """Rows of n elements that lie side by side in memory.

    Attributes:
        wide (bool): Whether a row is one pixel, and its n elements are the
            channels; else it is one channel, and rows count channels first.
        samples (int): N if beta differs with the sample, else 1.
        share (int): Rows of each of these samples.
        strides (tuple[int], optional): Those of ``x``, if its elements lie
            row by row.
    """

    def __init__(self, x: Tensor, betas: Betas, dim: int) -> None:
        self.matrix = Matrix.of(x, (), dim)
        self.betas = betas
        _, self.rows, self.n = self.matrix.shape
        self.channels = x.size(dim)
        self.samples = x.size(0) if betas == Betas.PER_SAMPLE else 1
        self.share = self.rows // self.samples
        self.wide = self.matrix.side_by_side
        walked = x.movedim(dim, -1) if self.wide else x
        self.strides = x.stride() if walked.is_contiguous() else None

    def view(self, x: Tensor) -> Tensor:
        """A tensor whose elements lie row by row: ``x``, or its copy."""
        if x.stride() == self.strides and not x.is_neg():
            return x
        return self.matrix.view(x).contiguous().resolve_neg()

    def new_empty(self,
                  x: Tensor,
                  dtype: torch.dtype | None = None) -> Tensor:
        """A tensor for results, which :meth:`view` does not copy."""
        return self.matrix.new_empty(x, dtype)


def dense_parameters(x: Tensor, parameters: Parameters,
                     dim: int) -> list[Tensor | None]:
    """Parameters as float32 of shape (C,), beta also (N, C) or x's.

    Raises:
        ValueError: One does not fit ``x`` or is on another device.
    """
    p1, p2, beta, *affine = parameters
    shape = channels = (x.size(dim), )
    if isinstance(beta, Tensor) and beta.dim() > 1:
        shape = (x.shape if beta.shape == x.shape else
                 (x.size(0), *channels))
    return [
        _dense(p1, channels, x, dim, True),
        _dense(p2, channels, x, dim, True),
        _dense(beta, shape, x, dim, False), *(None if p is None else _dense(
            p, channels, x, dim, True) for p in affine)
    ]


def _dense(parameter: Tensor | float, shape: Sequence[int], x: Tensor,
           dim: int, shared: bool) -> Tensor:
    if not isinstance(parameter, Tensor):
        return torch.full(
            shape, parameter, dtype=torch.float32, device=x.device)
    if parameter.device != x.device:
        raise ValueError(f'A parameter of acon() is on {parameter.device} and '
                         f'x on {x.device}: move one of them.')
    if parameter.shape == shape and parameter.dtype == torch.float32:
        return parameter
    reference.check(parameter, x, dim, shared)
    return parameter.expand(shape).float()
