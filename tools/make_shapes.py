"""Draw a data set that the stock CocoDataset and CityscapesDataset read."""
import argparse
from pathlib import Path

from acon_mm import shapes


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        'out',
        nargs='?',
        type=Path,
        default=Path('data'),
        help='where shapes_coco/ and shapes_cityscapes/ go')
    parser.add_argument(
        '--format', choices=(*shapes.LAYOUTS, 'both'), default='both')
    parser.add_argument('--train', type=int, help='images')
    parser.add_argument('--val', type=int, help='images')
    parser.add_argument('--size', type=int, help='pixels a side')
    parser.add_argument('--seed', type=int, help='0 to 2**32 - 1')
    counts, others = shapes.DEFAULTS['counts'], shapes.DEFAULTS
    parser.set_defaults(**counts, size=others['size'], seed=others['seed'])
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace folders that this tool has written')
    return parser, parser.parse_args(argv)


def main():
    parser, args = parse_args()
    layouts = shapes.LAYOUTS if args.format == 'both' else (args.format, )
    counts = dict(train=args.train, val=args.val)
    try:
        # Both are checked before the first is written.
        for layout in layouts:
            shapes.check_settings(layout, counts, args.size, args.seed)
            shapes.check_target(args.out / f'shapes_{layout}', args.overwrite)
        for layout in layouts:
            root = args.out / f'shapes_{layout}'
            shapes.write_dataset(root, layout, counts, args.size, args.seed,
                                 args.overwrite)
            print(f'{args.train} + {args.val} images in {root}')
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
