"""Which shapes a model may take, by its layers and what it says of itself."""
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

BATCH_SIZE = 2
# pixels of an image from which on one is enough: attention takes gigabytes
LARGE_IMAGE = 512**2
# layers of a model that are tried as the one which takes the input
LEAVES = 4
# frames, height and width of a clip that fits what has a fixed classifier
CLIP = (16, 112, 112)
# a tensor of a shape; what an image's height and width make of that
Make = Callable[..., Tensor]
OfSize = Callable[[int, int], Any]


def images_of(height: int, width: int) -> int:
    """How many images of a size are run at once."""
    return 1 if height * width > LARGE_IMAGE else BATCH_SIZE


def likely(module: nn.Module, new: Make) -> Iterator[OfSize]:
    """Functions of an image's size, the most likely input first.

    Args:
        module (nn.Module): A model or a part of one.
        new (callable): Makes a tensor of a shape.
    """
    yield from _of_its_width(module, new)
    leaves = dict.fromkeys(itertools.chain.from_iterable(
        map(_of_leaf, module.modules())))
    if any(True for _ in module.parameters()):  # in a scripted layer, say
        leaves['image', 3] = None
    for name, width in itertools.islice(leaves, 2 * LEAVES):
        yield lambda h, w, name=name, width=width: _SHAPES[name](
            new, width, h, w)
    yield from _of_a_video(module, new)


def _of_its_width(module: nn.Module, new: Make) -> Iterator[OfSize]:
    """Of ``in_channels``: maps of a pyramid, a map, points."""
    widths = getattr(module, 'in_channels', None)
    if isinstance(widths, (list, tuple)) and widths:
        for kind in (list, tuple):
            yield lambda h, w, kind=kind: kind(
                new(BATCH_SIZE, c, max(1, h >> i), max(1, w >> i))
                for i, c in enumerate(widths))
        yield lambda h, w: [new(BATCH_SIZE, c, h, w) for c in widths]
    elif isinstance(widths, int):
        levels = len(getattr(getattr(
            module, 'prior_generator', None), 'strides', range(5)))
        yield lambda h, w: tuple(
            new(BATCH_SIZE, widths, max(1, h >> i), max(1, w >> i))
            for i in range(levels))
        yield lambda h, w: new(BATCH_SIZE, widths, h, w)
        yield lambda h, w: new(BATCH_SIZE, h * w // 4, widths)


def _of_a_video(module: nn.Module, new: Make) -> Iterator[OfSize]:
    """Segments of a clip as a batch of images, and joints that move."""
    for segments in _numbers(module, 'num_segments'):
        yield lambda h, w, n=segments: new(n, 3, h, w)
    graphs = (*module.named_buffers(), *module.named_parameters())
    joints = _numbers(module, 'num_keypoints') + [
        graph.shape[-1] for name, graph in graphs
        if name.rpartition('.')[2] == 'A']  # who is next to whom
    for count in dict.fromkeys(joints):
        yield lambda h, w, n=count: new(BATCH_SIZE, 1, h // 4, n, 3)
        yield lambda h, w, n=count: new(BATCH_SIZE, h // 8, n, 3)


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
                    for kind in ('tokens', 'vector', 'last'))
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
    'image': lambda new, c, h, w: new(images_of(h, w), c, h, w),
    'sequence': lambda new, c, h, w: new(BATCH_SIZE, c, h),
    'video': lambda new, c, h, w: new(BATCH_SIZE, c, 8, h, w),
    'clip': lambda new, c, h, w: new(BATCH_SIZE, c, *CLIP),
    'tokens': lambda new, c, h, w: new(BATCH_SIZE, h, c),
    'vector': lambda new, c, h, w: new(BATCH_SIZE, c),
    'last': lambda new, c, h, w: new(BATCH_SIZE, h // 8, w // 8, c),
    'indices': lambda new, c, h, w: torch.arange(
        BATCH_SIZE * h).view(BATCH_SIZE, h) % c,
}
