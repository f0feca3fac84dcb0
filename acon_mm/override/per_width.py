"""One call that serves several widths: an activation for each of them."""
from collections.abc import Callable, Iterable

import torch.nn as nn
from torch import Tensor


class ActPerWidth(nn.Module):
    """Activations of different widths behind one call.

    HRNet's ``HRModule`` calls one ``self.relu`` in a loop over its branches;
    each width gets parameters of its own.

    Args:
        build (Callable): Makes the activation of a width.
        widths (iterable of int): Every width that arrives.
        channel_dim (int): The channels' dimension. Defaults to 1.
        otherwise (nn.Module, optional): For any other width: what was there
            before, where code that has not run calls it.

    Shape:
        As the activations': (N, C, *), C one of ``widths``.

    Attributes:
        acts (nn.ModuleDict): The activation of a width, by ``str(width)``.
    """

    def __init__(self,
                 build: Callable[[int], nn.Module],
                 widths: Iterable[int],
                 channel_dim: int = 1,
                 otherwise: nn.Module | None = None) -> None:
        super().__init__()
        self.channel_dim = channel_dim
        self.otherwise = otherwise
        self.acts = nn.ModuleDict({str(w): build(w) for w in widths})

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation of ``x``'s width.

        Raises:
            ValueError: There is none, and nothing otherwise.
        """
        width = str(x.size(self.channel_dim))
        if width not in self.acts:
            if self.otherwise is not None:
                return self.otherwise(x)
            raise ValueError(
                f'An activation for the widths {", ".join(self.acts)} got an '
                f'input of shape {tuple(x.shape)} with {width} channels: '
                'swap the activations after the model has its final widths.')
        return self.acts[width](x)
