"""Run a tool of mmdet, mmseg or mmpretrain, whichever a config is for."""

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config


def run(name: str) -> None:
    """Hand the command line over to a tool of the config's codebase.

    Args:
        name (str): File name of the tool, such as 'train.py'.

    Raises:
        SystemExit: No config is given, or it names no installed codebase.
    """
    # the tool itself knows which words are values of its options
    configs = [word for word in sys.argv[1:] if word.endswith('.py')]
    if not configs:
        raise SystemExit(
            f'{name} of acon_mm needs a config: give the path of a .py file, '
            'and options as for the same tool of mmdet, mmseg or mmpretrain.')
    config = configs[0]
    if not Path(config).is_file():
        raise SystemExit(f'{config} is no file: give the path of a config.')
    scope = Config.fromfile(config).get('default_scope')
    if scope is None:
        raise SystemExit(
            f'{config} has no default_scope: set it to the codebase of its '
            "model, such as default_scope = 'mmdet'.")
    package = find_spec(scope)
    if package is None:
        raise SystemExit(f"{config} needs default_scope = '{scope}', which is "
                         f'not installed: pip install {scope}.')
    tools = Path(package.origin).parent / '.mim/tools'
    runpy.run_path(str(tools / name), run_name='__main__')
