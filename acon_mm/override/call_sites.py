"""The places where a module's code calls its activation.

A stock residual block owns one ``self.relu`` and calls it at several places
that differ in width; its source tells the places apart.
"""
import ast
import functools
from collections.abc import Iterator
from typing import NamedTuple

import torch.nn as nn

from acon_mm.override.dataflow import layers_behind
from acon_mm.override.source import (
    method_tree,
    methods,
    parents,
    self_path,
)

# what a condition may call and still be fixed when the module is built
FIXED_FUNCTIONS = {'any': any, 'len': len, 'hasattr': hasattr}


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
            code around it says: ``('self.with_proj', )``.
        overwritten (bool): Whether ``x`` is changed in place afterwards
            (``x += y``), which the backward pass of ReLU stands, for it
            keeps its output, and that of ACON does not.
    """
    method: str
    ordinal: int
    index: int
    chain: tuple[str, ...]
    conditions: tuple[str, ...]
    overwritten: bool


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
                                  tuple(conditions_of(call)),
                                  _overwritten(tree, call)))
    return tuple(sites)


def calls_of(tree: ast.FunctionDef, attr: str) -> list[ast.Call]:
    """Calls of ``self.<attr>`` in a method, in the order of the source."""
    calls = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Call) and self_path(node.func) == attr
    ]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def runs(module: nn.Module, conditions: tuple[str, ...]) -> bool:
    """Whether code under ``conditions`` can run in ``module``.

    Only what is fixed when the module is built counts: a condition that
    reads anything but attributes of ``self`` may hold.
    """
    return all(_may_hold(module, condition) for condition in conditions)


@functools.cache
def _fixed(condition: str) -> bool:
    tree = ast.parse(condition)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    attributes = {n.attr for n in ast.walk(tree)
                  if isinstance(n, ast.Attribute)}
    called = {getattr(n.func, 'id', None) for n in ast.walk(tree)
              if isinstance(n, ast.Call)}
    return (names <= {'self', *FIXED_FUNCTIONS}
            and 'training' not in attributes
            and called <= set(FIXED_FUNCTIONS))


def _may_hold(module: nn.Module, condition: str) -> bool:
    if not _fixed(condition):
        return True
    scope = {'self': module, '__builtins__': {}, **FIXED_FUNCTIONS}
    try:
        return bool(eval(condition, scope))
    except Exception:  # the stock code may guard it elsewhere
        return True


def conditions_of(node: ast.AST) -> Iterator[str]:
    """Tests of the ``if``s around ``node``, lists of the loops around it."""
    child = node
    for around in parents(node):
        if isinstance(around, (ast.If, ast.IfExp)) and (
                child is not around.test):
            body = around.body if isinstance(around.body, list) else [
                around.body]
            test = ast.unparse(around.test)
            yield test if child in body else f'not ({test})'
        elif isinstance(around, ast.For) and self_path(around.iter):
            iterable = ast.unparse(around.iter)
            some = f'self.{self_path(around.iter)}'  # `self.fcs[k]`: any k
            yield iterable if _fixed(iterable) else f'any({some})'
        child = around


def _overwritten(tree: ast.FunctionDef, call: ast.Call) -> bool:
    """Whether the next that happens to the argument is ``x += ...``."""
    name = getattr(call.args[0], 'id', None) if call.args else None
    later = [
        node for node in ast.walk(tree)
        if isinstance(node, (ast.Assign, ast.AugAssign))
        and node.end_lineno >= call.end_lineno
        and any(isinstance(n, ast.Name) and n.id == name and isinstance(
            n.ctx, ast.Store) for n in ast.walk(node))
    ]
    first = min(later, key=lambda node: node.lineno, default=None)
    return isinstance(first, ast.AugAssign)
