"""Boxes, masks and segmentations drawn so that labels can be read."""
from collections.abc import Mapping, Sequence
from typing import Any

import mmcv
import numpy as np
import torch
from matplotlib import font_manager
from mmengine.structures import BaseDataElement, InstanceData
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw, ImageFont

from acon_mm.palette import COLOURS

# pixels: of a panel, and of what is written above and below it
WIDTH, STRIP, LETTERS = 640, 44, 26
LABEL = 13  # points
MOST_INSTANCES = 20


def draw_truth(sample: BaseDataElement, meta: Mapping[str, Any],
               width: int = WIDTH) -> np.ndarray:
    """The image with its annotations.

    Args:
        sample (BaseDataElement): Of MMDetection or MMSegmentation.
        meta (Mapping): ``classes`` and perhaps ``palette``.
        width (int): Of the result, to which the image is scaled first.

    Returns:
        np.ndarray: RGB, (H, width, 3), uint8.
    """
    return _draw(sample, 'gt', meta, width, 0.)


def draw_prediction(sample: BaseDataElement, meta: Mapping[str, Any],
                    width: int = WIDTH, threshold: float = .3) -> np.ndarray:
    """The image with what was predicted.

    Args:
        sample, meta, width: As of :func:`draw_truth`.
        threshold (float): Least score of a box.
    """
    return _draw(sample, 'pred', meta, width, threshold)


def _draw(sample: BaseDataElement, kind: str, meta: Mapping[str, Any],
          width: int, threshold: float) -> np.ndarray:
    image = mmcv.imread(sample.img_path, channel_order='rgb')
    factor = width / image.shape[1]
    size = width, round(factor * image.shape[0])
    image = mmcv.imresize(image, size, interpolation='bicubic'
                          if factor > 1 else 'area')
    if f'{kind}_sem_seg' in sample:
        # its own colours would change those of the classes
        image = mmcv.gray2rgb(mmcv.rgb2gray(image))
    visualizer = Visualizer(image=image)
    if f'{kind}_sem_seg' in sample:
        ids = sample.get(f'{kind}_sem_seg').data[0].cpu().numpy()
        _draw_classes(visualizer, ids, size, palette_of(meta))
    if f'{kind}_instances' in sample:
        instances = sample.get(f'{kind}_instances').cpu().numpy()
        if 'masks' not in sample.get('pred_instances', instances):
            # tints of the truth alone would look like another image
            instances.pop('masks', None)
        _draw_instances(visualizer, instances, factor, size, meta, threshold)
    drawn = visualizer.get_image()
    visualizer.close()
    return drawn


def _draw_classes(visualizer: Visualizer, ids: np.ndarray,
                  size: tuple[int, int], palette: Sequence) -> None:
    ids = mmcv.imresize(ids.astype(np.uint8), size, interpolation='nearest')
    present = [i for i in np.unique(ids) if i < len(palette)]
    if present:  # all may be ignored
        visualizer.draw_binary_masks(
            np.stack([ids == i for i in present]),
            colors=[tuple(palette[i]) for i in present], alphas=.6)


def _draw_instances(visualizer: Visualizer, instances: InstanceData,
                    factor: float, size: tuple[int, int],
                    meta: Mapping[str, Any], threshold: float) -> None:
    if 'scores' in instances:
        instances = instances[instances.scores >= threshold]
        instances = instances[np.argsort(-instances.scores)][:MOST_INSTANCES]
    if not len(instances):
        return
    palette = palette_of(meta)
    colours = [tuple(palette[label]) for label in instances.labels]
    if 'masks' in instances:
        masks = getattr(instances.masks, 'masks', instances.masks)
        visualizer.draw_binary_masks(
            np.stack([mmcv.imresize(mask.astype(np.uint8), size,
                                    interpolation='nearest').astype(bool)
                      for mask in masks]), colors=colours, alphas=.5)
    boxes = factor * np.asarray(instances.bboxes, np.float32)
    visualizer.draw_bboxes(torch.as_tensor(boxes), edge_colors=colours,
                           line_widths=1.5)
    texts = [meta['classes'][label] for label in instances.labels]
    if 'scores' in instances:
        texts = [f'{text} {score:.2f}'
                 for text, score in zip(texts, instances.scores)]
    # inside the image, also where the box leaves it
    corners = boxes[:, :2].clip(0, (size[0] - 90, size[1] - 24))
    visualizer.draw_texts(
        texts, torch.as_tensor(corners), font_sizes=LABEL, colors='white',
        bboxes=dict(facecolor='black', alpha=.65, pad=1, edgecolor='none'))


def palette_of(meta: Mapping[str, Any]) -> list[Sequence[int]]:
    """A colour for each class, RGB from 0 to 255; its own if it has any."""
    palette = meta.get('palette')
    if palette:
        return palette
    colours = [tuple(bytes.fromhex(colour[1:])) for colour in COLOURS[1:]]
    return [colours[i % len(colours)] for i in range(len(meta['classes']))]


def beside(panels: Sequence[np.ndarray], titles: Sequence[str],
           legend: Sequence[tuple[str, Sequence[int]]] = ()) -> Image.Image:
    """Panels of one size beside each other, under their titles.

    Args:
        panels (Sequence[np.ndarray]): RGB.
        titles (Sequence[str]): One for each.
        legend (Sequence): Names and colours for a line below.
    """
    height, width, _ = panels[0].shape
    gap = 8
    total = len(panels) * (width + gap) - gap
    lines = _legend_lines(legend, total)
    picture = Image.new(
        'RGB', (total, STRIP + height + STRIP * len(lines)), 'white')
    draw, font = ImageDraw.Draw(picture), _font()
    for i, (panel, title) in enumerate(zip(panels, titles)):
        left = i * (width + gap)
        picture.paste(Image.fromarray(panel), (left, STRIP))
        draw.text((left + width / 2, STRIP / 2), title, 'black', font,
                  anchor='mm')
    for row, line in enumerate(lines):
        top = STRIP + height + STRIP * row + STRIP / 2
        for left, name, colour in line:
            draw.rectangle((left, top - 13, left + 26, top + 13),
                           tuple(colour), 'black')
            draw.text((left + 34, top), name, 'black', font, anchor='lm')
    return picture


def _legend_lines(legend: Sequence[tuple[str, Sequence[int]]],
                  width: int) -> list[list[tuple[int, str, Sequence[int]]]]:
    """Where each entry is, line by line."""
    lines, left = [], width
    for name, colour in legend:
        needed = 60 + round(_font().getlength(name))
        if left + needed > width:
            lines.append([])
            left = 0
        lines[-1].append((left, name, colour))
        left += needed
    return lines


def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_manager.findfont('DejaVu Sans'), LETTERS)
