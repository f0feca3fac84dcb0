"""Small drawn inputs of any stock model."""
import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from acon_mm.probe import inputs
from acon_mm.probe.inputs import BATCH_SIZE, images_of

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
    for feed in inputs.feeds(module):  # as the override tries them
        with contextlib.suppress(ValueError):  # too large to try
            values, named = feed.first()
            if not named:
                yield Feed(values)


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
    """(N, channels, height, width) of noise, N 1 or 2."""
    return noise(images_of(height, width), channels, height, width)


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
