"""Which code of a module can run, by what is fixed when it is built."""
import ast
import functools
from collections.abc import Iterator
from typing import NamedTuple

import torch.nn as nn

from acon_mm.override.source import (
    method_tree,
    methods,
    parents,
    self_path,
    walk,
)

# what a condition may call and still be fixed when the module is built
FIXED_FUNCTIONS = {
    'any': any, 'enumerate': enumerate, 'hasattr': hasattr, 'len': len}
# statements after which the rest of a block does not run
LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def runs(module: nn.Module, conditions: tuple[str, ...]) -> bool:
    """Whether code under ``conditions`` can run in ``module``.

    Only what is fixed when the module is built counts: a condition that
    reads anything but attributes of ``self`` may hold.
    """
    return all(_may_hold(module, condition) for condition in conditions)


def conditions_of(cls: type[nn.Module], method: str,
                  node: ast.AST) -> tuple[str, ...]:
    """What must hold for a node of a method to run.

    Args:
        cls (type): A module's class, a stock one.
        method (str): Key of the method in
            :func:`acon_mm.override.source.methods`.
        node (ast.AST): A part of its tree.

    Returns:
        tuple[str]: Tests of the ``if``s around it, of those before it that
        return, and of the callers of the method; lists of loops around it.
    """
    picked = (f'any({pick.test} for {pick.index}, _ in '
              f'enumerate(self.{pick.layers}))' for pick in picks_of(node))
    return (*_around(node), *picked, *_of_callers(cls, method))


class Pick(NamedTuple):
    """A test of the index in a loop over layers.

    ``for i, fc in enumerate(self.fcs)`` and ``i < self.num_fcs - 1`` inside:
    the call never sees the last layer.

    Attributes:
        layers (str): Path of the list, ``'fcs'``.
        index (str): ``'i'``.
        test (str): ``'i < self.num_fcs - 1'``.
    """
    layers: str
    index: str
    test: str

    def holds(self, module: nn.Module, index: int) -> bool:
        """Whether the call can see the layer of that index."""
        return _may_hold(module, self.test, **{self.index: index})


def picks_of(node: ast.AST) -> tuple[Pick, ...]:
    """Tests around a node that choose among the layers of a loop."""
    loops = [_counted(around) for around in parents(node)]
    return tuple(
        Pick(*loop, test) for loop in filter(None, loops)
        for test in _around(node)
        if not _fixed(test) and _fixed(f'any({test} for {loop[1]} in ())'))


def _counted(loop: ast.AST) -> tuple[str, str] | None:
    """Layers and index of ``for i, layer in enumerate(self.layers)``."""
    target = getattr(loop, 'target', None)
    if not isinstance(loop, ast.For) or not isinstance(target, ast.Tuple):
        return None
    name = getattr(getattr(loop.iter, 'func', None), 'id', None)
    layers = loop.iter.args and self_path(loop.iter.args[0])
    if name != 'enumerate' or not layers or not isinstance(
            target.elts[0], ast.Name):
        return None
    return layers, target.elts[0].id


@functools.cache
def _fixed(condition: str) -> bool:
    tree = ast.parse(condition)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    names -= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)
              and isinstance(n.ctx, ast.Store)}
    attributes = {n.attr for n in ast.walk(tree)
                  if isinstance(n, ast.Attribute)}
    called = {getattr(n.func, 'id', None) for n in ast.walk(tree)
              if isinstance(n, ast.Call)}
    return (names <= {'self', *FIXED_FUNCTIONS}
            and 'training' not in attributes
            and called <= set(FIXED_FUNCTIONS))


def _may_hold(module: nn.Module, condition: str, **known: int) -> bool:
    if not known and not _fixed(condition):
        return True
    scope = {'self': module, '__builtins__': {}, **FIXED_FUNCTIONS, **known}
    try:
        return bool(eval(condition, scope))
    except Exception:  # the stock code may guard it elsewhere
        return True


def _around(node: ast.AST) -> Iterator[str]:
    child = node
    for around in parents(node):
        if isinstance(around, (ast.If, ast.IfExp)) and (
                child is not around.test):
            body = around.body if isinstance(around.body, list) else [
                around.body]
            yield _test(around, child in body)
        elif isinstance(around, ast.BoolOp):
            holds = isinstance(around.op, ast.And)
            for value in around.values[:around.values.index(child)]:
                test = ast.unparse(value)
                yield test if holds else f'not ({test})'
        elif isinstance(around, ast.For) and self_path(around.iter):
            iterable = ast.unparse(around.iter)
            some = f'self.{self_path(around.iter)}'  # `self.fcs[k]`: any k
            yield iterable if _fixed(iterable) else f'any({some})'
        yield from _after_returns(around, child)
        child = around


def _after_returns(around: ast.AST, child: ast.AST) -> Iterator[str]:
    """Tests of the earlier statements beside ``child`` that leave."""
    for _, block in ast.iter_fields(around):
        if isinstance(block, list) and child in block:
            for earlier in block[:block.index(child)]:
                if not isinstance(earlier, ast.If):
                    continue
                if isinstance(earlier.body[-1], LEAVING):
                    yield _test(earlier, False)
                elif earlier.orelse and isinstance(
                        earlier.orelse[-1], LEAVING):
                    yield _test(earlier, True)


def _test(node: ast.If | ast.IfExp, holds: bool) -> str:
    test = ast.unparse(node.test)
    return test if holds else f'not ({test})'


@functools.cache
def _of_callers(cls: type[nn.Module], method: str) -> tuple[str, ...]:
    """What must hold for a method that others of the class call to run.

    Any of the calls may be the one. A method that nothing calls, or that is
    handed over (``multi_apply(self.forward_single, ...)``), may always run.
    """
    if method == 'forward' or '.' in method:
        return ()
    ways = []
    for name in methods(cls):
        for node in walk(method_tree(cls, name)):
            if not isinstance(node, ast.Attribute) or (
                    self_path(node) != method):
                continue
            fixed = [c for c in _around(node) if _fixed(c)]
            if name == method or not fixed or getattr(
                    node.parent, 'func', None) is not node:
                return ()
            ways.append(' and '.join(f'({c})' for c in fixed))
    return (' or '.join(f'({way})' for way in ways), ) if ways else ()
