"""Activations that a model calls as functions, which no swap can reach."""
import ast
import functools
import inspect
import types
from collections.abc import Callable

import torch
import torch.nn as nn
import torch.nn.functional as F

from acon_mm.override.conditions import conditions_of, runs
from acon_mm.override.seated import stock_class
from acon_mm.override.source import methods, parse, self_path, walk

NAMES = ('relu', 'relu_', 'relu6', 'leaky_relu', 'leaky_relu_', 'prelu',
         'rrelu', 'rrelu_', 'elu', 'elu_', 'celu', 'celu_', 'selu', 'selu_',
         'gelu', 'silu', 'mish', 'hardswish', 'softplus')
FUNCTIONS = frozenset(
    getattr(module, name) for module in (F, torch, torch._C._nn)
    for name in NAMES if hasattr(module, name))


def functional_calls(model: nn.Module) -> list[tuple[str, str]]:
    """Calls such as ``F.relu(x)`` in the code of a model's modules.

    Args:
        model (nn.Module): A built model or a part of one.

    Returns:
        list[tuple[str, str]]: The path of the method, ``'neck.forward'``,
        and the function, ``'F.relu'`` or ``'self.activation'``; those under
        a condition that the module does not meet are left out, and so are
        losses.
    """
    found = []
    for path, module in model.named_modules():
        prefix = f'{path}.' if path else ''
        cls = stock_class(type(module))
        for method, name, call in _calls(cls):
            if (not name.startswith('self.') or _holds(module, name)) and (
                    runs(module, conditions_of(cls, method, call))):
                found.append((f'{prefix}{method}', name))
    return found


@functools.cache
def _calls(cls: type[nn.Module]) -> tuple[tuple[str, str, ast.Call], ...]:
    """(method, function, call): ``F.relu``, or whatever the class calls as
    ``self.<attr>``, which each module of it must answer for."""
    if cls.__module__.startswith('torch.') or '.losses.' in cls.__module__:
        return ()
    return tuple(
        (method, ast.unparse(node.func), node)
        for method, function in methods(cls).items() if 'loss' not in method
        for node in walk(parse(function))
        if isinstance(node, ast.Call) and (
            self_path(node.func) or _is_functional(node, function)))


def _is_functional(call: ast.Call, function: types.FunctionType) -> bool:
    if isinstance(call.func, ast.Attribute) and not call.args and (
            call.func.attr in ('relu', 'relu_')):
        return True  # `x.relu()`
    names = ast.unparse(call.func).split('.')
    value = function.__globals__.get(names[0])
    for name in names[1:]:
        value = getattr(value, name, None)
    return _is_activation(value)


def _holds(module: nn.Module, name: str) -> bool:
    """Whether ``self.<attr>`` of a module is a function, not a module."""
    attr = name.removeprefix('self.')
    return _is_activation(inspect.getattr_static(module, attr, None))


def _is_activation(value: Callable | None) -> bool:
    if isinstance(value, functools.partial):
        value = value.func
    if isinstance(value, staticmethod):
        value = value.__func__
    try:
        return value in FUNCTIONS
    except TypeError:  # not hashable
        return False
