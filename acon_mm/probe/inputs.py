"""Small inputs that a model, or a part of one, may take."""
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.probe.batches import training_batch

# (height, width) of two runs; neither side nor the number of pixels is the
# same in both. Larger ones are for models that pool the small away.
SIZES = (((64, 64), (32, 32)), ((64, 96), (96, 160)), ((256, 320), (384, 256)))
# squares for those that take nothing else
SQUARES = (64, 224, 128, 256, 384, 512)
BATCH_SIZE = 2
# pixels of an image from which on one is enough: attention takes gigabytes
LARGE_IMAGE = 512**2
# layers of a model that are tried as the one which takes the input
LEAVES = 4
# and how many mixtures of what they take, for several arguments
MIXTURES = 16
# numbers in an input that is tried
LARGEST = 2**24
Call = tuple[tuple, dict[str, Any]]


class Feed(NamedTuple):
    """Arguments for two runs of a module.

    Attributes:
        first, second (callable): Make the positional and keyword arguments
            of the runs, the first in eval, the second in training mode.
        kind (Hashable): What feeds have in common that differ in size.
        second_is_loss (bool): Whether the second computes losses as well.
    """
    first: Callable[[], Call]
    second: Callable[[], Call]
    kind: Hashable = None
    second_is_loss: bool = False


def feeds(module: nn.Module) -> Iterator[Feed]:
    """What ``module`` may run on, the most likely first."""
    reference = next((p for p in module.parameters()
                      if p.is_floating_point()), torch.empty(0))
    if hasattr(module, 'data_preprocessor'):
        yield from _of_openmmlab(module, reference)
    makers = list(_makers(module, reference))
    needed = _positional(module)
    # the same for all arguments first
    choices = [(make, ) * needed for make in makers]
    if needed > 1:
        choices += itertools.islice(
            itertools.product(makers, repeat=needed), MIXTURES)
    for sizes in _all_sizes(module):
        for chosen in choices:
            yield Feed(*(
                lambda chosen=chosen, size=size: (
                    tuple(make(*size) for make in chosen), {})
                for size in sizes), kind=chosen)


def _of_openmmlab(module: nn.Module, reference: Tensor) -> Iterator[Feed]:
    def batch(mode: str, size: int) -> Call:
        return (), dict(training_batch(module, size, reference.device),
                        mode=mode)

    # larger in the first, to tell the channels from the rest; or the same
    for more, size in itertools.product((32, 128, 0), (64, 128, 256)):
        for first, second in (('tensor', 'loss'), ('tensor', 'tensor'),
                              ('loss', 'loss')):
            yield Feed(
                functools.partial(batch, first, size + more),
                functools.partial(batch, second, size),
                (first, second, more), second == 'loss' != first)


def images_of(height: int, width: int) -> int:
    """How many images of a size are run at once."""
    return 1 if height * width > LARGE_IMAGE else BATCH_SIZE


def _all_sizes(module: nn.Module) -> Iterator[tuple]:
    fixed = {_pair(getattr(part, 'img_size', None))
             for part in module.modules()}
    fixed |= {_pair(getattr(module, 'roi_feat_size', None))}
    for size in sorted(fixed - {None}):
        yield size, size
    yield from SIZES
    for side in SQUARES:
        yield (side, side), (side, side)


def _pair(size) -> tuple[int, int] | None:
    if isinstance(size, int) and not isinstance(size, bool):
        return size, size
    if isinstance(size, (tuple, list)) and len(size) == 2 and all(
            isinstance(side, int) for side in size):
        return tuple(size)
    return None


def _positional(module: nn.Module) -> int:
    """How many arguments ``forward`` cannot do without."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return 1
    return max(1, sum(p.default is p.empty and p.kind in (
        p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters))


def _makers(module: nn.Module, reference: Tensor) -> Iterator[Callable]:
    """Functions of an image's size."""
    def new(*shape: int) -> Tensor:
        # what follows no generator, and differs from element to element
        count = math.prod(shape)
        if count > LARGEST:
            raise ValueError(f'An input of shape {shape} is too large to try.')
        values = torch.arange(count, device=reference.device) * 0.7548776662
        return (values % 1 * 3.4 - 1.7).view(shape).to(reference.dtype)

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
    leaves = dict.fromkeys(itertools.chain.from_iterable(
        map(_of_leaf, module.modules())))
    if any(True for _ in module.parameters()):  # in a scripted layer, say
        leaves['image', 3] = None
    for name, width in itertools.islice(leaves, 2 * LEAVES):
        yield lambda h, w, name=name, width=width: _SHAPES[name](
            new, width, h, w)


def _of_leaf(layer: nn.Module) -> Iterator[tuple[str, int]]:
    """Kinds of input that a layer takes, each with its width."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        yield 'image', layer.in_channels
    elif isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)):
        yield 'sequence', layer.in_channels
    elif isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)):
        yield 'video', layer.in_channels
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
    'tokens': lambda new, c, h, w: new(BATCH_SIZE, h, c),
    'vector': lambda new, c, h, w: new(BATCH_SIZE, c),
    'last': lambda new, c, h, w: new(BATCH_SIZE, h // 8, w // 8, c),
    'indices': lambda new, c, h, w: torch.arange(
        BATCH_SIZE * h).view(BATCH_SIZE, h) % c,
}
