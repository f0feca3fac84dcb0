"""Where a module's code calls its activation, and a seat for each place.

A stock residual block owns one ``self.relu`` and calls it at several places
that differ in width. Its source tells the places apart: :func:`call_sites`
lists them, with the layer whose output arrives there, and
:func:`seat_calls` turns the block into a subclass of its stock class where
the i-th place calls ``self.act<i>``. ``isinstance``, ``with_cp``, plugins,
``init_weights``, pickling and ``copy.deepcopy`` go on working.
"""
import ast
import functools
import inspect
import textwrap
import types
from typing import NamedTuple

import torch.nn as nn


class CallSite(NamedTuple):
    """One place where a class calls ``self.<attr>(x)``.

    Attributes:
        method (str): Name of the method.
        index (int): Its place among the calls in that method, from 1.
        chain (tuple[str]): Layers that ``x`` came through, the last first,
            as attribute names: ``('norm2', 'conv2')``.
    """
    method: str
    index: int
    chain: tuple[str, ...]


def seat_name(attr: str, index: int) -> str:
    """Attribute of the i-th seat of ``attr``: ``act1`` for ``relu``."""
    return f'{"act" if attr == "relu" else attr}{index}'


@functools.cache
def call_sites(cls: type[nn.Module], attr: str) -> tuple[CallSite, ...]:
    """Places where the methods of ``cls`` call ``self.<attr>``.

    Args:
        cls (type): A module's class.
        attr (str): Name of the activation in it.

    Returns:
        tuple[CallSite]: In the order of the source, method by method.
    """
    sites: list[CallSite] = []
    for name, function in _methods(stock_class(cls)).items():
        tree = _parse(function)
        if tree is None:
            continue
        for index, call in enumerate(_calls(tree, attr), start=1):
            chain = tuple(_chain(tree, call))
            sites.append(CallSite(name, index, chain))
    return tuple(sites)


def stock_class(cls: type[nn.Module]) -> type[nn.Module]:
    """The class under the seats, ``cls`` itself where there are none."""
    return cls.seated_from[0] if issubclass(cls, Seated) else cls


def seat_calls(block: nn.Module, attr: str, indices: list[int]) -> None:
    """Make the given calls of ``block.<attr>`` call seats of their own.

    The seats (:func:`seat_name`) are the caller's to set. Calls that were
    seated before stay so.
    """
    cls = type(block)
    seats = dict(cls.seated_from[1]) if issubclass(cls, Seated) else {}
    seats[attr] = frozenset(indices) | seats.get(attr, frozenset())
    block.__class__ = _seated_class(
        stock_class(cls), tuple(sorted(seats.items())))


def seated_names(cls: type[nn.Module]) -> frozenset[str]:
    """Attributes of ``cls`` that are seats made here."""
    seats = cls.seated_from[1] if issubclass(cls, Seated) else ()
    return frozenset(
        seat_name(attr, i) for attr, indices in seats for i in indices)


class Seated:
    """Mixin of the subclasses made here: pickled by how they were made."""

    seated_from: tuple[type, tuple]

    def __reduce_ex__(self, protocol):
        return _restore, self.seated_from, self.__dict__


def _restore(cls: type[nn.Module], seats: tuple) -> nn.Module:
    seated = _seated_class(cls, seats)
    return seated.__new__(seated)


@functools.cache
def _seated_class(cls: type[nn.Module],
                  seats: tuple[tuple[str, frozenset[int]], ...]) -> type:
    namespace: dict[str, object] = {
        'seated_from': (cls, seats),
        '__doc__': cls.__doc__,
        '__module__': cls.__module__,
    }
    for name, function in _methods(cls).items():
        tree = _parse(function)
        touched = False
        for attr, indices in seats if tree is not None else ():
            for index, call in enumerate(_calls(tree, attr), start=1):
                if index in indices:
                    call.func.attr = seat_name(attr, index)
                    touched = True
        if touched:
            namespace[name] = _compile(function, tree)
    return type(f'Seated{cls.__name__}', (Seated, cls), namespace)


