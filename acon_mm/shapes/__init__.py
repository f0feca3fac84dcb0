"""Drawn images: a data set in seconds, to try a model where there is no data.

Shapes of six classes lie on a textured background and partly hide each other.
The pixels and the annotations depend on the seed alone, not on the machine,
the number of processes or the version of a library: every number comes from
the frozen generator of :class:`numpy.random.RandomState`, and every pixel from
integer arithmetic. The folders are read by mmdet's ``CocoDataset`` and
mmseg's ``CityscapesDataset`` as they are.
"""
from .annotations import IGNORED, polygons, train_ids
from .drawing import CLASSES, SPLITS, draw
from .folders import (
    DEFAULTS,
    LAYOUTS,
    check_settings,
    check_target,
    read_settings,
    write_dataset,
)

__all__ = [
    'CLASSES', 'DEFAULTS', 'IGNORED', 'LAYOUTS', 'SPLITS', 'check_settings',
    'check_target', 'draw', 'polygons', 'read_settings', 'train_ids',
    'write_dataset'
]
