"""What an override did, for the log and for tests."""
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import torch.nn as nn
from mmengine.logging import print_log


class Swapped(NamedTuple):
    """One replaced activation.

    ``width`` in channels; ``ran`` unless no pass has reached it, and its
    width was read from the layers around it.
    """
    path: str
    old: str
    new: str
    width: int | None
    ran: bool = True


class Left(NamedTuple):
    """One activation that stayed, and why; one for each call, if it runs."""
    path: str
    old: str
    reason: str


@dataclass
class SwapReport:
    """Every activation of a model, replaced or left.

    Attributes:
        model (str): The model's name.
        act_type (str): Type of the new activation.
        swapped (list[Swapped]): In the order of the model.
        left (list[Left]): In the order of the model.
        functional (list[tuple[str, str]]): Calls of functions that were not
            replaced, ``('neck.forward', 'relu')``: those where no swap
            reaches, and those in code that nothing has run.
        blind (str): The outermost module that did not run, whose
            activations were seen in its parts at best, and why; empty if
            there is none.
    """
    model: str
    act_type: str
    swapped: list[Swapped] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    functional: list[tuple[str, str]] = field(default_factory=list)
    blind: str = ''

    def swap(self, path: str, old: str, new: nn.Module, width: int | None,
             ran: bool) -> None:
        self.swapped.append(
            Swapped(path, old, type(new).__name__, width, ran))

    def leave(self, path: str, old: str, reason: str,
              calls: int = 1) -> None:
        self.left += [Left(path, old, reason)] * calls

    def log(self) -> None:
        """Print the summary once, to the current MMEngine logger."""
        print_log(str(self), logger='current')

    def __str__(self) -> str:
        kinds = Counter(f'{s.old} -> {s.new}' for s in self.swapped)
        text = f'{self.model}: ' + (', '.join(
            f'{count} x {kind}' for kind, count in kinds.items())
            or 'nothing swapped')
        reasons = Counter(f'{entry.old} ({entry.reason})'
                          for entry in self.left)
        if reasons:
            text += '; left ' + ', '.join(
                f'{count} x {reason}' for reason, count in reasons.items())
        if self.functional:
            text += '; not swapped, called as functions: ' + ', '.join(
                f'{call} in {method}'
                for method, call in dict.fromkeys(self.functional))
        if self.blind:
            text += (f'; {self.blind}: hand swap_activations(inputs=...) '
                     'what its forward takes')
        return text
