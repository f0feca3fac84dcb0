"""The places where a module's code calls its activation.

A stock residual block owns one ``self.relu`` and calls it at several places
that differ in width; its source tells the places apart.
"""
import ast
import functools
from typing import NamedTuple

import torch.nn as nn

from acon_mm.override.conditions import Pick, conditions_of, picks_of
from acon_mm.override.dataflow import layers_behind
from acon_mm.override.in_place import is_overwritten, is_read_again
from acon_mm.override.source import method_tree, methods, self_path


class CallSite(NamedTuple):
    """One place where a class calls ``self.<attr>(x)``.

    Attributes:
        method (str): Key of the method in
            :func:`acon_mm.override.source.methods`.
        ordinal (int): Its place among the calls in that method, from 1.
        index (int): Number of its seat in the class, from 1. Methods that
            make the same call (``forward`` and ``rfp_forward`` of
            DetectoRS) share it.
        chain (tuple[str]): Paths of the layers that ``x`` came through, the
            last first: ``('norm2', 'conv2')``.
        conditions (tuple[str]): What must hold for it to run, as far as the
            code of the class says: ``('self.with_proj', )``.
        picks (tuple[Pick]): Tests of a loop's index that choose which layers
            of the chain it sees.
        overwritten (bool): Whether ``x`` is changed in place afterwards.
        read_again (bool): Whether ``x`` is read afterwards, which is
            another ``x`` if the call is ``inplace``.
    """
    method: str
    ordinal: int
    index: int
    chain: tuple[str, ...]
    conditions: tuple[str, ...]
    picks: tuple[Pick, ...]
    overwritten: bool
    read_again: bool


@functools.cache
def call_sites(cls: type[nn.Module], attr: str) -> tuple[CallSite, ...]:
    """Places where the methods of ``cls`` call ``self.<attr>``.

    Args:
        cls (type): A module's class, a stock one.
        attr (str): Name of the activation in it.

    Returns:
        tuple[CallSite]: In the order of the source, method by method.
    """
    sites: list[CallSite] = []
    seats: dict[tuple, int] = {}
    for name in methods(cls):
        tree = method_tree(cls, name)
        if tree is None:
            continue
        for ordinal, call in enumerate(calls_of(tree, attr), start=1):
            value = call.args[0] if call.args else None
            chain = layers_behind(tree, value, call.lineno)
            index = seats.setdefault((ordinal, chain), len(seats) + 1)
            sites.append(CallSite(name, ordinal, index, chain,
                                  conditions_of(cls, name, call),
                                  picks_of(call),
                                  is_overwritten(tree, call),
                                  is_read_again(tree, call)))
    return tuple(sites)


def calls_of(tree: ast.FunctionDef, attr: str) -> list[ast.Call]:
    """Calls of ``self.<attr>`` in a method, in the order of the source."""
    calls = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Call) and self_path(node.func) == attr
    ]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))
