"""Check the override of a config beside its stock model.

  python tools/check_override.py CONFIG
  mim run acon_mm check_override CONFIG --cfg-options \
      model.backbone.type=acon_mm.ResNet

Both models are built on the same random weights and run on drawn images. The
exit code is 0 if nothing but the activations changed: each computes what it
replaced where ACON can, what still runs beside them is listed, and a
training step gives every new parameter a gradient.
"""
import argparse
import sys
import warnings

from mmengine.logging import MMLogger

from acon_mm.check.config import load_model
from acon_mm.check.override import check_override
from acon_mm.check.report import show
from acon_mm.config_files import Options


def main() -> None:
    args = parse_args()
    warnings.simplefilter('ignore')
    MMLogger.get_current_instance().setLevel('ERROR')
    try:
        model = load_model(args.config, args.cfg_options or {})
        finding = check_override(model)
    except (KeyError, ImportError, TypeError, ValueError) as error:
        raise SystemExit(error.args[0]) from None

    show(args.config, finding)
    sys.exit(bool(finding.problems))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0])
    parser.add_argument('config', help='a file, or mmdet::PATH for a config '
                        'that mmdet ships')
    parser.add_argument('--cfg-options', nargs='+', action=Options,
                        metavar='KEY=VALUE',
                        help='changes of the config, as for training')
    return parser.parse_args()


if __name__ == '__main__':
    main()
