"""Widths that the source does not tell, from one pass of the backbone."""
import contextlib
from collections.abc import Iterable, Iterator

import torch
import torch.nn as nn

from acon_mm.override.seated import seat_calls
from acon_mm.override.seats import Seat
from acon_mm.width import Features

# what differs between the two images of a pair is no number of channels;
# the second pair is for backbones that pool the first away, squares for
# those that take nothing else
IMAGE_SIZES = (((64, 96), (96, 160)), ((256, 320), (320, 256)),
               ((64, 64), (64, 64)), ((224, 224), (224, 224)))


def probe_features(model: nn.Module, seats: Iterable[Seat]) -> None:
    """Fill in the ``features`` of ``seats`` from what arrives at them.

    The backbone runs on two empty images, in eval mode and without
    gradients; nothing of the model changes. Of each input the dimension
    that does not follow the image's is that of the channels: the second
    or, of tokens, the last. Seats outside a backbone, and those that the
    pass does not reach, stay as they are.

    Args:
        model (nn.Module): A built model or a backbone.
        seats (iterable of Seat): Seats of unknown width.
    """
    backbones: dict[str, list[Seat]] = {}
    for seat in seats:
        backbones.setdefault(_backbone_path(model, seat), []).append(seat)
    for path, group in backbones.items():
        backbone = model.get_submodule(path)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_evaluating(backbone))
            recorders = [stack.enter_context(_recording(seat))
                         for seat in group]
            for seat, *shapes in zip(group, *_shapes(backbone, recorders)):
                seat.features = set(map(_features, *shapes))


def _backbone_path(model: nn.Module, seat: Seat) -> str:
    names = seat.path.split('.')
    return '.'.join(names[:names.index('backbone') + 1]
                    ) if 'backbone' in names else ''


@contextlib.contextmanager
def _recording(seat: Seat) -> Iterator['_Recorder']:
    """Collect the shapes of all inputs of a seat."""
    owner, stock = seat.owner, type(seat.owner)
    name = seat.path.rpartition('.')[2]
    recorder = _Recorder(seat.old)
    setattr(owner, name, recorder)
    if seat.seated:
        seat_calls(owner, seat.attr, [seat.site.index])
    try:
        yield recorder
    finally:
        owner.__class__ = stock
        if name == seat.attr:
            setattr(owner, name, seat.old)
        else:
            delattr(owner, name)


class _Recorder(nn.Module):

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.act = act
        self.shapes: list[torch.Size] = []

    def forward(self, x):
        self.shapes.append(x.shape)
        return self.act(x)


def _features(shape: torch.Size, other: torch.Size) -> Features:
    """The channels of two inputs, of images of different sizes."""
    tokens = len(shape) < 4  # (N, L, C) and (N, C)
    if len(shape) > 2 and (shape[1] == other[1]) != (shape[-1] == other[-1]):
        tokens = shape[-1] == other[-1]
    return Features(shape[-1], -1) if tokens else Features(shape[1])


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng():
            yield
    finally:
        for child, training in modes:
            child.training = training


def _shapes(backbone: nn.Module,
            recorders: list[_Recorder]) -> list[list[list[torch.Size]]]:
    """What each recorder saw of the first image and of the second."""
    conv = next((m for m in backbone.modules()
                 if isinstance(m, nn.Conv2d)), None)
    for sizes in IMAGE_SIZES if conv is not None else ():
        seen = []
        try:
            for size in sizes:
                for recorder in recorders:
                    recorder.shapes = []
                backbone(conv.weight.new_zeros(1, conv.in_channels, *size))
                seen.append([recorder.shapes for recorder in recorders])
        except Exception:  # not a backbone, or not for this image
            continue
        return seen
    return [[[] for _ in recorders]] * 2
