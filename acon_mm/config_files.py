"""Reading a user's config, and the changes on a command line."""
import ast
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction


def read_config(path: str | Path) -> Config:
    """The config of a .py, .json or .yml file, which is run if it is Python.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path} is no file: give the path of a '
                                'config.')
    try:
        return Config.fromfile(path)
    except Exception as error:  # it is code
        reason = str(error).strip().split('\n')[0].rstrip('.')
        raise ValueError(
            f'{path} cannot be read as a config ({type(error).__name__}: '
            f'{reason}): correct it, or give another.') from error


def read_dumped_config(text: str) -> Config:
    """The config that a checkpoint holds, of which nothing is run.

    Args:
        text (str): As MMEngine dumps it: ``name = value`` over and over, of
            literals and ``dict(...)``.

    Raises:
        ValueError: It holds anything else.
    """
    values = {}
    try:
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign):
                raise ValueError(f'line {statement.lineno} is no assignment')
            name, = statement.targets
            values[ast.unparse(name)] = ast.literal_eval(
                _Dicts().visit(statement.value))
    except (SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f'a config with code in it ({error})') from error
    return Config(values)


class _Dicts(ast.NodeTransformer):
    """Writes ``dict(a=1)`` as ``{'a': 1}``."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if ast.unparse(node.func) != 'dict' or node.args or any(
                keyword.arg is None for keyword in node.keywords):
            return node
        return ast.Dict([ast.Constant(k.arg) for k in node.keywords],
                        [k.value for k in node.keywords])


class Options(DictAction):
    """``--cfg-options`` of a command line, which refuses other words."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace,
                 values: Any, option_string: str | None = None) -> None:
        for word in values:
            if '=' not in word:
                parser.error(f'{option_string} {word!r} is no KEY=VALUE: '
                             'write it as model.backbone.type=acon_mm.ResNet')
        super().__call__(parser, namespace, values, option_string)
