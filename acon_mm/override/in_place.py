"""What a method does to an activation's input after the call.

ReLU stands two things that ACON does not: an input that is overwritten, for
ReLU keeps its output for the backward pass, and a caller that reads in the
input what ``inplace=True`` has written there.
"""
import ast
from collections.abc import Iterator

from acon_mm.override.source import parents


def is_overwritten(tree: ast.FunctionDef, call: ast.Call) -> bool:
    """Whether the next that happens to the input is ``x += ...``,
    ``x[...] = ...`` or ``x.mul_(...)``."""
    name = _argument(call)
    if name is None:
        return False
    return min(((line, in_place) for line, bound, in_place in _writes(tree)
                if bound == name and line >= call.end_lineno),
               default=(0, False))[1]


def is_read_again(tree: ast.FunctionDef, call: ast.Call) -> bool:
    """Whether the input, by whatever name, is read after the call, or
    nothing but its change is left of it: the statement ``self.relu(x)``."""
    name = _argument(call)
    return isinstance(call.parent, ast.Expr) or (name is not None and any(
        _is_read(tree, call, alias) for alias in _aliases(tree, call, name)))


def _is_read(tree: ast.FunctionDef, call: ast.Call, name: str) -> bool:
    """Whether ``name`` is read after the call, before it is bound anew."""
    rebound = min((line for line, bound, in_place in _writes(tree)
                   if bound == name and not in_place
                   and line >= call.end_lineno), default=None)
    return rebound != call.end_lineno and any(
        node.id == name and isinstance(node.ctx, ast.Load)
        and (node.lineno, node.col_offset) > (call.end_lineno,
                                              call.end_col_offset)
        and (rebound is None or node.lineno <= rebound)
        for node in ast.walk(tree) if isinstance(node, ast.Name))


def _aliases(tree: ast.FunctionDef, call: ast.Call, name: str) -> set[str]:
    """``name`` and what ``identity = x`` makes another name of it."""
    bound = max((line for line, other, in_place in _writes(tree)
                 if other == name and not in_place
                 and line < call.lineno), default=0)
    found = {name}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (
                bound <= node.lineno < call.lineno):
            names = {getattr(part, 'id', None)
                     for part in (*node.targets, node.value)}
            if name in names and None not in names:
                found |= names
    return found


def _argument(call: ast.Call) -> str | None:
    return getattr(call.args[0], 'id', None) if call.args else None


def _writes(tree: ast.FunctionDef) -> Iterator[tuple[int, str, bool]]:
    """(line, name, whether in place) of what writes to local names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign):
            yield node.end_lineno, _base(node.target), True
        elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(
                node.ctx, ast.Store):
            yield node.end_lineno, _base(node), True
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if not isinstance(node.parent, ast.AugAssign):
                yield _statement(node).end_lineno, node.id, False
        elif isinstance(node, ast.Call) and isinstance(
                node.func, ast.Attribute) and node.func.attr.endswith('_'):
            yield node.end_lineno, _base(node.func.value), True
            if node.args:
                yield node.end_lineno, _base(node.args[0]), True


def _base(node: ast.AST) -> str | None:
    """``'x'`` of ``x``, ``x[0]`` and ``x.data``."""
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return getattr(node, 'id', None)


def _statement(node: ast.AST) -> ast.AST:
    """The statement around a node; of a loop or a ``with``, its head."""
    for around in parents(node):
        if isinstance(around, (ast.For, ast.With)):
            return node
        if isinstance(around, ast.stmt):
            return around
    return node
