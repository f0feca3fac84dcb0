"""Several models' predictions on an image, beside the ground truth."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement
from PIL import Image

from acon_mm.browse.panels import (
    WIDTH,
    beside,
    draw_prediction,
    draw_truth,
    palette_of,
)


def compare(samples: Mapping[str, BaseDataElement], meta: Mapping[str, Any],
            width: int = WIDTH, threshold: float = .3) -> Image.Image:
    """Draw the ground truth, then each model's prediction.

    Args:
        samples (Mapping[str, BaseDataElement]): Of one image, by the name of
            the model.
        meta (Mapping): ``classes`` and perhaps ``palette``.
        width (int): Pixels of a panel. Defaults to 640.
        threshold (float): Least score of a box. Defaults to 0.3.

    Raises:
        ValueError: The samples have no boxes, masks or segmentation.
    """
    first = next(iter(samples.values()))
    if not {'pred_instances', 'pred_sem_seg'} & {*first.keys()}:
        raise ValueError(
            f'A {type(first).__name__} has no boxes, masks or segmentation '
            'to draw: give models of MMDetection or MMSegmentation.')
    panels, titles = [], []
    if {'gt_instances', 'gt_sem_seg'} & {*first.keys()}:
        panels.append(draw_truth(first, meta, width))
        titles.append('ground truth')
    for name, sample in samples.items():
        panels.append(draw_prediction(sample, meta, width, threshold))
        titles.append(name)
    return beside(panels, titles, _legend(samples.values(), meta))


def _legend(samples: Sequence[BaseDataElement], meta: Mapping[str, Any]
            ) -> list[tuple[str, Sequence[int]]]:
    """The classes that a segmentation shows."""
    present = set()
    for sample in samples:
        for kind in ('gt_sem_seg', 'pred_sem_seg'):
            if kind in sample:
                ids = sample.get(kind).data.cpu().numpy()
                present |= {*np.unique(ids).tolist()}
    palette = palette_of(meta)
    return [(meta['classes'][i], palette[i]) for i in sorted(present)
            if i < len(palette)]
