"""Widths that the source does not tell, from one pass of the backbone."""
import contextlib
from collections.abc import Iterable, Iterator

import torch
import torch.nn as nn

from acon_mm.override.seated import seat_calls
from acon_mm.override.seats import Seat
from acon_mm.width import Features

# a small image; a larger one for backbones that pool it away
IMAGE_SIZES = (64, 256)


def probe_features(model: nn.Module, seats: Iterable[Seat]) -> None:
    """Fill in the ``features`` of ``seats`` from what arrives at them.

    The backbone runs once on an empty image, in eval mode and without
    gradients; nothing of the model changes. Seats outside a backbone, and
    those that the pass does not reach, stay as they are.

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
            for seat in group:
                stack.enter_context(_recording(seat))
            _run(backbone)


def _backbone_path(model: nn.Module, seat: Seat) -> str:
    names = seat.path.split('.')
    return '.'.join(names[:names.index('backbone') + 1]
                    ) if 'backbone' in names else ''


@contextlib.contextmanager
def _recording(seat: Seat) -> Iterator[None]:
    """Collect the features of all inputs of a seat."""
    owner, stock = seat.owner, type(seat.owner)
    name = seat.path.rpartition('.')[2]
    recorder = _Recorder(seat.old)
    setattr(owner, name, recorder)
    if seat.seated:
        seat_calls(owner, seat.attr, [seat.site.index])
    try:
        yield
    finally:
        owner.__class__ = stock
        if name == seat.attr:
            setattr(owner, name, seat.old)
        else:
            delattr(owner, name)
        seat.features = recorder.seen


class _Recorder(nn.Module):

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.act = act
        self.seen: set[Features] = set()

    def forward(self, x):
        tokens = x.dim() < 4  # (N, L, C) and (N, C)
        self.seen.add(Features(x.size(-1), -1) if tokens
                      else Features(x.size(1)))
        return self.act(x)


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


def _run(backbone: nn.Module) -> None:
    conv = next((m for m in backbone.modules()
                 if isinstance(m, nn.Conv2d)), None)
    if conv is None:
        return
    for size in IMAGE_SIZES:
        try:
            backbone(conv.weight.new_zeros(1, conv.in_channels, size, size))
            return
        except Exception:  # not a backbone, or the image is too small
            continue
