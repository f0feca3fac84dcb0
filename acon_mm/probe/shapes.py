"""Which shapes a model may take, by its layers and what it says of itself."""
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.probe.state import parameters_of

# pixels of an image from which on one is enough: attention takes gigabytes
LARGE_IMAGE = 512**2
# kinds of input that a model's layers take which are tried
MAKERS = 8
# frames, height and width of a clip that fits what has a fixed classifier
CLIP = (16, 112, 112)
# a tensor of a shape; what a number of images, their height and width make
Make = Callable[..., Tensor]
OfSize = Callable[[int, int, int], Any]


def images_of(height: int, width: int, count: int) -> int:
    """How many images of a size are run at once, ``count`` at most."""
    return 1 if height * width > LARGE_IMAGE else count


def likely(module: nn.Module, new: Make) -> Iterator[OfSize]:
    """Functions of a batch and its images' size, the likeliest input first.

    Args:
        module (nn.Module): A model or a part of one.
        new (callable): Makes a tensor of a shape.
    """
    yield from _of_its_width(module, new)
    leaves = dict.fromkeys(itertools.chain.from_iterable(
        map(_of_leaf, module.modules())))
    if any(True for _ in parameters_of(module)):  # in a scripted layer, say
        leaves['image', 3] = None
    for name, width in itertools.islice(leaves, MAKERS):
        yield lambda n, h, w, name=name, width=width: _SHAPES[name](
            new, n, width, h, w)
    yield from _of_a_video(module, new)


def _of_its_width(module: nn.Module, new: Make) -> Iterator[OfSize]:
    """Of ``in_channels``: maps of a pyramid, a map, points."""
    widths = getattr(module, 'in_channels', None)
    if isinstance(widths, (list, tuple)) and widths:
        for kind in (list, tuple):
            yield lambda n, h, w, kind=kind: kind(
                new(n, c, max(1, h >> i), max(1, w >> i))
                for i, c in enumerate(widths))
        yield lambda n, h, w: [new(n, c, h, w) for c in widths]
    elif isinstance(widths, int):
        levels = len(getattr(getattr(
            module, 'prior_generator', None), 'strides', range(5)))
        yield lambda n, h, w: tuple(
            new(n, widths, max(1, h >> i), max(1, w >> i))
            for i in range(levels))
        yield lambda n, h, w: new(n, widths, h, w)
        yield lambda n, h, w: new(n, h * w // 4, widths)


def _of_a_video(module: nn.Module, new: Make) -> Iterator[OfSize]:
    """Frames, segments of a clip as a batch of images, joints that move."""
    if any(isinstance(layer, nn.Conv2d) for layer in module.modules()):
        yield lambda n, h, w: new(n, 4, 3, h, w)
    for segments in _numbers(module, 'num_segments'):
        yield lambda n, h, w, s=segments: new(n * s, 3, h, w)
    graphs = (*module.named_buffers(), *module.named_parameters())
    joints = _numbers(module, 'num_keypoints') + [
        graph.shape[-1] for name, graph in graphs
        if name.rpartition('.')[2] == 'A']  # who is next to whom
    for count in dict.fromkeys(joints):
        yield lambda n, h, w, v=count: new(n, 1, h // 4, v, 3)
        yield lambda n, h, w, v=count: new(n, h // 8, v, 3)


def _numbers(module: nn.Module, name: str) -> list[int]:
    """What the parts of a model call by a name, each number once."""
    found = (getattr(part, name, None) for part in module.modules())
    return [*dict.fromkeys(n for n in found if isinstance(n, int))]


def _of_leaf(layer: nn.Module) -> Iterator[tuple[str, int]]:
    """Kinds of input that a layer takes, each with its width."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        yield 'image', layer.in_channels
    elif isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)):
        yield 'sequence', layer.in_channels
    elif isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)):
        yield from ((kind, layer.in_channels) for kind in ('video', 'clip'))
    elif isinstance(layer, nn.Linear):
        yield from ((kind, layer.in_features)
                    for kind in ('vector', 'tokens', 'last'))
    elif isinstance(layer, nn.MultiheadAttention):
        yield 'tokens', layer.embed_dim
    elif isinstance(layer, nn.RNNBase):
        yield 'tokens', layer.input_size
    elif isinstance(layer, nn.LayerNorm):
        yield from ((kind, layer.normalized_shape[-1])
                    for kind in ('tokens', 'last'))
    elif isinstance(layer, nn.Embedding):
        yield 'indices', layer.num_embeddings
    elif isinstance(layer, nn.BatchNorm1d):
        yield from ((kind, layer.num_features)
                    for kind in ('vector', 'sequence'))
    elif isinstance(layer, (nn.BatchNorm2d, nn.GroupNorm)):
        yield 'image', getattr(layer, 'num_features', 0) or (
            layer.num_channels)


_SHAPES: dict[str, Callable] = {
    'image': lambda new, n, c, h, w: new(images_of(h, w, n), c, h, w),
    'sequence': lambda new, n, c, h, w: new(n, c, h),
    'video': lambda new, n, c, h, w: new(n, c, 8, h, w),
    'clip': lambda new, n, c, h, w: new(n, c, *CLIP),
    'tokens': lambda new, n, c, h, w: new(n, h, c),
    'vector': lambda new, n, c, h, w: new(n, c),
    'last': lambda new, n, c, h, w: new(n, h // 8, w // 8, c),
    'indices': lambda new, n, c, h, w: torch.arange(
        n * h).view(n, h) % c,
}
