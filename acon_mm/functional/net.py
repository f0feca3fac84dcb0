"""A batch norm and the net that makes meta-ACON's beta, as kernels take
them."""
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_PLAIN = Tensor, torch.nn.Parameter
_DTYPES = torch.float32, torch.int64


class Layer(NamedTuple):
    """A product and its norm; ``gamma`` is None without a norm.

    Attributes:
        weight (Tensor): (out, in), or a 1x1 convolution's.
        bias (Tensor): (out,), as those of the norm.
        gamma, offset (Tensor, optional): The norm's weight and bias.
        mean, variance (Tensor, optional): Its running statistics.
        seen (Tensor, optional): How many batches these have followed.
        batch (bool): Whether the norm takes the batch's statistics instead,
            which the running ones then follow.
        momentum, eps (float): As of ``nn.BatchNorm2d``.
    """
    weight: Tensor
    bias: Tensor
    gamma: Tensor | None = None
    offset: Tensor | None = None
    mean: Tensor | None = None
    variance: Tensor | None = None
    seen: Tensor | None = None
    batch: bool = False
    momentum: float = 0.
    eps: float = 0.

    @property
    def trained(self) -> tuple[Tensor | None, ...]:
        """What gets gradients."""
        return self[:4]

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return self[:7]


class Norm(NamedTuple):
    """A batch norm that takes the batch's statistics.

    Attributes:
        weight, bias (Tensor, optional): (C,).
        mean, variance (Tensor, optional): Running statistics, which follow.
        momentum, eps (float): As of ``F.batch_norm``.
    """
    weight: Tensor | None
    bias: Tensor | None
    mean: Tensor | None = None
    variance: Tensor | None = None
    momentum: float = 0.
    eps: float = 0.


class Net(NamedTuple):
    """``scale * sigmoid`` of two layers, one behind the other."""
    layers: Sequence[Layer]
    scale: float

    @property
    def trained(self) -> list[Tensor | None]:
        """What gets gradients, four of each layer."""
        return [p for layer in self.layers for p in layer.trained]

    @property
    def hidden(self) -> int:
        """Width between the layers."""
        return self.layers[0].bias.numel()


def beta_formula(x: Tensor, trained: Sequence[Tensor | None],
                 net: Net) -> Tensor:
    """Beta by PyTorch's operators; the running statistics stay."""
    for at, layer in enumerate(net.layers):
        weight, bias, gamma, offset = trained[4 * at:4 * at + 4]
        x = F.linear(x, weight.flatten(1), bias)
        if gamma is not None:
            running = (None, None) if layer.batch else (
                layer.mean, layer.variance)
            x = F.batch_norm(x, *running, gamma, offset, layer.batch,
                             eps=layer.eps)
    return net.scale * x.sigmoid()


def are_dense(tensors: Iterable[Tensor | None], sizes: Iterable[int],
              device: torch.device) -> bool:
    """Whether kernels may take each for so many numbers in a row."""
    # one loop: a call for each takes as long as a small activation
    for tensor, size in zip(tensors, sizes):
        if not (type(tensor) in _PLAIN and tensor.dtype in _DTYPES
                and tensor.numel() == size and tensor.is_contiguous()
                and tensor.device == device):
            return False
    return True
