"""Strip a checkpoint for others: ``mim run acon_mm publish_model IN OUT``.

The codebases' own tools read the checkpoint before acon_mm can declare its
types safe, and no config tells them to import it.
"""

import sys
from pathlib import Path

import torch
from mmengine.config import Config
from stock_tool import hand_over

import acon_mm  # noqa: F401  declares what MMEngine's checkpoints hold


def main() -> None:
    """Hand over to the codebase of the config in the checkpoint."""
    files = [word for word in sys.argv[1:] if not word.startswith('-')]
    if len(files) < 2:
        raise SystemExit('usage: publish_model IN_FILE OUT_FILE [options of '
                         "publish_model of the checkpoint's codebase]")
    source = files[0]
    if not Path(source).is_file():
        raise SystemExit(f'{source} is no file: give the path of a '
                         'checkpoint.')
    meta = torch.load(source, map_location='cpu').get('meta', {})
    if 'cfg' not in meta:
        raise SystemExit(f'{source} has no config: give a checkpoint that '
                         'a training by MMEngine saved.')
    scope = Config.fromstring(meta['cfg'], '.py').get('default_scope')
    hand_over('publish_model.py', scope, source)


if __name__ == '__main__':
    main()
