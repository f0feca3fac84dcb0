"""A model with the override computes what the stock model does."""
import copy
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from acon_mm.check.build import compared_part
from acon_mm.check.inputs import Feed, feeds
from acon_mm.check.limit import acon_modules, at_the_limit
from acon_mm.check.watch import Watch, untold
from acon_mm.check.weights import is_by_the_weights, kept

# how far the outputs may be from the stock ones: mean difference over the
# output's standard deviation
TOLERANCE = 0.01


class Deviation(NamedTuple):
    """How far the outputs are from the stock model's.

    ``start``: as the activations begin, ``limit``: where each computes what
    it replaced.
    """
    start: float
    limit: float


def check_outputs(stock: nn.Module, model: nn.Module) -> Deviation | None:
    """(2) With ``init='match'`` the model computes what the stock one does.

    Each new activation runs once more as close as ACON can come to what it
    replaces, or as that itself, which shows that it sits in the right place;
    what still runs beside ACON must be in the report. A deep copy computes
    the same.

    Returns:
        Deviation: None if the part that is compared has no ACON.

    Raises:
        AssertionError: Something does not hold.
        FloatingPointError: The stock model's outputs tell nothing.
    """
    theirs, ours = compared_part(stock), compared_part(model)
    if ours is None or not acon_modules(ours):
        return None
    training, feed, expected = first_run(theirs)
    start = _deviation(_run(ours, training, feed), expected)
    again = _deviation(_run(copy.deepcopy(ours), training, feed), expected)
    with at_the_limit(model):
        with Watch(model) as watch:
            limit = _deviation(_run(ours, training, feed), expected)
        if not limit <= TOLERANCE:  # few pixels in a norm amplify rounding
            try:
                limit = _deviation(
                    _run(ours.double(), training, feed),
                    _run(theirs.double(), training, feed))
            finally:
                theirs.float(), ours.float()
    part = 'backbone' if isinstance(model, BaseModel) else 'model'
    assert limit <= TOLERANCE, f'(2) {part} deviates by {limit:.2g}'
    assert math.isfinite(start), f'(2) {part} deviates by {start}'
    assert abs(again - start) <= TOLERANCE * max(1, start), (
        f'(2) a deep copy deviates by {again:.2g}, not {start:.2g}')
    assert not watch.misplaced, f'(2) {watch.misplaced[0]}'
    runs_on = untold(model, watch.ran)
    assert not runs_on, (f'(2) an activation in {runs_on[0] or "the model"} '
                         'still runs and is not in the report')
    return Deviation(start, limit)


def first_run(module: nn.Module) -> tuple[bool, Feed, list[Tensor]]:
    """Mode and arguments that a stock module runs with, and its outputs.

    Norms by the batch's statistics keep the signal of random weights alive;
    a norm may forbid them (``eps=0`` of NAS-FCOS).
    """
    failures = []
    for training in (True, False):
        for feed in feeds(module):
            try:
                outputs = _run(module, training, feed)
                _require_signal(outputs)
                return training, feed, outputs
            except Exception as error:
                # the frames of its traceback hold all that has run
                failures.append(error.with_traceback(None))
                if is_by_the_weights(error):
                    break  # at every shape
    raise next(filter(is_by_the_weights, failures), failures[0])


def _require_signal(outputs: list[Tensor]) -> None:
    if not all(t.isfinite().all() for t in outputs):
        raise FloatingPointError('the stock backbone returns no number')
    if not any((t.std() if t.numel() > 1 else t.abs()) > 0 for t in outputs):
        raise FloatingPointError('the stock backbone returns a constant')


def _run(module: nn.Module, training: bool, feed: Feed) -> list[Tensor]:
    for child in module.modules():
        child.training = training
    torch.manual_seed(0)
    with torch.no_grad(), kept(module):  # the norms' statistics
        dtype = next(module.parameters()).dtype
        return list(tensors(module(*feed.arguments(dtype))))


def _deviation(ours: list[Tensor], theirs: list[Tensor]) -> float:
    assert [t.shape for t in ours] == [t.shape for t in theirs], (
        '(2) the outputs have other shapes')
    # max() of Python may pass over what is no number
    return torch.stack([_distance(*pair) for pair in zip(ours, theirs)]
                       ).max().item()


def _distance(ours: Tensor, theirs: Tensor) -> Tensor:
    distance = (ours - theirs).abs().mean()
    scale = theirs.std() if theirs.numel() > 1 else theirs.abs().mean()
    return distance if distance == 0 else distance / scale


def tensors(value) -> Iterator[Tensor]:
    """Every tensor of floats in what a model returns."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)
