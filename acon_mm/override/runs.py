"""Running a model, or its parts, under an observer."""
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.override.calls import Calls
from acon_mm.override.channels import features_of
from acon_mm.override.observe import Observer
from acon_mm.override.registered import is_activation
from acon_mm.override.seated import stock_class
from acon_mm.probe.inputs import Feed, feeds, given
from acon_mm.probe.running import call, differing, is_layer, tensors
from acon_mm.probe.sizes import Sizes
from acon_mm.probe.state import numbers_in, undisturbed

# feeds tried further where one does for eval mode alone
MORE = 8


@dataclass
class Run:
    """A module that ran, and on what.

    Attributes:
        path (str): The module's path in the model.
        module (nn.Module): It.
        feed (Feed): Its arguments.
        observer (Observer): What was seen.
        keepers (list[nn.Module]): Modules of it that may keep results: no
            layers of PyTorch, whose statistics tell no more than what comes
            out of them.
        outputs (list[list[Tensor]]): Those of the first run, and of the
            second if that worked too, with what the keepers had then.
        unsteady (list[set[int] | None]): Which of the two other runs give
            otherwise, None if not as many; none until it was ``asked``.
    """
    path: str
    module: nn.Module
    feed: Feed
    observer: Observer
    keepers: list[nn.Module]
    outputs: list[list[Tensor]] = field(default_factory=list)
    unsteady: list[set[int] | None] = field(
        default_factory=lambda: [set(), set()])
    asked: bool = False

    @property
    def trains(self) -> bool:
        """Whether it runs in training mode."""
        return len(self.outputs) > 1

    @property
    def written(self) -> list[Tensor]:
        """Parameters that it writes to."""
        return self.observer.written.tensors

    def first(self) -> list[Tensor]:
        """Outputs of the first run, once more."""
        return self.given(call(self.module, self.feed.first(),
                               training=False))

    def second(self) -> list[Tensor]:
        """Outputs of the second run, which comes after the first."""
        return self.given(call(self.module, self.feed.second(),
                               training=True))

    def given(self, outputs) -> list[Tensor]:
        """Tensors in outputs, and those that are kept now."""
        return tensors([outputs, numbers_in(self.keepers)])

    def alike(self, which: int, outputs: list[Tensor]) -> bool:
        """Whether these are the outputs of the first (0) or second run."""
        unsteady = self.unsteady[which]
        if unsteady is None:
            return True
        found = differing(outputs, self.outputs[which])
        return found is not None and found <= unsteady

    def calls(self) -> Iterator[Calls]:
        """What ran; of functions, what runs without a loss around it."""
        for calls in self.observer.calls.values():
            if calls.owner is not None or calls.inputs[0] or (
                    not self.feed.second_is_loss):
                yield calls


class Refused(NamedTuple):
    """A module that ran on nothing that was tried, and what it said first."""
    path: str
    module: nn.Module
    error: str

    @property
    def said(self) -> str:
        """That in a sentence."""
        name = stock_class(type(self.module)).__name__
        if not self.error:
            return f'{name} has no layer that tells what it takes'
        return f'{name} runs on nothing that was tried ({self.error})'


def observe(model: nn.Module, inputs: tuple | dict | None = None,
            ) -> tuple[list[Run], list[Refused]]:
    """Run ``model``; the parts of it that run where the whole does not.

    Args:
        model (nn.Module): A built model or a part of one.
        inputs (tuple or dict, optional): Arguments to run it on, by
            position or by name.

    Returns:
        tuple: What ran, and what did not.

    Raises:
        ValueError: It does not run on ``inputs``.
    """
    runs: list[Run] = []
    refused: list[Refused] = []
    _observe('', model, inputs, runs, refused)
    return runs, refused


def _observe(path: str, module: nn.Module, inputs: tuple | dict | None,
             runs: list[Run], refused: list[Refused]) -> None:
    if type(module).forward is not nn.Module.forward or (
            'forward' in vars(module)):
        run, error = _first_run(path, module, inputs)
        if run is not None:
            runs.append(run)
            return
        if inputs is not None:
            raise ValueError(
                f'{type(module).__name__} does not run on the given inputs '
                f'({error}): hand swap_activations(inputs=...) what its '
                'forward takes.')
        refused.append(Refused(path, module, error))
    for name, child in module.named_children():
        if any(map(may_activate, child.modules())) and (
                not is_activation(child)):
            _observe(f'{path}.{name}'.lstrip('.'), child, None, runs, refused)


def may_activate(module: nn.Module) -> bool:
    """Whether it is an activation, or code that may call one."""
    return is_activation(module) or (
        type(module).forward is not nn.Module.forward
        and not is_layer(module))


def _first_run(path: str, module: nn.Module, inputs: tuple | dict | None,
               ) -> tuple[Run | None, str]:
    """On the first feed that serves both modes, else the first at all; or
    what was said of the first feed."""
    first, more, said, sizes = None, MORE, '', Sizes()
    for feed in (feeds(module, sizes.asked) if inputs is None
                 else given(inputs)):
        if sizes.are_hopeless(feed):
            continue
        run = None
        try:
            with undisturbed(module):  # by the try before, too
                run = _try(path, module, feed)
        except Exception as error:  # not what it takes
            sizes.note(feed, error)
            said = said or first_line(error)
        if run is not None and run.trains:
            return run, ''
        first = first or run
        more -= first is not None
        if more == 0:
            break
    return first, said


def first_line(error: Exception) -> str:
    """What it says, in a line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _try(path: str, module: nn.Module, feed: Feed) -> Run:
    observer = Observer(module)
    run = Run(path, module, feed, observer, [
        part for part in module.modules() if not is_layer(part)])
    with observer.run(), torch.no_grad():
        outputs = call(module, feed.first(), training=False)
    run.outputs.append(run.given(outputs))
    with contextlib.suppress(Exception):  # a norm may want more pixels
        with observer.run(), torch.no_grad():
            outputs = call(module, feed.second(), training=True)
        run.outputs.append(run.given(outputs))
    if not all(features_of([calls]) for calls in observer.calls.values()):
        with contextlib.suppress(Exception), observer.run():
            call(module, feed.first(), training=False, grad=True)
    return run
