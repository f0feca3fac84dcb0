"""Run a tool of mmdet, mmseg or mmpretrain, whichever a config is for."""

import runpy
import sys
from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path


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
        if {'-h', '--help'} & set(sys.argv[1:]):  # as mim asks first
            print(f'usage: {name} CONFIG [options]\n\nThe options are those '
                  f'of {name} of the codebase in default_scope of CONFIG, '
                  f'which {name} CONFIG -h prints.')
            return
        raise SystemExit(
            f'{name} of acon_mm needs a config: give the path of a .py file, '
            'and options as for the same tool of mmdet, mmseg or mmpretrain.')
    # not before: mim asks for the help first, which takes no time without
    from acon_mm.config_files import read_config
    from acon_mm.data_check import check_data
    path = configs[0]
    try:
        config = read_config(path)
        scope = config.get('default_scope')
        tool = find_tool(name, scope, path)
        if not {'-h', '--help'} & set(sys.argv[1:]):
            config.merge_from_dict(options_of(sys.argv[1:]))
            check_data(config, ('train', 'val') if name == 'train.py'
                       else ('test', ))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    runpy.run_path(str(tool), run_name='__main__')


def options_of(words: list[str]) -> dict:
    """``--cfg-options`` of a command line."""
    from acon_mm.config_files import Options
    parser = ArgumentParser(add_help=False)
    parser.add_argument('--cfg-options', nargs='+', action=Options,
                        default={})
    return parser.parse_known_args(words)[0].cfg_options


def hand_over(name: str, scope: str | None, source: str) -> None:
    """Run a tool of a codebase with this command line, see :func:`find_tool`.
    """
    runpy.run_path(str(find_tool(name, scope, source)), run_name='__main__')


def find_tool(name: str, scope: str | None, source: str) -> Path:
    """The file of a tool of a codebase.

    Args:
        name (str): File name of the tool.
        scope (str, optional): The codebase, such as 'mmdet'.
        source (str): The file that says so.

    Raises:
        SystemExit: No codebase, one that is not installed, or without it.
    """
    from acon_mm.installed import PACKAGES
    set_it = "set it to the codebase of the model, as in 'mmdet'."
    if scope is None:
        raise SystemExit(f'{source} has no default_scope: {set_it}')
    if not isinstance(scope, str) or not scope.isidentifier():
        raise SystemExit(f'default_scope = {scope!r} of {source} is no '
                         f'codebase: {set_it}')
    named = f"default_scope = '{scope}' of {source}"
    if scope == 'acon_mm':
        raise SystemExit(f'{named} is no codebase with a {name}: {set_it}')
    package = find_spec(scope)
    if package is None:
        raise SystemExit(f'{named} is not installed: pip install '
                         f'{PACKAGES.get(scope, scope)}.')
    tools = Path(package.origin or '').parent / '.mim/tools'
    found = sorted(tools.rglob(name), key=lambda path: len(path.parts))
    if not found:
        raise SystemExit(f'{named} is no codebase with a {name}: {set_it}')
    return found[0]
