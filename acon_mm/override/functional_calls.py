"""Activations that a model calls as functions, which no swap can reach."""
import ast
import functools

import torch.nn as nn

from acon_mm.override.call_sites import conditions_of, runs
from acon_mm.override.seated import stock_class
from acon_mm.override.source import methods, parse

FUNCTIONS = frozenset((
    'relu', 'relu_', 'relu6', 'leaky_relu', 'leaky_relu_', 'prelu', 'rrelu',
    'rrelu_', 'elu', 'elu_', 'celu', 'selu', 'gelu', 'silu', 'mish',
    'hardswish'))


def functional_calls(model: nn.Module) -> list[tuple[str, str]]:
    """Calls such as ``F.relu(x)`` in the code of a model's modules.

    Args:
        model (nn.Module): A built model or a part of one.

    Returns:
        list[tuple[str, str]]: The path of the method, ``'neck.forward'``,
        and the function, ``'F.relu'``; those under a condition that the
        module does not meet are left out, and so are losses.
    """
    found = []
    for path, module in model.named_modules():
        for method, name, conditions in _calls(stock_class(type(module))):
            if runs(module, conditions):
                found.append((f'{path}.{method}' if path else method, name))
    return found


@functools.cache
def _calls(cls: type[nn.Module]) -> tuple:
    if cls.__module__.startswith('torch.') or '.losses.' in cls.__module__:
        return ()
    return tuple(
        (method, ast.unparse(node.func), tuple(conditions_of(node)))
        for method, function in methods(cls).items() if 'loss' not in method
        for node in ast.walk(parse(function) or ast.Module([], []))
        if _is_functional(node))


def _is_functional(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(
            node.func, ast.Attribute) or node.func.attr not in FUNCTIONS:
        return False
    base = ast.unparse(node.func.value)
    if base in ('F', 'torch', 'nn.functional', 'torch.nn.functional'):
        return True
    # `x.relu()`, but not the module `self.relu(x)`
    return not node.args and node.func.attr in ('relu', 'relu_')