def _methods(cls: type) -> dict[str, types.FunctionType]:
    found = {}
    for klass in cls.__mro__:
        if klass in (nn.Module, object):
            break
        for name, value in vars(klass).items():
            if isinstance(value, types.FunctionType):
                found.setdefault(name, value)
    return found


def _parse(function: types.FunctionType) -> ast.FunctionDef | None:
    try:
        lines, first = inspect.getsourcelines(function)
        module = ast.parse(textwrap.dedent(''.join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    ast.increment_lineno(module, first - 1)
    definition = module.body[0]
    return definition if isinstance(definition, ast.FunctionDef) else None


def _calls(tree: ast.FunctionDef, attr: str) -> list[ast.Call]:
    calls = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _self_attr(node.func) == attr
    ]
    return sorted(calls, key=lambda c: (c.lineno, c.col_offset))


def _self_attr(node: ast.AST) -> str | None:
    """``name`` of ``self.name`` or ``self.name[...]``."""
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute) and isinstance(
            node.value, ast.Name) and node.value.id == 'self':
        return node.attr
    return None


def _chain(tree: ast.FunctionDef, call: ast.Call) -> list[str]:
    """Layers behind the argument of ``call``, up to the activation before.

    An addition keeps the width, so its left operand answers for both. What
    comes from anything but layers of ``self`` ends the chain.
    """
    before = [
        node for node in ast.walk(tree) if isinstance(node, ast.Assign)
        and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        and node.lineno < call.lineno
    ]
    before.sort(key=lambda node: node.lineno)
    inner = _inner_results(tree)
    layers: list[str] = []
    value: ast.AST | None = call.args[0] if call.args else None
    while value is not None:
        if isinstance(value, ast.Call):
            layer = _self_attr(value.func)
            names = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
            if layer == call.func.attr:
                break
            if layer is not None:
                layers.append(layer)
                value = value.args[0] if value.args else None
            else:  # `cp.checkpoint(_inner_forward, x)`, `_inner_forward(x)`
                value = next((inner[n] for n in names & set(inner)), None)
        elif isinstance(value, ast.BinOp):
            value = value.left
        elif isinstance(value, ast.Name):
            value = _last_value(before, value.id)
        else:
            break
    return layers


def _inner_results(tree: ast.FunctionDef) -> dict[str, ast.AST]:
    """What the functions defined inside ``tree`` return, by their names."""
    return {
        node.name: node.body[-1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node is not tree
        and isinstance(node.body[-1], ast.Return)
    }


def _last_value(before: list[ast.Assign], name: str) -> ast.AST | None:
    """Pop the last assignment to ``name`` and all after it."""
    while before:
        node = before.pop()
        if node.targets[0].id == name:
            return node.value
    return None


def _compile(function: types.FunctionType,
             tree: ast.FunctionDef) -> types.FunctionType:
    """The function of a changed tree, with the original's surroundings."""
    tree.decorator_list = []
    free = function.__code__.co_freevars
    outer = ast.FunctionDef(
        name='outer',
        args=ast.arguments(
            posonlyargs=[], kwonlyargs=[], kw_defaults=[], defaults=[],
            args=[ast.arg(arg=name) for name in free]),
        body=[tree, ast.Return(ast.Name(tree.name, ast.Load()))],
        decorator_list=[])
    module = ast.fix_missing_locations(ast.Module([outer], type_ignores=[]))
    scope: dict[str, object] = {}
    code = compile(module, function.__code__.co_filename, 'exec')
    exec(code, function.__globals__, scope)
    inner = scope['outer'](*[None] * len(free))
    cells = dict(zip(free, function.__closure__ or ()))
    rewritten = types.FunctionType(
        inner.__code__, function.__globals__, function.__name__,
        function.__defaults__,
        tuple(cells[name] for name in inner.__code__.co_freevars) or None)
    rewritten.__kwdefaults__ = function.__kwdefaults__
    return functools.wraps(function)(rewritten)
