"""A seat for each call of an activation that a module shares.

:func:`seat_calls` turns a module into one of a subclass whose methods call
``self.act<i>`` at the i-th place. ``isinstance``, ``with_cp``, plugins,
``init_weights``, pickling and ``copy.deepcopy`` go on working.
"""
import ast
import functools
import itertools
import operator
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch.nn as nn

from acon_mm.override.joined_norm import activate_normed, hand_over_norm
from acon_mm.override.kinds import FUNCTION_NAMES, called_as
from acon_mm.override.rewriting import rewrite
from acon_mm.override.source import attribute_path, base_called, names_of

# of PyTorch's own: what these hold is found by other ways
KEPT = set(vars(nn.Module()))
# how many subclasses a class has got
_counts: dict[type, Iterator[int]] = {}


class SeatedCall(NamedTuple):
    """A call that goes to a seat.

    Attributes:
        method (str): Name of the method that it is in.
        index (int): Which node of the method's tree it is.
        seat (str): Attribute of the module that is called instead.
        copies (bool): Whether the input is copied, since it is changed
            later.
        home (str): Which base's method it is, if ``super()`` alone reaches
            that.
        kind (str): What it called: a function's name, or a class's.
        start (tuple, optional): How ACON begins like that, in numbers.
    """
    method: str
    index: int
    seat: str
    copies: bool
    home: str = ''
    kind: str = ''
    start: tuple | None = None


class Seated:
    """Mixin of the subclasses made here: pickled by how they were made."""

    seated_from: tuple[type, tuple[tuple[SeatedCall, ...], ...]]
    activate_normed = staticmethod(activate_normed)

    def seat_instead(self, called: Any, seat: str, copies: bool, kind: str,
                     start: tuple | None) -> Any:
        """The seat in the place of what it replaces; ``called`` itself where
        another activation is called there than any pass has shown."""

        def call(*args, **kwargs):
            name, now = called_as(called, args, kwargs)
            if now is None or name != kind or start not in (
                    None, numbers_of(now)):
                return called(*args, **kwargs)
            value = args[0] if args else kwargs.get('input', next(
                (v for k, v in kwargs.items() if k != 'inplace'), None))
            return getattr(self, seat)(value.clone() if copies else value)

        return call

    def __init_subclass__(cls) -> None:
        """No hook of a base class is for these."""

    def __reduce_ex__(self, protocol):
        own = getattr(type(self), '__getstate__', None) is not getattr(
            object, '__getstate__', None)  # Python 3.11 has one
        return _restore, self.seated_from, (
            self.__getstate__() if own else self.__dict__)


def _before(base: type, name: str, methods: dict[str, Any]) -> type:
    """What ``super()`` finds in the place of ``base``."""

    class Quiet:  # one for each, or the order of bases would change
        __init_subclass__ = vars(Seated)['__init_subclass__']

    return type(name, (Quiet, base), {
        '__module__': base.__module__, '__qualname__': base.__qualname__,
        **methods})


def stock_class(cls: type[nn.Module]) -> type[nn.Module]:
    """The class under the seats, ``cls`` itself where there are none."""
    return cls.seated_from[0] if issubclass(cls, Seated) else cls


def seat_calls(module: nn.Module, calls: list[SeatedCall]) -> None:
    """Make calls of ``module`` call seats, which are the caller's to set."""
    before = type(module)
    after = _seated_class(before, tuple(sorted(calls)))
    module.__class__ = after
    rebind(module, before, after)


def unseat(module: nn.Module, cls: type[nn.Module]) -> None:
    """Give a module the class back that it had before."""
    before = type(module)
    module.__class__ = cls
    rebind(module, before, cls)


def rebind(module: nn.Module, before: type, after: type) -> None:
    """Renew the methods that ``module`` keeps among its attributes.

    ``accelerate`` keeps the ``forward`` that it wraps, for one, others a list
    of ``self.stage1``, ``self.stage2``.
    """

    def renew(value: Any, depth: int = 2) -> Any:
        if isinstance(value, types.MethodType) and value.__self__ is module:
            method = value.__name__
            if getattr(before, method, None) is value.__func__:
                return getattr(after, method).__get__(module)
        elif isinstance(value, functools.partial):
            function = renew(value.func)
            if function is not value.func:
                return functools.partial(
                    function, *value.args, **value.keywords)
        elif type(value) is tuple and depth:
            new = tuple(renew(item, depth - 1) for item in value)
            return new if any(map(operator.is_not, new, value)) else value
        elif type(value) is list and depth:  # others may have it too
            value[:] = [renew(item, depth - 1) for item in value]
        elif type(value) is dict and depth:
            value.update({key: renew(item, depth - 1)
                          for key, item in value.items()})
        return value

    own = vars(module)
    own.update({name: renew(value) for name, value in own.items()
                if name not in KEPT})


