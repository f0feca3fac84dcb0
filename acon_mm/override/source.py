"""The source of a method, parsed, and where in it a frame is."""
import ast
import functools
import inspect
import types
from collections.abc import Iterator

import torch.nn as nn
from executing import Source

from acon_mm.override.kinds import FUNCTION_NAMES


@functools.cache
def parse(function: types.FunctionType) -> ast.FunctionDef | None:
    """The function's tree (not to be changed), None without source."""
    try:
        lines, first = inspect.getsourcelines(function)
        # no dedent(): comments and texts in it may begin at the margin
        inner = lines[0][:1].isspace()
        module = ast.parse('if 1:\n' * inner + ''.join(lines))
    except (OSError, TypeError, SyntaxError):
        return None
    ast.increment_lineno(module, first - 1 - inner)
    definition = module.body[0].body[0] if inner else module.body[0]
    if not isinstance(definition, ast.FunctionDef):
        return None
    set_parents(definition)
    return definition


@functools.cache
def method_with(cls: type[nn.Module],
                code: types.CodeType) -> types.FunctionType | None:
    """The method of ``cls`` that ``code`` belongs to, inner functions and
    what decorators wrap too; None if it is that of several."""
    for klass in cls.__mro__:
        if klass in (nn.Module, object):
            break
        found = {value for value in vars(klass).values()
                 if isinstance(value, types.FunctionType)
                 and any(_contains(one.__code__, code)
                         for one in {value, inspect.unwrap(value)})}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


@functools.cache
def names_of(cls: type[nn.Module], method: types.FunctionType) -> list[str]:
    """Names under which ``cls`` runs a method; none if only ``super()``
    reaches it or a decorator does."""
    return [name for name in dir(cls)
            if inspect.getattr_static(cls, name) is method]


@functools.cache
def home_of(cls: type[nn.Module], method: types.FunctionType,
            ) -> tuple[str, str] | None:
    """Which base has a method, '' if ``cls`` itself runs it, and a name.

    None if a decorator alone reaches it.
    """
    for name in names_of(cls, method):
        return '', name
    return next(((full_name(base), name) for base in cls.__mro__
                 for name in names_of(base, method)), None)


@functools.cache
def names_itself(cls: type[nn.Module]) -> bool:
    """Whether a method says ``super(self.__class__, self)``, which never
    ends in a subclass."""
    return any(
        isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'super'
        and node.args and (
            getattr(node.args[0], 'attr', '') == '__class__'
            or isinstance(node.args[0], ast.Call))
        for name, method in methods_of(cls).items() if name != '__init__'
        and 'super' in method.__code__.co_names
        for node in nodes_of(method))


def base_called(cls: type, home: str) -> type:
    """The first base of a class that has a :func:`full_name`."""
    return next(base for base in cls.__mro__ if full_name(base) == home)


def full_name(cls: type) -> str:
    """With its module."""
    return f'{cls.__module__}.{cls.__qualname__}'


def is_taken(module: nn.Module, name: str) -> bool:
    """Whether a module has an attribute, or its code gives it one."""
    return (name in vars(module) or name in module._modules
            or name in module._parameters or name in module._buffers
            or name in _names_in_code(type(module)))


@functools.cache
def _names_in_code(cls: type) -> set[str]:
    """Attributes of a class, and what its methods call by name."""
    methods = [value for klass in cls.__mro__ if klass is not nn.Module
               for value in vars(klass).values()
               if isinstance(value, types.FunctionType)]
    return {*dir(cls), *(
        name for method in methods for name in method.__code__.co_names)}


@functools.cache
def nodes_of(function: types.FunctionType) -> list[ast.AST]:
    """The nodes of :func:`parse`'s tree in the order of ``ast.walk``."""
    tree = parse(function)
    return [] if tree is None else list(ast.walk(tree))


def call_index(method: types.FunctionType,
               place: types.TracebackType) -> int | None:
    """Which of a method's nodes the call at a place is.

    Args:
        method (FunctionType): The method that the place is in.
        place (TracebackType): A frame and the instruction in it.

    Returns:
        int, optional: Position in :func:`nodes_of`; None if the instruction
        is no call, or its source is not to be had.
    """
    key = method, place.tb_frame.f_code, place.tb_lasti
    if key not in _indices:
        _indices[key] = _call_index(method, place)
    return _indices[key]


_indices: dict[tuple, int | None] = {}


def _call_index(method: types.FunctionType,
                place: types.TracebackType) -> int | None:
    tree = parse(method)
    try:
        call = Source.executing(place).node
    except Exception:  # of a source that changed since it was imported
        call = None
    if tree is None or not isinstance(call, ast.Call):
        return None
    around: ast.AST = call
    line = inspect.unwrap(method).__code__.co_firstlineno
    while not (isinstance(around, ast.FunctionDef)
               and around.name == tree.name and line == min(
                   one.lineno for one in (around, *around.decorator_list))):
        around = getattr(around, 'parent', None)
        if around is None:
            return None
    index = next(i for i, n in enumerate(ast.walk(around)) if n is call)
    same = nodes_of(method)[index:index + 1]
    return index if same and ast.dump(same[0]) == ast.dump(call) else None


@functools.cache
def methods_of(cls: type[nn.Module]) -> dict[str, types.FunctionType]:
    """Those that are not PyTorch's, by name."""
    return {name: value for klass in reversed(cls.__mro__)
            if not klass.__module__.startswith('torch.')
            for name, value in vars(klass).items()
            if isinstance(value, types.FunctionType)}


@functools.cache
def function_calls(method: types.FunctionType) -> dict[int, str]:
    """Activations that a method calls as functions, by their node."""
    found = {}
    for index, node in enumerate(nodes_of(method)):
        if isinstance(node, ast.Call):
            called = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
            owner = getattr(node.func, 'value', None)
            if called in FUNCTION_NAMES and attribute_path(owner) is None:
                found[index] = called
    return found


@functools.cache
def attribute_calls(method: types.FunctionType) -> dict[int, str]:
    """Attributes of ``self`` that a method calls, by their node."""
    tree = parse(method)
    arguments = tree and tree.args.posonlyargs + tree.args.args
    return {index: path for index, node in enumerate(nodes_of(method))
            if arguments and isinstance(node, ast.Call)
            and (path := attribute_path(node.func, arguments[0].arg))}


def set_parents(tree: ast.AST) -> None:
    """Give each node below ``tree`` its ``parent``."""
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            child.parent = node


def parents(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes around ``node``, the nearest first."""
    while hasattr(node, 'parent'):
        node = node.parent
        yield node


def attribute_path(node: ast.AST | None, root: str = 'self') -> str | None:
    """``'a.b'`` of ``self.a.b``."""
    if isinstance(node, ast.Name):
        return '' if node.id == root else None
    if not isinstance(node, ast.Attribute):
        return None
    base = attribute_path(node.value, root)
    return None if base is None else f'{base}.{node.attr}'.lstrip('.')


def _contains(code: types.CodeType, other: types.CodeType) -> bool:
    return code is other or any(
        _contains(constant, other) for constant in code.co_consts
        if isinstance(constant, types.CodeType))
