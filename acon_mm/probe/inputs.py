"""Small inputs that a model, or a part of one, may take."""
import contextlib
import copy
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.probe.batches import detection_targets, training_batch
from acon_mm.probe.shapes import MAKERS, Make, OfSize, likely
from acon_mm.probe.state import parameters_of

# (height, width) of two runs; neither side nor the number of pixels is the
# same in both. Larger ones are for models that pool the small away.
SIZES = (((64, 64), (32, 32)), ((64, 96), (96, 160)), ((256, 320), (384, 256)))
# squares for those that take nothing else
SQUARES = (64, 32, 224, 28, 84, 128, 256, 384, 512)
# images in the two runs, and in those of models that halve a batch
BATCHES = (1, 2)
HALVED = (2, 4)
# mixtures of what layers take, for several arguments
MIXTURES = 16
# sizes at which they are tried
MIXED = 2
# pixels that a given image loses at each side in the second run
CROPPED = 4
# numbers in an input that is tried
LARGEST = 2**24
Call = tuple[tuple, dict[str, Any]]


class Feed(NamedTuple):
    """Arguments for two runs of a module.

    Attributes:
        first, second (callable): Make the positional and keyword arguments
            of the runs, the first in eval, the second in training mode.
        kind (Hashable): What feeds have in common that differ in size.
        side (int, optional): Of the first run's images, if they are square.
        second_is_loss (bool): Whether the second computes losses as well.
    """
    first: Callable[[], Call]
    second: Callable[[], Call]
    kind: Hashable = None
    second_is_loss: bool = False
    side: int | None = None


def feeds(module: nn.Module,
          asked: Sequence[int] = ()) -> Iterator[Feed]:
    """What ``module`` may run on, the most likely first.

    Args:
        module (nn.Module): A model or a part of one.
        asked (sequence of int): Sides of images to try next; it may grow
            meanwhile.
    """
    reference = next((p for p in parameters_of(module)
                      if p.is_floating_point()), torch.empty(0))
    if hasattr(module, 'data_preprocessor'):
        yield from _of_openmmlab(module, reference)
    new = functools.partial(_new, reference)
    if 'targets' in _parameters(module):  # torchvision's detectors
        yield _of_detector(new)
    makers = list(likely(module, new))
    needed = _positional(module)
    alike = [(make, ) * needed for make in makers]
    mixed: list[tuple[OfSize, ...]] = []
    if needed > 1:
        makers += [lambda n, h, w: new(h, h),  # who is next to whom
                   lambda n, h, w: new(n, h, h)]
        mixed = [(make, *[_steps] * (needed - 1)) for make in makers[:MAKERS]]
        mixed += itertools.islice(
            itertools.product(makers, repeat=needed), MIXTURES)
    every = ((sizes, BATCHES) for sizes in _all_sizes(module, asked))
    for i, (sizes, batches) in enumerate(
            itertools.chain(every, [(SIZES[0], HALVED)])):
        for chosen in [*mixed[:MAKERS], *alike, *mixed[MAKERS:]] if (
                i < MIXED) else alike:
            yield Feed(*(
                lambda chosen=chosen, size=size, count=count: (
                    tuple(make(count, *size) for make in chosen), {})
                for size, count in zip(sizes, batches)),
                kind=(chosen, batches),
                side=sizes[0][0] if len({*sizes[0]}) == 1 else None)


def _steps(count: int, height: int, width: int) -> Tensor:
    """Of a diffusion. An image in their place would be broadcast with
    another to more than there is memory: they are tried before."""
    return torch.arange(count)


def given(inputs: tuple | dict) -> Iterator[Feed]:
    """A user's arguments, which stay as they are.

    The second run has each twice, where all tensors begin with the same
    dimension, and without the last rows and columns of images, if it works
    so: that tells the channels from the rest.
    """
    sizes = {value.shape[:1] for value in (
        inputs.values() if isinstance(inputs, dict) else inputs)
        if isinstance(value, Tensor)}
    twice = len(sizes) == 1 and sizes != {()}
    for times, crops in ((2, True), (2, False)) * twice + ((1, False), ):
        yield Feed(functools.partial(_call_of, inputs, 1, False),
                   functools.partial(_call_of, inputs, times, crops))


