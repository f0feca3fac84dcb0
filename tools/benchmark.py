"""Measure the speed and the memory of ACON beside what it replaces.

  python tools/benchmark.py op                 the activation alone
  python tools/benchmark.py model              training steps of stock models
  python tools/benchmark.py build              building RetinaNet-R101
  python tools/benchmark.py hook               AconStatsHook in a training
  python tools/benchmark.py draw FILE.csv      the chart of a table again
  python tools/benchmark.py summary            the page of the tables again
  python tools/benchmark.py required           what a GPU's tables must show

The first four write a table (CSV) to docs/benchmarks, the first two its
chart (PNG) beside it. The last one ends with 1 unless all is reached.
"""
import argparse
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from acon_mm.benchmark import (
    Subject,
    draw,
    judge,
    measure_builds,
    measure_hook,
    measure_models,
    measure_op,
    show,
    summarize,
    write_rows,
)

FOLDER = Path('docs/benchmarks')
PAGE = FOLDER / 'README.md'
SHAPES = dict(
    cpu=('2,256,100,168', '2,64,200,336', '8,128,64,64', '2,512,13,21',
         '2,256'),
    cuda=('16,256,128,256', '32,64,256,256', '16,256,100,168', '2,512,13,21'))
IMAGES = dict(
    cpu=dict(retinanet='128,128', pspnet='128,128'),
    cuda=dict(retinanet='800,1344', pspnet='512,1024'))
STEPS = dict(model=measure_models, hook=measure_hook)
DTYPES = ('float32', 'bfloat16', 'float16')
SHOWN = ('function', 'shape', 'phase', 'activation', 'ms', 'spread_ms',
         'over_silu', 'gb_per_s', 'over_relu', 'saved_over_relu',
         'peak_over_relu', 'added_ms', 'record_ms', 'picture_ms', 'percent')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest='mode', required=True)
    op, model = modes.add_parser('op'), modes.add_parser('model')
    build, hook = modes.add_parser('build'), modes.add_parser('hook')
    build.set_defaults(device='cpu')
    for mode in (op, model, hook):
        mode.add_argument(
            '--device',
            choices=('cpu', 'cuda'),
            default='cuda' if torch.cuda.is_available() else 'cpu')
    for mode in (op, model, build, hook):
        mode.add_argument('--warmup', type=count, default=3)
        mode.add_argument('--repeats', type=positive, default=15)
        mode.add_argument('--out', type=Path, help='the CSV file to write')
        mode.add_argument(
            '--overwrite', action='store_true', help='if the file exists')
    op.add_argument(
        '--shapes', nargs='+', type=sizes, help='such as 2,256,100,168')
    for mode in (op, model):
        mode.add_argument('--dtype', choices=DTYPES, default='float32')
    op.add_argument('--channels-last', action='store_true')
    for mode in (model, hook):
        mode.add_argument('--image', type=image, help='height,width')
        mode.add_argument('--batch', type=positive, default=2)
    model.add_argument(
        '--models', nargs='+', choices=IMAGES['cpu'],
        default=list(IMAGES['cpu']))
    hook.set_defaults(models=['retinanet'], dtype='float32')
    modes.add_parser('draw').add_argument('table', type=Path)
    modes.add_parser('summary')
    required = modes.add_parser('required')
    required.add_argument('--folder', type=Path, default=FOLDER,
                          help='of the tables')
    required.add_argument('--training', type=Path,
                          help='work folder of a run by mim')
    return parser.parse_args()


def sizes(text: str) -> tuple[int, ...]:
    """``'2,256'`` as a shape."""
    try:
        shape = tuple(map(int, text.split(',')))
    except ValueError:
        shape = ()
    if min(shape, default=0) < 1:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no shape: give positive integers, as 2,256,100,168')
    return shape


def image(text: str) -> tuple[int, ...]:
    """``'320,320'`` as height and width."""
    if len(sizes(text)) != 2:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no image: give height and width, as 320,320')
    return sizes(text)


def count(text: str) -> int:
    """An integer of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f'{text!r} must be a whole number of at least 0')
    return int(text)


def positive(text: str) -> int:
    """An integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f'{text!r} must be a whole number of at least 1')
    return int(text)


def output(args: argparse.Namespace) -> Path:
    """Where the table goes; refuses a file that is there."""
    details = [args.mode, args.device]
    if args.mode == 'op' or args.mode == 'model' and args.dtype != 'float32':
        details.append(args.dtype)
    if args.mode == 'op' and args.channels_last:
        details.append('channels_last')
    path = args.out or FOLDER / f'{"-".join(details)}.csv'
    if path.exists() and not args.overwrite:
        raise SystemExit(f'{path} exists: add --overwrite to replace it, or '
                         'choose another file with --out.')
    return path


def measure(args: argparse.Namespace) -> list[dict]:
    if args.mode == 'build':
        return list(measure_builds(args.warmup, args.repeats))
    if args.mode in STEPS:
        rows = []
        for name in args.models:
            size = args.image or sizes(IMAGES[args.device][name])
            subject = Subject(name, size, args.batch,
                              getattr(torch, args.dtype), args.device)
            rows += STEPS[args.mode](subject, args.warmup, args.repeats)
        return rows
    shapes = args.shapes or [sizes(text) for text in SHAPES[args.device]]
    return list(
        measure_op(shapes, getattr(torch, args.dtype), args.channels_last,
                   args.device, args.warmup, args.repeats))


def show_rows(rows: list[dict]) -> None:
    table = Table(*(key for key in SHOWN if key in rows[0]))
    for row in rows:
        table.add_row(*(str(row[key]) for key in SHOWN if key in row))
    Console().print(table)


def main() -> None:
    args = parse_args()
    try:
        if args.mode == 'draw':
            print(draw(args.table))
            return
        if args.mode == 'summary':
            summarize(FOLDER, PAGE)
            print(PAGE)
            return
        if args.mode == 'required':
            raise SystemExit(
                0 if show(judge(args.folder, args.training)) else 1)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    path = output(args)
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise SystemExit('--device cuda needs a CUDA device, and there is '
                         'none: use --device cpu.')
    with Console().status('Measuring, the machine should be quiet'):
        rows = measure(args)
    write_rows(rows, path)
    show_rows(rows)
    print(f'written: {path}')
    if args.mode in ('op', 'model'):
        print(f'written: {draw(path)}')


if __name__ == '__main__':
    main()
