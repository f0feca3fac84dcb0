"""A seat for each call of an activation that a module shares.

:func:`seat_calls` turns a block into a subclass of its stock class where
the i-th place calls ``self.act<i>``. ``isinstance``, ``with_cp``, plugins,
``init_weights``, pickling and ``copy.deepcopy`` go on working.
"""
import ast
import functools
import re
from collections.abc import Collection

import torch.nn as nn

from acon_mm.override.call_sites import CallSite, call_sites, calls_of
from acon_mm.override.frozen_norm import activate_normed, hand_over_norm
from acon_mm.override.rewriting import can_be_rewritten, rewrite
from acon_mm.override.source import attributes, methods

Seats = tuple[tuple[str, frozenset[int]], ...]


class Seated:
    """Mixin of the subclasses made here: pickled by how they were made."""

    seated_from: tuple[type, Seats]
    activate_normed = staticmethod(activate_normed)

    def __reduce_ex__(self, protocol):
        return _restore, self.seated_from, self.__dict__


@functools.cache
def seat_name(cls: type[nn.Module], attr: str, index: int) -> str:
    """Attribute of the i-th seat of ``attr``: ``act1`` for ``relu``.

    Where the code of ``cls`` has such names itself, ``relu1`` or
    ``relu_act1``.
    """
    def is_taken(name: str) -> bool:
        return any(re.fullmatch(rf'{name}\d+', other) or other == name != attr
                   for other in attributes(stock_class(cls)))

    name = 'act' if attr == 'relu' and not is_taken('act') else attr
    while is_taken(name):
        name += '_act'
    return f'{name}{index}'


def stock_class(cls: type[nn.Module]) -> type[nn.Module]:
    """The class under the seats, ``cls`` itself where there are none."""
    return cls.seated_from[0] if issubclass(cls, Seated) else cls


def seat_calls(block: nn.Module, attr: str,
               indices: Collection[int]) -> None:
    """Make the given calls of ``block.<attr>`` call seats of their own.

    The seats (:func:`seat_name`) are the caller's to set. Calls that were
    seated before stay so. An input that is overwritten later is copied.
    """
    cls = type(block)
    seats = dict(cls.seated_from[1]) if issubclass(cls, Seated) else {}
    seats[attr] = frozenset(indices) | seats.get(attr, frozenset())
    block.__class__ = _seated_class(
        stock_class(cls), tuple(sorted(seats.items())))


def can_be_seated(cls: type[nn.Module], attr: str) -> bool:
    """Whether the calls of ``attr`` are in methods that a subclass can
    replace: without decorators, and not such that only ``super()`` reaches.
    """
    return all('.' not in site.method
               and can_be_rewritten(methods(cls)[site.method])
               for site in call_sites(cls, attr))


def seated_names(cls: type[nn.Module]) -> frozenset[str]:
    """Attributes of ``cls`` that are seats made here."""
    seats = cls.seated_from[1] if issubclass(cls, Seated) else ()
    return frozenset(
        seat_name(cls, attr, i) for attr, indices in seats for i in indices)


def _restore(cls: type[nn.Module], seats: Seats) -> nn.Module:
    seated = _seated_class(cls, seats)
    return seated.__new__(seated)


@functools.cache
def _seated_class(cls: type[nn.Module], seats: Seats) -> type:
    namespace: dict[str, object] = {
        'seated_from': (cls, seats),
        '__doc__': cls.__doc__,
        '__module__': cls.__module__,
    }
    for name, function in methods(cls).items():
        sites = {
            (attr, site.ordinal): site
            for attr, indices in seats for site in call_sites(cls, attr)
            if site.method == name and site.index in indices
        }
        if sites:
            namespace[name] = rewrite(
                function, functools.partial(_redirect_calls, cls, sites))
    return type(f'Seated{cls.__name__}', (Seated, cls), namespace)


def _redirect_calls(cls: type[nn.Module],
                    sites: dict[tuple[str, int], CallSite],
                    tree: ast.FunctionDef) -> None:
    calls = {attr: calls_of(tree, attr) for attr, _ in sites}
    for (attr, ordinal), site in sites.items():
        call = calls[attr][ordinal - 1]
        call.func.attr = seat_name(cls, attr, site.index)
        if site.overwritten:
            clone = ast.Attribute(call.args[0], 'clone', ast.Load())
            call.args[0] = ast.Call(clone, [], [])
        elif call.args:
            hand_over_norm(call)
