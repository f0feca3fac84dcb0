"""Draw what models predict beside the ground truth.

  python tools/browse_predictions.py relu.pth acon.pth --names ReLU ACON
  mim run acon_mm browse_predictions CONFIG:CHECKPOINT --images 0 7 19

A picture is written for each image: the ground truth, then each model's
boxes, masks or segmentation. The images are those of the first model's
validation set.
"""
import argparse
import sys
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from acon_mm.browse.compare import compare
from acon_mm.browse.models import (
    build,
    parse_source,
    run_over,
    validation_loader,
)
from acon_mm.config_files import Options


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('models', nargs='+', metavar='MODEL',
        help='CHECKPOINT of a training, or CONFIG:CHECKPOINT')
    add('--names', nargs='+', help="titles (default: the files' names)")
    add('--images', nargs='+', type=int, default=[0, 1, 2, 3],
        metavar='NUMBER', help='numbers in the validation set (default: 0 to '
        '3)')
    add('--out', type=Path, default=Path('predictions'),
        help='folder of the pictures (default: predictions)')
    add('--width', type=int, default=640,
        help='pixels of each panel (default: 640)')
    add('--score-thr', type=float, default=.3,
        help='least score of a box (default: 0.3)')
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE',
        help='changes of every config, such as where the images are')
    add('--overwrite', action='store_true', help='if pictures exist')
    args = parser.parse_args()
    args.names = args.names or _names(args.models)
    if len(args.names) != len(args.models):
        parser.error(f'--names has {len(args.names)} names for '
                     f'{len(args.models)} models')
    if min(args.images) < 0:
        parser.error(f'--images {min(args.images)} must not be negative')
    if args.width < 64:
        parser.error(f'--width {args.width} must be 64 or more')
    return args


def _names(models: list[str]) -> list[str]:
    """The checkpoints' names, with their folders' where they are alike."""
    files = [Path(model.rpartition(':')[2]) for model in models]
    if len({file.stem for file in files}) == len(files):
        return [file.stem for file in files]
    return [f'{file.parent.name}/{file.stem}' for file in files]


def browse(args: argparse.Namespace) -> list[Path]:
    """Write the pictures; their files."""
    paths = [args.out / f'{number:05d}.png' for number in args.images]
    there = [path for path in paths if path.exists()]
    if there and not args.overwrite:
        raise ValueError(f'{there[0]} exists: add --overwrite to replace it, '
                         'or choose another folder with --out.')
    sources = [parse_source(model, args.cfg_options)
               for model in args.models]
    loader = validation_loader(sources[0].config, args.images)
    samples = [run_over(build(source, args.device), loader)
               for source in sources]
    args.out.mkdir(parents=True, exist_ok=True)
    for path, of_image in zip(paths, zip(*samples)):
        picture = compare(dict(zip(args.names, of_image)),
                          loader.dataset.metainfo, args.width,
                          args.score_thr)
        picture.save(path)
    return paths


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    try:
        for path in browse(args):
            print(path)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
