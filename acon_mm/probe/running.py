"""What a run needs and what it gives."""
import contextlib
import gc
import random
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.probe.deformable import without_deformable_kernels
from acon_mm.probe.few import with_few_regions
from acon_mm.probe.inputs import Call, changed
from acon_mm.probe.state import OPAQUE, parameters_of

# no initializer gives a parameter of this size: it is memory as it was
UNLIKELY = 1e4
# numbers looked at in PyTorch's layers, which fill all or nothing
SAMPLE = 16
# largest difference of outputs over their largest number
TOLERANCE = 1e-4


def call(module: nn.Module, arguments: Call, training: bool,
         grad: bool = False, seed: int = 0):
    """``module(*args, **kwargs)`` in a mode, always on the same numbers."""
    for part in module.modules():
        part.training = training
    # torch.manual_seed would seed GPUs that nobody has used yet, for good
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed)
    args, kwargs = arguments
    if grad:
        args = changed(args, _tracked)
    return module(*args, **kwargs)


def _tracked(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    # no leaf, which may not be changed in place
    return tensor.detach().requires_grad_() * 1


def tensors(value) -> list[Tensor]:
    """All tensors in nested outputs, of objects too, as real numbers."""
    return list(_tensors(value, set()))


def _tensors(value, seen: set[int]) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.layout is torch.strided and not value.is_nested:
            yield _as_real(value)
        return
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    elif isinstance(value, OPAQUE) or id(value) in seen:
        return
    else:  # a dataclass, a distribution
        seen.add(id(value))
        names = [*getattr(value, '__dict__', ()), *(
            name for cls in type(value).__mro__
            for name in vars(cls).get('__slots__', ()))]
        parts = [getattr(value, name, None) for name in names]
    for part in parts:
        yield from _tensors(part, seen)


def _as_real(value: Tensor) -> Tensor:
    if value.is_complex():
        return torch.view_as_real(value.resolve_conj())
    return value if value.is_floating_point() else value.double()


def equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether two runs gave the same, but for rounding."""
    return differing(ours, theirs) == set()


def differing(ours: list[Tensor], theirs: list[Tensor]) -> set[int] | None:
    """Which of them two runs gave otherwise; None: not as many."""
    if len(ours) != len(theirs):
        return None
    return {i for i, (our, their) in enumerate(zip(ours, theirs))
            if our.shape != their.shape or not _near(our, their)}


def _near(ours: Tensor, theirs: Tensor) -> bool:
    if ours.is_meta:  # it has a shape and no numbers
        return True
    ours, theirs = ours.detach(), theirs.detach()
    largest = theirs.nan_to_num().abs().max() if theirs.numel() else 0
    return torch.allclose(ours, theirs, rtol=TOLERANCE, equal_nan=True,
                          atol=TOLERANCE * float(largest))


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """The many objects of a look at a model set off no garbage collection,
    which would walk through all that a process holds."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextlib.contextmanager
def runnable(model: nn.Module) -> Iterator[None]:
    """A model as it was built can run while this is entered.

    Parameters that nothing has filled yet are small numbers meanwhile, and
    embeddings, which may be boxes (Sparse R-CNN), are positive.
    """
    unset = [(p, p.data) for module in model.modules()
             for p in parameters_of(module, recurse=False)
             if p.is_floating_point() and not _is_plausible(
                 p.data, sample=is_layer(module))]
    signed = [(m.weight, m.weight.data) for m in model.modules()
              if isinstance(m, nn.Embedding)]
    try:
        for parameter, data in signed:
            parameter.data = data.abs()
        for parameter, data in unset:
            parameter.data = torch.full_like(data, 0.02)
        with without_deformable_kernels(), with_few_regions(model), (
                without_collector()):
            yield
    finally:
        for parameter, data in signed + unset:
            parameter.data = data


def is_layer(module: nn.Module) -> bool:
    """Whether it is PyTorch's own, and no subclass."""
    return type(module).__module__.startswith('torch.nn.')


def _is_plausible(data: Tensor, sample: bool) -> bool:
    """Whether these numbers, or a sample of them, are no memory's."""
    if data.is_meta or not data.numel():
        return True
    if sample:
        some = data.flatten()[::max(1, data.numel() // SAMPLE)].tolist()
        return all(-UNLIKELY < number < UNLIKELY for number in some)
    low, high = data.aminmax()  # not a number if one of them is not
    return bool(-UNLIKELY < low) and bool(high < UNLIKELY)
