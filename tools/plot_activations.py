"""Draw what the activations of a model have learned.

  python tools/plot_activations.py CHECKPOINT
  python tools/plot_activations.py CONFIG:CHECKPOINT --before CONFIG
  mim run acon_mm plot_activations CHECKPOINT --out pictures

The model is run over some of its validation images, so that each function is
drawn over the inputs that it gets. Three pictures are written, each as PNG
and SVG: curves, derivatives and beta.
"""
import argparse
import fnmatch
import sys
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from acon_mm.browse.models import (
    Source,
    build,
    parse_source,
    run_over,
    validation_loader,
)
from acon_mm.config_files import Options
from acon_mm.learned.pictures import (
    MOST_PANELS,
    draw_betas,
    draw_curves,
    draw_slopes,
    save,
)
from acon_mm.learned.record import Layer, Recorder

PICTURES = dict(curves=(draw_curves, 'learned functions'),
                derivatives=(draw_slopes, 'first derivatives'),
                beta=(draw_betas, 'beta'))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('model', help='CHECKPOINT of a training, CONFIG or '
        'CONFIG:CHECKPOINT')
    add('--before', metavar='MODEL', help='what to draw beside it (default: '
        'the same model before training)')
    add('--out', type=Path, default=Path('activations'),
        help='folder of the pictures (default: activations)')
    add('--num-images', type=int, default=16,
        help='validation images to run (default: 16)')
    add('--layers', nargs='+', default=['*'], metavar='PATTERN',
        help="which activations, such as 'backbone.layer4.*'")
    add('--formats', nargs='+', choices=('png', 'svg'),
        default=['png', 'svg'])
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE',
        help='changes of the config, such as where the images are')
    add('--overwrite', action='store_true', help='if pictures exist')
    args = parser.parse_args()
    if args.num_images < 1:
        parser.error(f'--num-images {args.num_images} must be positive')
    return args


def record(source: Source, args: argparse.Namespace) -> dict[str, Layer]:
    """The chosen activations, run over the images.

    Raises:
        ValueError: There are none.
    """
    model = build(source, args.device)
    loader = validation_loader(source.config, args.num_images)
    recorder = Recorder(model)
    if not recorder.activations:
        raise ValueError(f'{args.model} has no AconA, AconB, AconC or '
                         'MetaAconC: give a model with an override.')
    run_over(model, loader)
    layers = recorder.close()
    chosen = {path: layer for path, layer in layers.items()
              if any(fnmatch.fnmatchcase(path, p) for p in args.layers)}
    if not chosen:
        raise ValueError(f'--layers {" ".join(args.layers)} fits none of '
                         f'{", ".join(layers)}.')
    return {path: layer for path, layer in chosen.items()
            if len(layer.inputs)}


def plot(args: argparse.Namespace) -> list[Path]:
    """Write the pictures; their files."""
    there = [path for path in args.out.glob('*')
             if path.stem.split('-')[0] in PICTURES]
    if there and not args.overwrite:
        raise ValueError(f'{there[0]} exists: add --overwrite to replace it, '
                         'or choose another folder with --out.')
    source = parse_source(args.model, args.cfg_options)
    start = (parse_source(args.before, args.cfg_options) if args.before
             else Source(source.config, None))
    layers = record(source, args)
    before = None
    if source.checkpoint or args.before:
        before = record(start, args)
        if before.keys() != layers.keys():
            raise ValueError(f'--before {args.before} has other activations '
                             f'than {args.model}: give the same network.')
    name = (source.checkpoint or Path(source.config.filename)).name
    args.out.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, (draw, title) in PICTURES.items():
        parts = [layers] if kind == 'beta' else list(_pages(layers))
        for number, part in enumerate(parts, 1):
            stem = kind if len(parts) == 1 else f'{kind}-{number}'
            figure = draw(part, f'{name}: {title}', before)
            written += save(figure, args.out / stem, args.formats)
    return written


def _pages(layers: dict[str, Layer]):
    paths = list(layers)
    for first in range(0, len(paths), MOST_PANELS):
        yield {path: layers[path]
               for path in paths[first:first + MOST_PANELS]}


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    try:
        for path in plot(args):
            print(path)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
