"""Small drawn inputs of any stock model."""
import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from acon_mm.probe import inputs
from acon_mm.probe.shapes import images_of

# images that give every level of a pyramid a pixel; larger where they fail
SIZES = (64, 128, 256, 320, 512)
# (height, width) for the comparison: neither side nor the number of pixels
# is that of the training step's 64 x 64, so that an activation which takes
# one of them for the channels cannot fit both
SHAPES = ((96, 128), (128, 256), (256, 384))


class Feed(NamedTuple):
    """Positional arguments of a module, in lists, dicts and tensors."""
    values: tuple

    def arguments(self, dtype: torch.dtype) -> tuple:
        """A copy with the floats in ``dtype``."""
        return inputs.changed(self.values, lambda tensor: tensor.to(
            dtype if tensor.is_floating_point() else tensor.dtype, copy=True))


def feeds(module: nn.Module) -> Iterator[Feed]:
    """What a module may take, the likeliest first.

    Images, if its first convolution does not say otherwise; then what else
    the override tries.
    """
    first = next((m for m in module.modules()
                  if isinstance(m, nn.modules.conv._ConvNd)), None)
    if first is None or isinstance(first, nn.Conv2d):
        channels = image_channels(module)
        widths = (channels, getattr(first, 'in_channels', channels))
        for width in dict.fromkeys(widths):
            for shape in (*SHAPES, *((s, s) for s in sizes(module))):
                yield Feed((images(*shape, width), ))
    for feed in inputs.feeds(module):  # as the override tries them
        for make in (feed.second, feed.first):
            with contextlib.suppress(ValueError):  # too large to try
                values, named = make()
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
    return noise(images_of(height, width, 2), channels, height, width)


def image_channels(model: nn.Module) -> int:
    """3, or 6 where a transformer takes a pair of images (LEVIR-CD)."""
    return next((conv.in_channels for name, module in model.named_modules()
                 if name.endswith('patch_embed') for conv in module.modules()
                 if isinstance(conv, nn.Conv2d)), 3)
