"""Reading a user's config file, and the changes on a command line."""
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


class Options(DictAction):
    """``--cfg-options`` of a command line, which refuses other words."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace,
                 values: Any, option_string: str | None = None) -> None:
        for word in values:
            if '=' not in word:
                parser.error(f'{option_string} {word!r} is no KEY=VALUE: '
                             'write it as model.backbone.type=acon_mm.ResNet')
        super().__call__(parser, namespace, values, option_string)
