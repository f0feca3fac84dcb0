"""Every activation of a model: seats, and what no swap can reach."""
from dataclasses import dataclass, field

import torch.nn as nn

from acon_mm.override.calls import Calls
from acon_mm.override.kinds import is_unmatched, start_of, stock_module
from acon_mm.override.observe import activations
from acon_mm.override.runs import Run, observe
from acon_mm.override.seats import Seat, find_seats
from acon_mm.width import seat_features


@dataclass
class Found:
    """What a model has of activations.

    Attributes:
        seats (list[Seat]): Those that can be swapped, in the model's order.
        left (list): Path, kind and reason of each other module.
        functional (list): Method and name of each call of a function that
            no swap can reach, as often as it ran.
        runs (list[Run]): What was run to see them.
    """
    seats: list[Seat] = field(default_factory=list)
    left: list[tuple[str, str, str]] = field(default_factory=list)
    functional: list[tuple[str, str]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


def find(model: nn.Module, inputs: tuple | None = None) -> Found:
    """Run ``model``, or its parts, and find its activations.

    Args:
        model (nn.Module): A built model or a part of one.
        inputs (tuple, optional): Positional arguments to run it on.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    found = Found()
    found.runs = observe(model, inputs)
    seen = set()
    for run in found.runs:
        calls = list(run.calls())
        seen |= {(id(one.owner), one.name) for one in calls}
        seats, loose = find_seats(calls, paths)
        for seat in seats:
            seat.run = run
        found.seats += seats
        found.functional += [
            entry for one in loose for entry in _told(one, paths)]
        found.functional += [
            ('compiled code', name) for name in run.observer.hidden]
        for one in calls:  # a frame holds what ran, and those around it
            del one.place.traceback
    for path, owner, name, act in activations(model):
        if (id(owner), name) in seen:
            continue
        if any(_is_inside(path, run.path) for run in found.runs):
            found.left.append((path, type(act).__name__, 'never called'))
            continue
        features = seat_features(owner, name)
        found.seats.append(Seat(
            path, owner, name, act, type(act).__name__, start_of(act),
            stock_module(act), {features} if features else set(), ran=False))
    found.left += [(path, type(module).__name__, 'ACON cannot start like it')
                   for path, module in model.named_modules()
                   if is_unmatched(module)]
    order = {module_id: i for i, module_id in enumerate(paths)}
    found.seats.sort(key=lambda seat: order[id(seat.owner)])
    return found


def _is_inside(path: str, around: str) -> bool:
    return not around or path.startswith(f'{around}.')


def _told(calls: Calls, paths: dict[int, str]) -> list[tuple[str, str]]:
    place = calls.place
    method = place.traceback.tb_frame.f_code.co_name
    if place.caller is not None:
        method = f'{paths[id(place.caller)]}.{place.method.__name__}'
    return [(method.lstrip('.'), calls.name)] * max(map(len, calls.inputs))