def _restore(cls: type[nn.Module],
             steps: tuple[tuple[SeatedCall, ...], ...]) -> nn.Module:
    for calls in steps:
        cls = _seated_class(cls, calls)
    return cls.__new__(cls)


@functools.cache
def _seated_class(cls: type[nn.Module],
                  calls: tuple[SeatedCall, ...]) -> type:
    stock, steps = cls.seated_from if issubclass(cls, Seated) else (cls, ())
    namespace: dict[str, object] = {
        'seated_from': (stock, (*steps, calls)),
        '__doc__': cls.__doc__,
        '__module__': cls.__module__,
    }
    # another name for each: a metaclass may keep a register of them
    count = next(_counts.setdefault(stock, itertools.count()))
    name = f'Seated{stock.__name__}{count or ""}'
    # in the order of resolution, a class before what it finds by `super()`
    homes = sorted({call.home for call in calls} - {''},
                   key=lambda home: cls.__mro__.index(base_called(cls, home)))
    bases = [cls] if issubclass(cls, Seated) else [Seated, cls]
    for home in homes:
        base = base_called(cls, home)
        bases.append(_before(base, f'{name}{base.__name__}', _changed(
            base, [c for c in calls if c.home == home])))
    namespace |= _changed(cls, [c for c in calls if not c.home])
    return type(name, tuple(bases), namespace)


def _changed(cls: type[nn.Module], calls: list[SeatedCall],
             ) -> dict[str, types.FunctionType]:
    """Methods of ``cls`` that call the seats instead, by name."""
    changed = {}
    for method in {call.method for call in calls}:
        function = getattr(cls, method)
        new = rewrite(function, functools.partial(
            _redirect_calls, [c for c in calls if c.method == method]))
        changed.update(dict.fromkeys(names_of(cls, function), new))
    return changed


def _redirect_calls(calls: list[SeatedCall], tree: ast.FunctionDef) -> None:
    own = (tree.args.posonlyargs + tree.args.args)[0].arg
    nodes = list(ast.walk(tree))
    local = {node.id for node in nodes if isinstance(node, ast.Name)
             and isinstance(node.ctx, ast.Store)} | {
                 node.arg for node in nodes if isinstance(node, ast.arg)}
    for _, index, seat, copies, _, kind, start in calls:
        call = nodes[index]
        value = value_of(call)
        if _may_call_another(call, value, local - {own}, own, kind):
            call.func = ast.Call(
                ast.Attribute(ast.Name(own, ast.Load()), 'seat_instead',
                              ast.Load()),
                [call.func, *map(ast.Constant, (seat, copies, kind, start))],
                [])
            continue
        call.func = ast.Attribute(ast.Name(own, ast.Load()), seat, ast.Load())
        call.args, call.keywords = [value], []
        if copies:
            clone = ast.Attribute(value, 'clone', ast.Load())
            call.args = [ast.Call(clone, [], [])]
        else:
            hand_over_norm(call, own)


def numbers_of(start: Any) -> tuple | None:
    """A start in numbers, None where it has one for each channel."""
    return tuple(map(float, start)) if start is not None and all(
        isinstance(value, (int, float)) for value in start) else None


def _may_call_another(call: ast.Call, value: ast.AST, local: set[str],
                      own: str, kind: str) -> bool:
    """Whether what is called, or its slope, is not the same each time."""
    func = call.func
    if kind == 'leaky_relu' and any(
            isinstance(node, ast.Name) and node.id in local
            for part in (*call.args, *(k.value for k in call.keywords))
            if part is not value for node in ast.walk(part)):
        return True
    if isinstance(func, ast.Name):
        return func.id in local
    if isinstance(func, ast.Subscript):
        return not isinstance(func.slice, ast.Constant)
    if isinstance(func, ast.Attribute):
        return value is not func.value and kind in FUNCTION_NAMES and (
            attribute_path(func, own) is not None)
    return True


def value_of(call: ast.Call) -> ast.AST | None:
    """The input in a call of an activation: ``x`` of ``F.relu(x)``,
    ``self.relu(input=x)`` or ``x.relu()``; None of ``relu_of_x()``."""
    if call.args:
        return call.args[0]
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if 'input' in named:  # of a function
        return named['input']
    method_of = call.func.value if isinstance(
        call.func, ast.Attribute) else None
    return next((value for name, value in named.items() if name != 'inplace'),
                method_of)
