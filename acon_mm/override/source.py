"""The source of a module's methods, parsed."""
import ast
import copy
import functools
import inspect
import textwrap
import types
from collections.abc import Iterator

import torch.nn as nn


@functools.cache
def methods(cls: type[nn.Module]) -> dict[str, types.FunctionType]:
    """Functions that ``cls`` runs, by the name they have in it.

    One that only ``super().<name>`` reaches has its class in front:
    ``'AnchorHead.forward'``.
    """
    found: dict[str, types.FunctionType] = {}
    last: dict[str, types.FunctionType] = {}  # as far as super() has come
    for klass in cls.__mro__:
        if klass in (nn.Module, object):
            break
        for name, value in vars(klass).items():
            if not isinstance(value, types.FunctionType):
                continue
            if name not in last:
                found[name] = last[name] = value
            elif _calls_super(last[name], name):
                found[f'{klass.__name__}.{name}'] = last[name] = value
    return found


@functools.cache
def parse(function: types.FunctionType) -> ast.FunctionDef | None:
    """The function's tree (not to be changed), None without source."""
    try:
        lines, first = inspect.getsourcelines(function)
        module = ast.parse(textwrap.dedent(''.join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    ast.increment_lineno(module, first - 1)
    definition = module.body[0]
    if not isinstance(definition, ast.FunctionDef):
        return None
    set_parents(definition)
    return definition


def walk(tree: ast.FunctionDef | None) -> Iterator[ast.AST]:
    """All nodes of a tree, none of a function without source."""
    return iter(()) if tree is None else ast.walk(tree)


@functools.cache
def method_tree(cls: type[nn.Module], name: str) -> ast.FunctionDef | None:
    """A method's tree with the layers in it that its callers hand over.

    ``self.reg_pred(x, self.fcs)`` makes ``fcs`` of ``def reg_pred(self, x,
    fcs)`` read ``self.fcs`` where all callers in ``cls`` agree.
    """
    tree = parse(methods(cls)[name])
    if tree is None or name == 'forward':
        return tree
    parameters = [arg.arg for arg in tree.args.args[1:]]
    layers = {
        parameter: sources.pop()
        for parameter, *sources in zip(parameters, *_arguments(cls, name))
        if len(set(sources)) == 1 and sources[0].startswith('self.')
    }
    if not layers:
        return tree
    tree = _Substitution(layers).visit(copy.deepcopy(tree))
    set_parents(tree)
    return tree


def _arguments(cls: type[nn.Module], name: str) -> list[list[str]]:
    """Sources of the positional arguments of each ``self.<name>(...)``."""
    return [[ast.unparse(value) for value in call.args]
            for call in _self_calls(cls).get(name, ())]


@functools.cache
def _self_calls(cls: type[nn.Module]) -> dict[str, list[ast.Call]]:
    """Calls of methods and layers of ``self`` in the class, by name."""
    found: dict[str, list[ast.Call]] = {}
    for function in methods(cls).values():
        for node in walk(parse(function)):
            path = self_path(getattr(node, 'func', None))
            if path:
                found.setdefault(path, []).append(node)
    return found


class _Substitution(ast.NodeTransformer):
    """Put expressions where parameters are read."""

    def __init__(self, layers: dict[str, str]) -> None:
        self.layers = layers

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.layers or not isinstance(node.ctx, ast.Load):
            return node
        value = ast.parse(self.layers[node.id], mode='eval').body
        for child in ast.walk(value):
            ast.copy_location(child, node)
        return value


def set_parents(tree: ast.AST) -> None:
    """Give each node below ``tree`` its ``parent``."""
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            child.parent = node


def parents(node: ast.AST):
    """Nodes around ``node``, the nearest first."""
    while hasattr(node, 'parent'):
        node = node.parent
        yield node


def self_path(node: ast.AST) -> str | None:
    """``'a.b'`` of ``self.a.b``; ``self.a[0]`` is ``'a.0'``, ``self.a[i]``
    (any of them) is ``'a'``."""
    if isinstance(node, ast.Name):
        return '' if node.id == 'self' else None
    if isinstance(node, ast.Attribute):
        base, last = self_path(node.value), node.attr
    elif isinstance(node, ast.Subscript):
        base, last = self_path(node.value), _index(node.slice)
    else:
        return None
    if base is None or last is None:
        return base or None
    return f'{base}.{last}' if base else last


@functools.cache
def attributes(cls: type[nn.Module]) -> frozenset[str]:
    """Names that ``cls`` has or that its code reads or sets on ``self``."""
    found = set(dir(cls))
    for function in methods(cls).values():
        found.update(
            node.attr for node in walk(parse(function))
            if isinstance(node, ast.Attribute)
            and getattr(node.value, 'id', None) == 'self')
    return frozenset(found)


def _index(node: ast.AST) -> str | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return str(value) if isinstance(value, int) else None


def _calls_super(function: types.FunctionType, name: str) -> bool:
    tree = parse(function)
    return tree is not None and any(
        isinstance(node, ast.Attribute) and node.attr == name
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, 'id', None) == 'super'
        for node in ast.walk(tree))
