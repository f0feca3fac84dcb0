"""Convert a released checkpoint (nmaac/acon) to the OpenMMLab layout."""
import argparse
import sys

from mmengine.config import Config
from mmengine.logging import MMLogger

from acon_mm.checkpoints import convert, load_released, save_converted


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', help='checkpoint as released')
    parser.add_argument('dst', help='file to write; must not exist')
    parser.add_argument(
        '--keep-head',
        action='store_true',
        help='keep the classifier and write a checkpoint for mmpretrain '
        '(load it with prefix="backbone." elsewhere)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    try:
        conversion = convert(load_released(args.src), args.keep_head)
        save_converted(conversion, args.dst)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    prefix = dict(prefix='backbone.') if args.keep_head else {}
    backbone = dict(
        conversion.backbone,
        init_cfg=dict(type='Pretrained', checkpoint=args.dst, **prefix))
    keys = Config(
        dict(
            model=dict(
                backbone=backbone,
                data_preprocessor=conversion.data_preprocessor)))
    print(f'{args.src} is {conversion.name}: {conversion.folded} biases '
          f'folded into norms, {conversion.flattened} parameters flattened, '
          f'head {conversion.head}.')
    print(f'Wrote {args.dst}. The config keys that go with it:\n')
    print(keys.pretty_text.strip())


if __name__ == '__main__':
    main()
