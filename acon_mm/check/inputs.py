"""Small drawn inputs of any stock model."""
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from acon_mm.check.subject import text

BATCH_SIZE = 2
# images that give every level of a pyramid a pixel; larger where they fail
SIZES = (64, 128, 256, 320, 512)
# (height, width) for the comparison: neither side nor the number of pixels
# is that of the training step's 64 x 64, so that an activation which takes
# one of them for the channels cannot fit both
SHAPES = ((96, 128), (128, 256), (256, 384))
CLIPS = ((8, 64, 64), (16, 112, 112), (8, 224, 224))
FRAMES = 256


class Feed(NamedTuple):
    """Positional arguments of a module, in lists, dicts and tensors."""
    values: tuple

    def arguments(self, dtype: torch.dtype) -> tuple:
        """A copy with the floats in ``dtype``."""
        return _copied(self.values, dtype)


def _copied(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return (value.to(dtype, copy=True) if value.is_floating_point()
                else value.clone())
    if isinstance(value, dict):
        return {key: _copied(item, dtype) for key, item in value.items()}
    return type(value)(_copied(item, dtype) for item in value)


def feeds(module: nn.Module) -> Iterator[Feed]:
    """What a module may take, the likeliest first.

    Images, or what its first convolution says: clips and sequences; graphs
    of joints; for torchvision's detectors boxes too.
    """
    if 'targets' in inspect.signature(module.forward).parameters:
        yield Feed((list(images(128, 160)), _targets()))
        return
    first = next((m for m in module.modules()
                  if isinstance(m, nn.modules.conv._ConvNd)), None)
    channels = image_channels(module)
    widths = dict.fromkeys((channels, getattr(first, 'in_channels', 3)))
    shapes = dict(Conv3d=CLIPS, Conv1d=((FRAMES, ), )).get(
        type(first).__name__, ())
    for width in widths:
        for shape in shapes:
            yield Feed((noise(BATCH_SIZE, width, *shape), ))
        for shape in (*SHAPES, *((size, size) for size in sizes(module))):
            yield Feed((images(*shape, width), ))
    yield Feed((noise(8, channels, 64, 64), ))  # the segments of a clip
    for clip in CLIPS[:0 if shapes else None]:
        yield Feed((noise(BATCH_SIZE, channels, *clip), ))
    for name, graph in module.named_buffers():
        if name.rpartition('.')[2] == 'A':
            yield Feed((noise(BATCH_SIZE, 1, 16, graph.shape[-1], 3), ))
            return
    # joints, points and vectors
    yield Feed((noise(BATCH_SIZE, 8, 17, 3), ))
    yield Feed((noise(BATCH_SIZE, 2048, 6), ))


def sizes(model: nn.Module) -> list[int]:
    """Sizes to try; some transformers take images of one size alone."""
    fixed = [getattr(module, 'img_size', None) for module in model.modules()]
    library = getattr(model, 'default_cfg', None)  # timm's
    fixed += [library['input_size'][1:]] if isinstance(library, dict) else []
    known = [size[0] if isinstance(size, (tuple, list)) else size
             for size in fixed]
    return [*dict.fromkeys([*SIZES, *(s for s in known
                                      if isinstance(s, int))])]


def noise(*shape: int) -> Tensor:
    """The same normal numbers for a shape every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def images(height: int, width: int, channels: int = 3) -> Tensor:
    """(2, channels, height, width) of noise."""
    return noise(BATCH_SIZE, channels, height, width)


def image_channels(model: nn.Module) -> int:
    """3, or 6 where a transformer takes a pair of images (LEVIR-CD)."""
    return next((conv.in_channels for name, module in model.named_modules()
                 if name.endswith('patch_embed') for conv in module.modules()
                 if isinstance(conv, nn.Conv2d)), 3)


def _targets() -> list[dict[str, Tensor]]:
    """A box, its mask and its joints for each image."""
    box = torch.tensor([[20., 20., 90., 100.]])
    mask = torch.zeros(1, 128, 160, dtype=torch.uint8)
    mask[:, 20:100, 20:90] = 1
    return [dict(boxes=box, labels=torch.tensor([1]), masks=mask,
                 keypoints=torch.full((1, 17, 3), 50.))
            for _ in range(BATCH_SIZE)]


def training_batch(model: nn.Module, model_cfg: dict, package: str,
                   size: int) -> dict:
    """``inputs`` and ``data_samples`` for ``model.forward(mode='loss')``."""
    # the drawn maps of classes are of bytes
    classes = min(_values(model_cfg, 'num_classes')
                  + _values(model_cfg, 'num_things_classes') + [255])
    if package == 'mmseg':
        return dict(inputs=images(size, size, image_channels(model)),
                    data_samples=[_segmentation(classes, size)
                                  for _ in range(BATCH_SIZE)])
    from mmdet.structures import ReIDDataSample
    from mmdet.testing import demo_mm_inputs
    from mmdet.testing._utils import demo_track_inputs

    preprocessor = model.data_preprocessor
    if 'ReID' in type(preprocessor).__name__:
        # their pooling fits one shape of image
        return dict(inputs=images(256, 128), data_samples=[
            ReIDDataSample().set_gt_label(label)
            for label in range(BATCH_SIZE)])
    masks = 'mask' in text(model_cfg).lower()  # RTMDet takes no others
    if 'Track' in type(preprocessor).__name__:
        batch = demo_track_inputs(
            batch_size=BATCH_SIZE, num_frames=2, key_frames_inds=[0],
            image_shapes=(3, size, size), num_items=[3] * BATCH_SIZE,
            num_classes=1, with_mask=masks)
    else:
        batch = demo_mm_inputs(
            batch_size=BATCH_SIZE, image_shapes=(3, size, size),
            num_items=[3] * BATCH_SIZE, num_classes=max(2, classes),
            with_mask=masks, with_semantic=True, use_box_type=True)
        for sample in batch['data_samples']:
            sample.gt_instances.labels %= classes
            sample.proposals = InstanceData(  # for Fast R-CNN
                bboxes=sample.gt_instances.bboxes.tensor,
                scores=torch.ones(len(sample.gt_instances)))
            sample.gt_sem_seg.sem_seg = (
                sample.gt_sem_seg.sem_seg.long() % classes)
    # they pad to the full size of the training images
    preprocessor.batch_augments = None
    return preprocessor(batch, training=True)


def _segmentation(classes: int, size: int) -> Any:
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(0)
    sample = SegDataSample()
    sample.set_metainfo(dict(
        img_shape=(size, size), ori_shape=(size, size),
        pad_shape=(size, size), batch_input_shape=(size, size)))
    sample.gt_sem_seg = PixelData(data=torch.randint(
        classes, (1, size, size), generator=generator))
    sample.gt_edge_map = PixelData(data=torch.randint(
        2, (1, size, size), generator=generator))
    return sample


def _values(cfg, key: str) -> list[int]:
    """Every positive integer under ``key`` anywhere in a config."""
    if isinstance(cfg, dict):
        own = [cfg[key]] if isinstance(cfg.get(key), int) else []
        return [v for v in own if v > 0] + [
            v for child in cfg.values() for v in _values(child, key)]
    if isinstance(cfg, (list, tuple)):
        return [v for child in cfg for v in _values(child, key)]
    return []
