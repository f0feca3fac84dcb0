"""What a run needs, and what it takes back."""
import contextlib
from collections import OrderedDict
from collections.abc import Collection, Iterator

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.probe.deformable import without_deformable_kernels
from acon_mm.probe.few import with_few_regions
from acon_mm.probe.inputs import Call

# no initializer gives a parameter of this size: it is memory as it was
UNLIKELY = 1e4
# largest difference of outputs over their largest number
TOLERANCE = 1e-4
# attributes that a run may add to
COLLECTIONS = (dict, list, set, OrderedDict)


def call(module: nn.Module, arguments: Call, training: bool,
         grad: bool = False):
    """``module(*args, **kwargs)`` in a mode, always on the same numbers."""
    for part in module.modules():
        part.training = training
    torch.manual_seed(0)
    args, kwargs = arguments
    if grad:
        args = tuple(map(_tracked, args))
    return module(*args, **kwargs)


def _tracked(value):
    if isinstance(value, (list, tuple)):
        return type(value)(map(_tracked, value))
    if isinstance(value, Tensor) and value.is_floating_point():
        # no leaf, which may not be changed in place
        return value.detach().requires_grad_() * 1
    return value


def tensors(value) -> list[Tensor]:
    """Floating-point tensors in nested outputs."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors(item)]
    return []


def equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether two runs gave the same, but for rounding."""
    return [t.shape for t in ours] == [t.shape for t in theirs] and all(
        _near(*pair) for pair in zip(ours, theirs))


def _near(ours: Tensor, theirs: Tensor) -> bool:
    if ours.is_meta:  # it has a shape and no numbers
        return True
    largest = theirs.nan_to_num().abs().max() if theirs.numel() else 0
    return torch.allclose(ours, theirs, rtol=TOLERANCE, equal_nan=True,
                          atol=TOLERANCE * float(largest))


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Give back what a run may change: buffers, generators, attributes.

    Some models keep results (SAN those of its text encoder), count steps or
    take in modules of others as they run (DDQ).
    """
    kept = [(vars(module), vars(module).copy(), _held(vars(module)))
            for module in model.modules()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    devices = (range(torch.cuda.device_count())
               if torch.cuda.is_initialized() else [])
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        for attributes, values, held in kept:
            _give_back(attributes, values, held)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


def _held(attributes: dict) -> dict[str, Collection]:
    """Copies of the collections with something in them.

    The many empty ones, of hooks, get none: so many objects would set off
    the garbage collector.
    """
    return {name: value.copy() for name, value in attributes.items()
            if type(value) in COLLECTIONS and value}


def _give_back(attributes: dict, values: dict,
               held: dict[str, Collection]) -> None:
    for name in attributes.keys() - values.keys():
        del attributes[name]
    for name, value in values.items():
        attributes[name] = value
        if type(value) in COLLECTIONS and (value or name in held):
            value.clear()
            before = held.get(name, ())
            value.extend(before) if isinstance(value, list) else (
                value.update(before))


@contextlib.contextmanager
def runnable(model: nn.Module) -> Iterator[None]:
    """A model as it was built can run while this is entered.

    Parameters that nothing has filled yet are small numbers meanwhile, and
    embeddings, which may be boxes (Sparse R-CNN), are positive.
    """
    unset = [(p, p.data) for p in model.parameters()
             if p.is_floating_point() and not _is_plausible(p.data)]
    signed = [(m.weight, m.weight.data) for m in model.modules()
              if isinstance(m, nn.Embedding)]
    try:
        for parameter, data in signed:
            parameter.data = data.abs()
        for parameter, data in unset:
            parameter.data = torch.full_like(data, 0.02)
        with without_deformable_kernels(), with_few_regions(model):
            yield
    finally:
        for parameter, data in signed + unset:
            parameter.data = data


def _is_plausible(data: Tensor) -> bool:
    if data.is_meta or not data.numel():
        return True
    low, high = data.aminmax()  # not a number if one of them is not
    return bool(-UNLIKELY < low) and bool(high < UNLIKELY)
