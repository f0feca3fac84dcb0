"""Which layers a value in a method came through, read from the source."""
import ast

from acon_mm.override.source import parents, self_path

# functions and tensor methods that keep the channels as they are
TRANSPARENT = frozenset((
    'interpolate', 'resize', 'dropout', 'dropout2d', 'avg_pool2d',
    'max_pool2d', 'adaptive_avg_pool2d', 'relu', 'relu_', 'gelu', 'silu',
    'clone', 'contiguous', 'checkpoint'))
# a function's positional argument that holds the value
VALUE_ARGUMENT = {'checkpoint': 1}


def layers_behind(tree: ast.FunctionDef, value: ast.AST | None,
                  line: int) -> tuple[str, ...]:
    """Paths of the layers that ``value`` came through, the last first.

    An addition keeps the width, so one operand answers for both. What comes
    from anything but layers of ``self`` ends the chain.

    Args:
        tree (ast.FunctionDef): The method.
        value (ast.AST, optional): An expression in it.
        line (int): Its line.

    Returns:
        tuple[str]: As :func:`acon_mm.override.source.self_path` writes them.
    """
    bindings = [b for b in _bindings(tree) if b[0] < line]
    return _behind(value, bindings, _inner_results(tree))


def _behind(value: ast.AST | None, bindings: list,
            inner: dict[str, ast.AST]) -> tuple[str, ...]:
    """The chain of ``value``, by the bindings made before it."""
    layers: list[str] = []
    while value is not None:
        if isinstance(value, ast.Call):
            layer = _layer(value.func, bindings)
            if layer:
                layers.append(layer)
                value = value.args[0] if value.args else None
            else:
                value = _through_function(value, inner)
        elif isinstance(value, ast.BinOp) and not isinstance(
                value.op, ast.MatMult):
            operands = (_behind(side, list(bindings), inner)
                        for side in (value.left, value.right))
            return tuple(layers) + next(filter(None, operands), ())
        elif isinstance(value, (ast.ListComp, ast.GeneratorExp)):
            value = value.elt
        elif isinstance(value, ast.Name):
            value = _comprehended(value) or _last_value(bindings, value.id)
        else:
            break
    return tuple(layers)


def returned_layers(tree: ast.FunctionDef) -> tuple[str, ...]:
    """Paths of the layers behind what the method returns last."""
    returns = [
        node for node in ast.walk(tree) if isinstance(node, ast.Return)
        and next(p for p in parents(node)
                 if isinstance(p, ast.FunctionDef)) is tree
    ]
    if not returns:
        return ()
    last = max(returns, key=lambda node: node.lineno)
    return layers_behind(tree, last.value, last.lineno)


def _bindings(tree: ast.FunctionDef) -> list[tuple[int, str, ast.AST]]:
    """(line, name, value) of assignments and loops, in order."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            pairs = _pairs(node.targets[0], node.value)
        elif isinstance(node, ast.For):
            pairs = _looped(node.target, node.iter)
        else:
            continue
        found += [(node.lineno, name, value) for name, value in pairs]
    return sorted(found, key=lambda binding: binding[0])


def _pairs(target: ast.AST, value: ast.AST) -> list[tuple[str, ast.AST]]:
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    if isinstance(target, ast.Tuple):
        values = (value.elts if isinstance(value, ast.Tuple) else
                  [ast.Constant(None)] * len(target.elts))
        return [p for t, v in zip(target.elts, values) for p in _pairs(t, v)]
    return []


def _looped(target: ast.AST, iterable: ast.AST) -> list:
    """Loop variables and the lists that they are elements of."""
    name = getattr(getattr(iterable, 'func', None), 'id', None)
    if name == 'zip' and isinstance(target, ast.Tuple):
        return [p for t, v in zip(target.elts, iterable.args)
                for p in _looped(t, v)]
    if name == 'enumerate' and isinstance(target, ast.Tuple):
        return _looped(target.elts[-1], iterable.args[0])
    return _pairs(target, iterable)


def _layer(func: ast.AST, bindings: list) -> str | None:
    """The path of a called layer: of ``self``, or a local name for one."""
    if isinstance(func, ast.Name):
        bound = [value for _, name, value in bindings if name == func.id]
        return self_path(bound[-1]) if bound else None
    return self_path(func)


def _through_function(call: ast.Call, inner: dict) -> ast.AST | None:
    """The argument whose channels the function keeps, None if unknown."""
    # `cp.checkpoint(_inner_forward, x)`, `_inner_forward(x)`
    names = {n.id for n in ast.walk(call) if isinstance(n, ast.Name)}
    for name in names & set(inner):
        return inner[name]
    name = getattr(call.func, 'attr', getattr(call.func, 'id', None))
    if name not in TRANSPARENT:
        return None
    index = VALUE_ARGUMENT.get(name, 0)
    if len(call.args) > index:
        return call.args[index]
    return getattr(call.func, 'value', None)


def _inner_results(tree: ast.FunctionDef) -> dict[str, ast.AST]:
    """What the functions defined inside ``tree`` return, by their names."""
    return {
        node.name: node.body[-1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node is not tree
        and isinstance(node.body[-1], ast.Return)
    }


def _comprehended(name: ast.Name) -> ast.AST | None:
    """The list that a comprehension's variable is an element of."""
    for node in parents(name):
        for generator in getattr(node, 'generators', ()):
            for variable, value in _looped(generator.target, generator.iter):
                if variable == name.id:
                    return value
    return None


def _last_value(bindings: list, name: str) -> ast.AST | None:
    """Pop the last binding of ``name`` and all after it."""
    while bindings:
        _, bound, value = bindings.pop()
        if bound == name:
            return value
    return None
