"""How a tensor lies in memory, as the matrix that a kernel walks over."""
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Matrix(NamedTuple):
    """A tensor as (G, L, I), dense, and its parameters in the same view.

    Channels apart in memory: a row holds the I pixels of one channel of one
    sample, L = N * C, G = 1. Channels side by side: a row holds the I = C
    channels of a pixel; G = N if the samples have parameters of their own
    (unless a sample is one pixel), else 1. Parameters are 1 long in the
    dimensions where they do not vary.
    """
    shape: tuple[int, int, int]
    dim: int
    side_by_side: bool

    @classmethod
    def of(cls, x: Tensor, parameters: Sequence[Tensor], dim: int) -> 'Matrix':
        """The view that suits ``x``, whose channels are in ``dim`` >= 0."""
        if dim < x.dim() - 1 and (x.is_contiguous() or
                                  not x.movedim(dim, -1).is_contiguous()):
            rows = x.shape[:dim + 1].numel()
            return cls((1, rows, x.shape[dim + 1:].numel()), dim, False)
        own = x.dim() > 2 and any(p.size(0) > 1 and p.shape != x.shape
                                  for p in parameters)
        groups = x.size(0) if own else 1
        rows = x.shape[:dim].numel() * x.shape[dim + 1:].numel()
        return cls((groups, rows // max(groups, 1), x.size(dim)), dim, True)

    def view(self, x: Tensor) -> Tensor:
        """The matrix of a tensor; a copy if the tensor lies differently."""
        if self.side_by_side and self.dim < x.dim() - 1:
            x = x.movedim(self.dim, -1)
        return x.reshape(self.shape)

    def new_empty(self,
                  x: Tensor,
                  dtype: torch.dtype | None = None) -> Tensor:
        """Memory like that of ``x``, whose view is no copy.

        It is no view itself, so that autograd may add to it in place.
        """
        keep = self.side_by_side and self.dim < x.dim() - 1
        return torch.empty_like(
            x,
            dtype=dtype,
            memory_format=torch.preserve_format
            if keep else torch.contiguous_format)

    def restore(self, matrix: Tensor, like: Tensor) -> Tensor:
        """The tensor, shaped as ``like``, whose matrix this is."""
        if not self.side_by_side or self.dim == like.dim() - 1:
            return matrix.view(like.shape)
        moved = like.movedim(self.dim, -1).shape
        return matrix.view(moved).movedim(-1, self.dim)

    def view_parameter(self, parameter: Tensor, x: Tensor) -> Tensor:
        """The matrix of a parameter that broadcasts with ``x``."""
        if parameter.shape == x.shape:
            return self.view(parameter)
        if not self.side_by_side:
            rows = parameter.expand(*x.shape[:self.dim + 1],
                                    *parameter.shape[self.dim + 1:])
            return rows.reshape(1, self.shape[1], 1)
        samples, channels = parameter.size(0), parameter.size(self.dim)
        if x.dim() == 2:
            return parameter.view(1, samples, channels)
        return parameter.reshape(samples, 1, channels)

    def restore_parameters(self, matrices: Sequence[Tensor | None], x: Tensor,
                           parameters: Sequence[Tensor]
                           ) -> list[Tensor | None]:
        """Sum matrices, as of :meth:`view_parameter`, to the parameters."""
        return [
            None if matrix is None else self._restore_parameter(
                matrix, parameter, x)
            for matrix, parameter in zip(matrices, parameters)
        ]

    def _restore_parameter(self, matrix: Tensor, parameter: Tensor,
                           x: Tensor) -> Tensor:
        if parameter.shape == x.shape:
            return self.restore(matrix, x)
        if not self.side_by_side:
            rows = matrix.view(*x.shape[:self.dim + 1],
                               *parameter.shape[self.dim + 1:])
            return rows.sum_to_size(parameter.shape)
        return matrix.view(parameter.shape)
