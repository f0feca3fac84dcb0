"""Writing drawn images as a COCO or a Cityscapes folder."""
import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from rich.progress import track

from .annotations import polygons, train_ids
from .drawing import CLASSES, SPLITS, draw

LAYOUTS = ('coco', 'cityscapes')
MIN_SIZE = 32
DEFAULTS = dict(counts=dict(train=640, val=100), size=128, seed=0)
SETTINGS = 'shapes.json'


def write_dataset(root,
                  layout,
                  counts=DEFAULTS['counts'],
                  size=DEFAULTS['size'],
                  seed=DEFAULTS['seed'],
                  overwrite=False,
                  workers=None):
    """Write a data set that OpenMMLab's stock data set classes read.

    The folder appears complete or not at all.

    Args:
        root (str | Path): The folder to write.
        layout (str): 'coco' (``annotations/``, ``train2017/``, ``val2017/``)
            or 'cityscapes' (``leftImg8bit/``, ``gtFine/``).
        counts (dict[str, int]): The number of images of each split.
        size (int): Height and width in pixels, at least 32.
        seed (int): 0 to 2**32 - 1.
        overwrite (bool): Replace a folder that this function has written.
        workers (int, optional): Processes; by default one per core.

    Raises:
        ValueError: If a setting is out of range.
        FileExistsError: If ``root`` exists and may not be replaced.
        OSError: If an image cannot be written.
    """
    root = Path(root)
    check_settings(layout, counts, size, seed)
    check_target(root, overwrite)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix='.shapes') as tmp:
        new = Path(tmp) / 'new'
        for split, count in counts.items():
            _write_split(new, layout, split, count, size, seed, workers)
        settings = dict(counts=dict(counts), size=size, seed=seed)
        (new / SETTINGS).write_text(json.dumps(settings))
        if root.exists():
            root.rename(Path(tmp) / 'old')
        new.rename(root)


def check_settings(layout, counts, size, seed):
    """Raise ValueError if :func:`write_dataset` cannot draw these."""
    if layout not in LAYOUTS:
        raise ValueError(f'layout is {layout!r}; choose one of {LAYOUTS}')
    if set(counts) != set(SPLITS) or min(counts.values()) < 1:
        raise ValueError(f'counts is {counts}; give at least one image to '
                         f'each of {SPLITS}')
    if size < MIN_SIZE:
        raise ValueError(f'size is {size}; give at least {MIN_SIZE} pixels')
    if not 0 <= seed < 2**32:
        raise ValueError(f'seed is {seed}; give one from 0 to 2**32 - 1')


def check_target(root, overwrite):
    """Raise FileExistsError if ``root`` must not be replaced."""
    if not root.exists():
        return
    if not overwrite:
        raise FileExistsError(f'{root} exists; choose another folder, or '
                              'replace it with --overwrite')
    if read_settings(root) is None:
        raise FileExistsError(f'{root} is not a folder of drawn images and '
                              'is not replaced; choose another folder')


def read_settings(root):
    """What ``root`` was drawn with, as in ``DEFAULTS``; None if it was not."""
    path = Path(root) / SETTINGS
    try:
        return json.loads(path.read_text()) if path.exists() else None
    except ValueError:  # somebody has written into it
        return None


def _write_split(root, layout, split, count, size, seed, workers):
    write = dict(coco=_write_coco, cityscapes=_write_cityscapes)[layout]
    write = partial(write, root, split, size, seed)
    for folder in _image_folders(root, layout, split):
        folder.mkdir(parents=True)
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        written = list(
            track(
                pool.map(write, range(count), chunksize=8),
                description=f'Drawing {layout} {split}',
                total=count))
    if layout == 'coco':
        _write_instances(root, split, size, written)


def _image_folders(root, layout, split):
    if layout == 'coco':
        return [root / f'{split}2017']
    return [root / kind / split / 'shapes'
            for kind in ('leftImg8bit', 'gtFine')]


def _write_coco(root, split, size, seed, index):
    image, instances, labels = draw(seed, split, index, size)
    folder, = _image_folders(root, 'coco', split)
    _write_image(folder / f'{index:012d}.png', image)
    annotations = []
    for number, label in enumerate(labels, 1):
        mask = instances == number
        rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
        x, y = int(columns[0]), int(rows[0])
        annotations.append(
            dict(
                image_id=index,
                category_id=label + 1,
                bbox=[x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
                area=int(mask.sum()),
                segmentation=polygons(mask),
                iscrowd=0))
    return annotations


def _write_instances(root, split, size, written):
    annotations = [found for image in written for found in image]
    for number, annotation in enumerate(annotations, 1):
        annotation['id'] = number
    content = dict(
        images=[
            dict(id=i, file_name=f'{i:012d}.png', height=size, width=size)
            for i in range(len(written))
        ],
        annotations=annotations,
        categories=[
            dict(id=i, name=name, supercategory='shape')
            for i, name in enumerate(CLASSES, 1)
        ])
    path = root / 'annotations' / f'instances_{split}2017.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def _write_cityscapes(root, split, size, seed, index):
    image, instances, labels = draw(seed, split, index, size)
    ids = train_ids(instances, labels)
    name = f'shapes_000000_{index:06d}'
    images, truth = _image_folders(root, 'cityscapes', split)
    _write_image(images / f'{name}_leftImg8bit.png', image)
    _write_image(truth / f'{name}_gtFine_labelTrainIds.png', ids)


def _write_image(path, pixels):
    # a full disk is no exception to OpenCV
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f'{path} could not be written; is the disk full?')
