"""What the override adds to the build of a stock detector."""
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from typing import Any

from mmengine.hub import get_config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope

from .measure import clock, environment, interleave

CONFIG = 'mmdet::retinanet/retinanet_r101_fpn_1x_coco.py'

BACKBONES = {
    'ReLU': dict(type='ResNet'),
    'MetaAconC paper': dict(type='acon_mm.ResNet'),
    'MetaAconC all': dict(type='acon_mm.ResNet', placement='all'),
}


def measure_builds(warmup: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Rows of a table, one for each activation of RetinaNet-R101.

    Every build is in a process of its own, as a user's is: the override
    parses the source of the stock modules once a process.

    Args:
        warmup (int): Builds that are not counted.
        repeats (int): Builds that are.
    """
    with get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        times = interleave(
            {name: partial(pool.apply, _build, (backbone, ))
             for name, backbone in BACKBONES.items()}, warmup, repeats)
    stock = times['ReLU']['build'].median
    for name, phases in times.items():
        median, spread = phases['build']
        yield dict(
            model=CONFIG.rsplit('/', 1)[1],
            activation=name,
            ms=round(median, 1),
            spread_ms=round(spread, 1),
            added_ms=round(median - stock, 1),
            repeats=repeats,
            **environment('cpu'))


def _build(backbone: dict) -> dict[str, float]:
    """Milliseconds of the second build, whose imports are done."""
    init_default_scope('mmdet')
    config = get_config(CONFIG).model
    config.backbone.init_cfg = None
    ROOT_MODELS.build(config)
    config.backbone.update(backbone)
    return dict(build=clock(lambda: ROOT_MODELS.build(config), 'cpu')[1])