def _call_of(inputs: tuple | dict, times: int, crops: bool) -> Call:

    def copied(tensor: Tensor) -> Tensor:
        crop = crops and tensor.dim() == 4 and min(tensor.shape[2:]) > CROPPED
        part = tensor.detach()[
            ..., :-CROPPED, :-CROPPED] if crop else tensor.detach()
        return torch.cat([part] * times) if times > 1 else part.clone()

    new = changed(inputs, copied)
    return ((), new) if isinstance(new, dict) else (new, {})


def changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Nested arguments with another tensor in the place of each.

    Objects of other kinds are copied, if that is possible.
    """
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        new = copy.copy(value)  # of its own kind
        for key, item in value.items():
            new[key] = changed(item, change)
        return new
    if type(value) in (list, tuple):
        return type(value)(changed(item, change) for item in value)
    if not isinstance(value, nn.Module):
        with contextlib.suppress(Exception):
            return copy.deepcopy(value)
    return value


def _of_openmmlab(module: nn.Module, reference: Tensor) -> Iterator[Feed]:
    def batch(mode: str, size: int, count: int) -> Call:
        return (), dict(training_batch(
            module, size, reference.device, count), mode=mode)

    step = getattr(module.data_preprocessor, 'pad_size_divisor', 1)
    # larger in the first, padded too, to tell the channels from the rest; or
    # the same. No convolution takes SSD's last maps of fewer pixels than 320
    for least, size in itertools.product((32, 128, 0), (64, 128, 320)):
        more = math.ceil(least / step) * step
        for first, second in (('tensor', 'loss'), ('tensor', 'tensor'),
                              ('loss', 'loss')):
            yield Feed(
                functools.partial(batch, first, size + more, BATCHES[0]),
                functools.partial(batch, second, size, BATCHES[1]),
                (first, second, more), second == 'loss' != first)


def _of_detector(new: Make) -> Feed:
    batch = [new(3, *size) for size in SIZES[1]]
    return Feed(
        lambda: ((batch, ), {}),
        lambda: ((batch, detection_targets(batch)), {}), second_is_loss=True)


def _all_sizes(module: nn.Module, asked: Sequence[int]) -> Iterator[tuple]:
    answered = 0
    for sizes in _usual_sizes(module):
        while answered < len(asked):
            side = asked[answered]
            yield (side, side), (side, side)
            answered += 1
        yield sizes


def _usual_sizes(module: nn.Module) -> Iterator[tuple]:
    fixed = {_pair(getattr(part, 'img_size', None))
             for part in module.modules()}
    fixed |= {_pair(getattr(module, 'roi_feat_size', None))}
    library = getattr(module, 'default_cfg', None)  # timm's
    if isinstance(library, dict):
        fixed |= {_pair(library.get('input_size', ())[1:])}
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


def _parameters(module: nn.Module) -> dict[str, inspect.Parameter]:
    """Of ``forward``; none if Python does not see them."""
    try:
        return dict(inspect.signature(module.forward).parameters)
    except (TypeError, ValueError):
        return {}


def _positional(module: nn.Module) -> int:
    """How many arguments ``forward`` cannot do without."""
    return max(1, sum(p.default is p.empty and p.kind in (
        p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in _parameters(module).values()))


def _new(reference: Tensor, *shape: int) -> Tensor:
    """What follows no generator, and differs from element to element."""
    count = math.prod(shape)
    if count > LARGEST:
        raise ValueError(f'An input of shape {shape} is too large to try.')
    values = torch.arange(count, device=reference.device) * 0.7548776662
    return (values % 1 * 3.4 - 1.7).view(shape).to(reference.dtype)
