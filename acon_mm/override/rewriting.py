"""A method after a change of its source."""
import ast
import itertools
import linecache
import types
from collections.abc import Callable

from acon_mm.override.source import parse

# what a copy of a function shares with it; the source is the copy's own
NAMES = ('__module__', '__name__', '__qualname__', '__doc__',
         '__annotations__')
_counter = itertools.count(1)


def rewrite(function: types.FunctionType,
            change: Callable[[ast.FunctionDef], None]) -> types.FunctionType:
    """The function after ``change(tree)``, with the original's closure.

    Its source is there for tracebacks, ``inspect`` and TorchScript.

    Args:
        function (FunctionType): A method with a source, of which
            :func:`can_rewrite` is true.
        change (Callable): Edits the tree of the definition in place.
    """
    inner = getattr(function, '__wrapped__', None)
    if inner is not None:
        new = rewrite(inner, change)
        changed = _copied(function, function.__code__, [
            types.CellType(new) if _holds(cell, inner) else cell
            for cell in function.__closure__ or ()])
        vars(changed)['__wrapped__'] = new
        return changed
    tree = parse.__wrapped__(function)  # one that may be changed
    change(tree)
    tree.decorator_list = []
    source = ast.unparse(ast.fix_missing_locations(tree))
    filename = f'<acon_mm {function.__qualname__} {next(_counter)}>'
    linecache.cache[filename] = (
        len(source), None, source.splitlines(keepends=True), filename)
    cells = dict(zip(function.__code__.co_freevars,
                     function.__closure__ or ()))
    code = _compile(source, filename, function.__qualname__, list(cells))
    return _copied(function, code, [cells[name] for name in code.co_freevars])


def can_rewrite(function: types.FunctionType) -> bool:
    """Whether the function that decorators have wrapped is in their
    closures, where they look for it, or there are none."""
    inner = getattr(function, '__wrapped__', None)
    return inner is None or isinstance(inner, types.FunctionType) and any(
        _holds(cell, inner) for cell in function.__closure__ or ()
    ) and can_rewrite(inner)


def _holds(cell: types.CellType, function: types.FunctionType) -> bool:
    try:
        return cell.cell_contents is function
    except ValueError:  # it is empty
        return False


def _copied(function: types.FunctionType, code: types.CodeType,
            cells: list[types.CellType]) -> types.FunctionType:
    """The function with other code and another closure."""
    changed = types.FunctionType(
        code, function.__globals__, function.__name__,
        function.__defaults__, tuple(cells) or None)
    changed.__kwdefaults__ = function.__kwdefaults__
    vars(changed).update(vars(function))
    for name in NAMES:
        setattr(changed, name, getattr(function, name))
    return changed


def _compile(source: str, filename: str, qualname: str,
             free: list[str]) -> types.CodeType:
    """Code of a method's definition inside of its class and closure."""
    definition = ast.parse(source).body[0]
    arguments = definition.args
    # evaluated once already, perhaps by names of the class's body
    arguments.defaults = []
    arguments.kw_defaults = [None] * len(arguments.kwonlyargs)
    for node in ast.walk(definition):
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
    # the class's name turns `self.__x` into `self._Name__x`
    name = f'.{qualname}'.split('.')[-2] or '_'
    attribute = definition.name
    if attribute.startswith('__') and not attribute.endswith('__'):
        attribute = f'_{name.lstrip("_")}{attribute}'
    method = ast.Attribute(ast.Name(name, ast.Load()), attribute, ast.Load())
    outer = ast.FunctionDef(
        name='outer',
        args=ast.arguments(
            posonlyargs=[], kwonlyargs=[], kw_defaults=[], defaults=[],
            args=[ast.arg(arg=variable) for variable in free]),
        # what the method does not close over it would close over here
        body=[*([] if name in free else [ast.Global([name])]),
              ast.ClassDef(name, [], [], [definition], []),
              ast.Return(method)],
        decorator_list=[])
    module = ast.fix_missing_locations(ast.Module([outer], type_ignores=[]))
    scope: dict[str, Callable] = {}
    exec(compile(module, filename, 'exec'), scope)
    return scope['outer'](*[None] * len(free)).__code__
