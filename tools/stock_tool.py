"""Run a tool of mmdet, mmseg or mmpretrain, whichever a config is for."""

import argparse
import runpy
from importlib import import_module
from pathlib import Path

from mmengine.config import Config


def run(name: str) -> None:
    """Hand the command line over to a tool of the config's codebase.

    Args:
        name (str): File name of the tool, such as 'train.py'.
    """
    parser = argparse.ArgumentParser(
        description=f'Run {name} of mmdet, mmseg or mmpretrain, whichever the '
        "config's default_scope names.",
        epilog='Every other option is one of that tool: see `mim train mmdet '
        '-h` and the like.')
    parser.add_argument('config', help='path of a config')
    config = parser.parse_known_args()[0].config
    scope = Config.fromfile(config).get('default_scope')
    if scope is None:
        parser.error(f'{config} has no default_scope: set it to the codebase '
                     "of its model, such as default_scope = 'mmdet'")
    package = Path(import_module(scope).__file__).parent
    runpy.run_path(str(package / '.mim/tools' / name), run_name='__main__')
