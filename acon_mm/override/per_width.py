"""One call that serves several widths: an activation for each of them."""
from collections.abc import Callable, Iterable

import torch.nn as nn
from torch import Tensor

from acon_mm.base import of_unseen


class ActPerWidth(nn.Module):
    """Activations of different widths behind one call.

    HRNet's ``HRModule`` calls one ``self.relu`` in a loop over its branches;
    each width gets parameters of its own.

    Args:
        build (Callable): Makes the activation of a width.
        widths (iterable of int): Every width that arrives.
        channel_dim (int): The channels' dimension. Defaults to 1.

    Shape:
        As the activations': (N, C, *), C one of ``widths``.

    Attributes:
        acts (nn.ModuleDict): The activation of a width, by ``str(width)``.
    """

    def __init__(self,
                 build: Callable[[int], nn.Module],
                 widths: Iterable[int],
                 channel_dim: int = 1) -> None:
        super().__init__()
        self.channel_dim = channel_dim
        self.instead: Callable[[Tensor], Tensor] | None = None
        self.acts = nn.ModuleDict({str(w): build(w) for w in widths})

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation of ``x``'s width.

        Raises:
            ValueError: There is none, and nothing ran there before.
        """
        width = str(x.size(self.channel_dim))
        if width not in self.acts:
            if self.instead is not None:
                return of_unseen(self, x)
            raise ValueError(
                f'An activation for the widths {", ".join(self.acts)} got an '
                f'input of shape {tuple(x.shape)} with {width} channels: '
                'swap the activations after the model has its final widths.')
        return self.acts[width](x)
