"""Running a model, or its parts, under an observer."""
import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.override.calls import Calls
from acon_mm.override.channels import features_of
from acon_mm.override.observe import Observer, is_activation
from acon_mm.probe.inputs import Feed, feeds
from acon_mm.probe.running import call, tensors, undisturbed

# feeds tried further where one does for eval mode alone
MORE = 8
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
