"""Running a model, or its parts, without leaving a trace in it."""
import contextlib
import re
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.override.calls import Calls
from acon_mm.override.channels import features_of
from acon_mm.override.deformable import without_deformable_kernels
from acon_mm.override.inputs import Call, Feed, feeds
from acon_mm.override.observe import Observer, is_activation

# no initializer gives a parameter of this size: it is memory as it was
UNLIKELY = 1e4
# feeds tried further where one does for eval mode alone
MORE = 8
# attributes that a run may add to
COLLECTIONS = (dict, list, set, OrderedDict)
# sizes at which a kind of feed may fail in the same words
SIZES_REFUSED = 3


@dataclass
class Run:
    """A module that ran, and on what.

    Attributes:
        path (str): The module's path in the model.
        module (nn.Module): It.
        feed (Feed): Its arguments.
        observer (Observer): What was seen.
        outputs (list[Tensor]): Those of the first run.
        trains (bool): Whether the second run worked too.
        repeats (bool): Whether another run gives the same outputs; taken
            for granted until it was ``asked``.
    """
    path: str
    module: nn.Module
    feed: Feed
    observer: Observer
    outputs: list[Tensor] = field(default_factory=list)
    trains: bool = False
    repeats: bool = True
    asked: bool = False

    def calls(self) -> Iterator[Calls]:
        """What ran; of functions, what runs without a loss around it."""
        for calls in self.observer.calls.values():
            if calls.owner is not None or calls.inputs[0] or (
                    not self.feed.second_is_loss):
                yield calls


def observe(model: nn.Module,
            inputs: tuple | None = None) -> list[Run]:
    """Run ``model``; the parts of it that run where the whole does not.

    Args:
        model (nn.Module): A built model or a part of one.
        inputs (tuple, optional): Positional arguments to run it on.

    Returns:
        list[Run]: What ran.
    """
    runs: list[Run] = []
    with undisturbed(model):
        _observe('', model, inputs, runs)
    return runs


def _observe(path: str, module: nn.Module, inputs: tuple | None,
             runs: list[Run]) -> None:
    if type(module).forward is not nn.Module.forward or (
            'forward' in vars(module)):
        run = _first_run(path, module, inputs)
        if run is not None:
            runs.append(run)
            return
    for name, child in module.named_children():
        if any(map(is_activation, child.modules())) and (
                not is_activation(child)):
            _observe(f'{path}.{name}'.lstrip('.'), child, None, runs)


def _first_run(path: str, module: nn.Module,
               inputs: tuple | None) -> Run | None:
    """On the first feed that serves both modes, else the first at all."""
    given = [Feed(lambda: (inputs, {}), lambda: (inputs, {}))]
    first, more = None, MORE
    refusals: Counter = Counter()
    for feed in given if inputs is not None else feeds(module):
        if max((n for (kind, _), n in refusals.items() if kind == feed.kind),
               default=0) == SIZES_REFUSED:
            continue
        try:
            run = _try(path, module, feed)
        except Exception as error:  # not what it takes
            # alike but for the numbers in it, it is not about the size
            refusals[feed.kind, re.sub(r'\d+', '', str(error))] += 1
            run = None
        if run is not None and run.trains:
            return run
        first = first or run
        more -= first is not None
        if more == 0:
            break
    return first


def _try(path: str, module: nn.Module, feed: Feed) -> Run:
    observer = Observer(module)
    with observer.run(), torch.no_grad():
        outputs = call(module, feed.first(), training=False)
    run = Run(path, module, feed, observer, tensors(outputs))
    with contextlib.suppress(Exception):  # a norm may want more pixels
        with observer.run(), torch.no_grad():
            call(module, feed.second(), training=True)
        run.trains = True
    if not all(features_of([calls.inputs])
               for calls in observer.calls.values()):
        with contextlib.suppress(Exception), observer.run():
            call(module, feed.first(), training=False, grad=True)
    return run


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


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Give back what a run may change: buffers, generators, attributes.

    Some models keep results (SAN those of its text encoder), count steps or
    take in modules of others as they run (DDQ).
    """
    kept = [(module, _copied(vars(module))) for module in model.modules()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    devices = (range(torch.cuda.device_count())
               if torch.cuda.is_initialized() else [])
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        for module, attributes in kept:
            _give_back(vars(module), attributes)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


def _copied(attributes: dict) -> dict:
    """Each value, beside a copy of what it holds if it is a collection."""
    return {name: (value, value.copy() if type(value) in COLLECTIONS else None)
            for name, value in attributes.items()}


def _give_back(attributes: dict, kept: dict) -> None:
    for name in attributes.keys() - kept.keys():
        del attributes[name]
    for name, (value, held) in kept.items():
        attributes[name] = value
        if held is not None:
            value.clear()
            value.extend(held) if isinstance(value, list) else (
                value.update(held))


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
        with without_deformable_kernels():
            yield
    finally:
        for parameter, data in signed + unset:
            parameter.data = data


def _is_plausible(data: Tensor) -> bool:
    return data.is_meta or not data.numel() or bool(
        data.abs().max() < UNLIKELY)
