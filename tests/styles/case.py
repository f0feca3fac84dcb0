"""What the cases of styles are made of."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

IMAGE = (torch.randn(2, 3, 8, 8, generator=torch.manual_seed(5)),)
TOKENS = (torch.randn(2, 5, 8, generator=torch.manual_seed(5)),)
CASES: dict[str, 'Case'] = {}


@dataclass
class Case:
    """A module to swap.

    Attributes:
        make (Callable): Builds it.
        inputs (tuple): What it takes.
        dim (int): Where the channels are when an activation runs.
        trains (bool): Whether anything in it does.
        prepare (Callable, optional): What is done to it before the swap.
    """

    make: Callable[[], nn.Module]
    inputs: tuple[Tensor, ...] = IMAGE
    dim: int = 1
    trains: bool = True
    prepare: Callable | None = None


def case(**options) -> Callable:
    """Decorator of a class, or a function, that makes the module."""

    def register(make: Callable) -> Callable:
        CASES[make.__name__] = Case(make, **options)
        return make

    return register


def conv(i: int, o: int) -> nn.Conv2d:
    return nn.Conv2d(i, o, 3, padding=1)


class Two(nn.Module):
    """Two convolutions of different widths and one ReLU object."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = conv(3, 8), conv(8, 4), nn.ReLU()
