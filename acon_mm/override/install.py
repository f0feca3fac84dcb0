"""Putting new activations on their seats, and taking them off again."""
import contextlib
from collections.abc import Iterator, Sequence

import torch.nn as nn

from acon_mm.override.seated import seat_calls, unseat
from acon_mm.override.seats import Seat

# PyTorch's fused encoder layer asks this number for its activation
FUSED = 'activation_relu_or_gelu'
# how the hooks of a call are kept: `_forward_hooks` and so on
HOOKS = ('forward_hooks', 'forward_pre_hooks', 'backward_hooks',
         'backward_pre_hooks', 'hooks_with_kwargs', 'hooks_always_called',
         'is_full_backward_hook')


@contextlib.contextmanager
def installed(seats: Sequence[Seat]) -> Iterator[None]:
    """The new activations of ``seats`` run while this is entered."""
    undo = contextlib.ExitStack()
    with undo:
        _install(seats, undo)
        yield


def install(seats: Sequence[Seat]) -> None:
    """Put the new activations of ``seats`` there for good."""
    _install(seats, contextlib.ExitStack())


def _install(seats: Sequence[Seat], undo: contextlib.ExitStack) -> None:
    owners: dict[int, tuple[nn.Module, list]] = {}
    for seat in seats:
        modules = seat.owner._modules
        undo.callback(_put_back, modules, seat.name, modules.get(seat.name))
        modules[seat.name] = seat.new
        _hand_over_hooks(seat, undo)
        owners.setdefault(id(seat.owner), (seat.owner, []))[1].extend(
            seat.calls)
        if getattr(seat.owner, FUSED, 0):
            undo.callback(setattr, seat.owner, FUSED,
                          getattr(seat.owner, FUSED))
            setattr(seat.owner, FUSED, 0)
    for owner, calls in owners.values():
        if calls:
            undo.callback(unseat, owner, type(owner))
            seat_calls(owner, calls)


def _hand_over_hooks(seat: Seat, undo: contextlib.ExitStack) -> None:
    """Hooks on what was there, which their handles can still remove."""
    for name, hooks in vars(seat.old).items() if seat.old is not None else ():
        if name.endswith(HOOKS) and hooks and hooks is not vars(
                seat.new).get(name):
            undo.callback(vars(seat.new).__setitem__, name,
                          vars(seat.new).get(name))
            vars(seat.new)[name] = hooks


def _put_back(modules: dict, name: str, old: nn.Module | None) -> None:
    if old is None:
        modules.pop(name, None)
    else:
        modules[name] = old
