"""Strip a checkpoint for others: ``mim run acon_mm publish_model IN OUT``.

The codebases' own tools read the checkpoint before acon_mm can declare its
types safe, and no config tells them to import it.
"""

import ast
import os
import sys
from pathlib import Path
from pickle import UnpicklingError

import torch
from stock_tool import hand_over

# declares what MMEngine's checkpoints hold
from acon_mm.checkpoints.files import config_in, load_local

# PyTorch before 2.6 runs code that is in a checkpoint unless this is set
SAFE_LOADING = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'


def main() -> None:
    """Hand over to the codebase of the config in the checkpoint."""
    files = [word for word in sys.argv[1:] if not word.startswith('-')]
    if len(files) < 2:
        raise SystemExit('usage: publish_model IN_FILE OUT_FILE [options of '
                         "publish_model of the checkpoint's codebase]")
    source, target = map(Path, files[:2])
    if not source.is_file():
        raise SystemExit(f'{source} is no file: give the path of a '
                         'checkpoint.')
    if target.exists():
        raise SystemExit(f'{target} exists: move it away or choose another '
                         'name.')
    if not target.parent.is_dir():
        raise SystemExit(f'{target.parent} is not a folder: create it first.')
    scope = default_scope(config_of(source))
    given = SAFE_LOADING in os.environ
    # PyTorch before 2.4 cannot be told what else is safe
    if hasattr(torch.serialization, 'add_safe_globals'):
        os.environ[SAFE_LOADING] = '1'
    try:
        hand_over('publish_model.py', scope, str(source))
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        if not given:
            os.environ.pop(SAFE_LOADING, None)


def config_of(source: Path) -> str:
    """Text of the config in a checkpoint."""
    try:
        checkpoint = load_local(str(source), 'cpu')
    except ValueError as error:
        raise SystemExit(str(error)) from None
    except UnpicklingError:
        raise SystemExit(
            f'{source} holds more than the types of a checkpoint, and was not '
            'read: it may run code, take another.') from None
    text = config_in(checkpoint)
    if text is None:
        raise SystemExit(f'{source} has no config: give a checkpoint that '
                         'a training by MMEngine saved.')
    return text


def default_scope(text: str) -> str | None:
    """The scope that a config sets; whose config it is, is not known, so
    that nothing of it is run."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError):
        return None
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(
                statement.value, ast.Constant) and (
                ast.unparse(statement.targets[0]) == 'default_scope'):
            return statement.value.value
    return None


if __name__ == '__main__':
    main()
