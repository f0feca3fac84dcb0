"""New activations that compute something else for a moment."""
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.base import AconBase
from acon_mm.override.seats import Seat


@contextlib.contextmanager
def as_stock(seats: Sequence[Seat], traced: bool = False) -> Iterator[None]:
    """The new activations compute what those did that they replace.

    Nothing is done in place, as ACON does nothing in place. Where gradients
    are ``traced`` they are ACON's own all the same.
    """
    with _forwards(seats, lambda act, seat: _stand_in(
            act, seat.stock, traced)):
        yield


@contextlib.contextmanager
def leaking(seats: Sequence[Seat]) -> Iterator[None]:
    """The new activations have a slope below zero, which training gives."""
    with _forwards(seats, lambda act, _: lambda x, own=act.forward: (
            own(x) + .25 * x.clamp(max=0.))):
        yield


@contextlib.contextmanager
def _forwards(seats: Sequence[Seat],
              make: Callable[[nn.Module, Seat], Callable]) -> Iterator[None]:
    """Each new activation has the ``forward`` that is made for it."""
    acts = [(act, seat) for seat in seats for act in _singles(seat.new)]
    for act, seat in acts:
        vars(act)['forward'] = make(act, seat)
    try:
        yield
    finally:
        for act, _ in acts:
            del vars(act)['forward']


def _singles(new: nn.Module) -> list[nn.Module]:
    own = [act for act in new.modules() if isinstance(act, AconBase)]
    return own or [new]


def _stand_in(act: nn.Module, stock: Callable, traced: bool) -> Callable:
    own = act.forward

    def forward(x: Tensor) -> Tensor:
        if not traced:
            if isinstance(act, AconBase):
                act.check_input(x)
            return stock(x)
        y = own(x)
        with torch.no_grad():
            step = stock(x) - y
        return y + step

    return forward


@contextlib.contextmanager
def counted(seats: Sequence[Seat]) -> Iterator[Counter]:
    """How often what is on each seat runs, by the seat's ``id``."""
    count: Counter = Counter()
    # hooks of one that was shared are those of each that takes its place
    handles = [seat.new.register_forward_pre_hook(
        lambda module, _, seat=seat: count.update(
            [id(seat)] if module is seat.new else [])) for seat in seats]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()
