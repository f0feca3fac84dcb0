"""Every activation of a model: seats, and what no swap can reach."""
import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch.nn as nn

from acon_mm.override.calls import Calls
from acon_mm.override.kinds import (
    called_as,
    is_unmatched,
    start_of,
    stock_module,
)
from acon_mm.override.registered import activations
from acon_mm.override.runs import Refused, Run, may_activate, observe
from acon_mm.override.seats import Seat, find_seats
from acon_mm.override.source import (
    attribute_calls,
    call_index,
    function_calls,
    methods_of,
)
from acon_mm.width import seat_features

# why an activation that was seen to run may stay all the same
ELSEWHERE = 'called in code that has not run, too'


@dataclass
class Found:
    """What a model has of activations.

    Attributes:
        seats (list[Seat]): Those that can be swapped, in the model's order.
        left (list): Path, kind and reason of each other module.
        functional (list): Method and name of each call of a function that
            no swap can reach, as often as it ran.
        unreached (list): The same of calls that no pass has shown.
        runs (list[Run]): What was run to see them.
        refused (list[Refused]): What ran on nothing that was tried.
    """
    seats: list[Seat] = field(default_factory=list)
    left: list[tuple[str, str, str]] = field(default_factory=list)
    functional: list[tuple[str, str]] = field(default_factory=list)
    unreached: list[tuple[str, str]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def blind(self) -> Refused | None:
        """The outermost module that ran on nothing: what its activations do
        in it was seen in its parts at best."""
        inside = [seat.path for seat in self.seats] + [
            path for path, _ in self.unreached]
        return next((one for one in self.refused if _keeps_function(
            one.module) or any(_is_inside(path, one.path)
                               for path in inside)), None)

    def why_none(self, name: str) -> str:
        """How a sentence about ``name`` ends that has no seat."""
        if self.left and not self.functional:
            others = ', '.join(dict.fromkeys(
                f'{kind} ({why})' for _, kind, why in self.left))
            return f' that can be replaced: it has {others}'
        for one in self.refused:
            if any(map(may_activate, one.module.modules())):
                return (f': {one.said}, and so none was seen; hand '
                        'swap_activations(inputs=...) what its forward takes')
        return (': it has none; give it act_cfg=dict(type='
                "'acon_mm.AconC') if it takes act_cfg")


def find(model: nn.Module, inputs: tuple | dict | None = None) -> Found:
    """Run ``model``, or its parts, and find its activations.

    Args:
        model (nn.Module): A built model or a part of one.
        inputs (tuple or dict, optional): Arguments to run it on.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    found = Found()
    found.runs, found.refused = observe(model, inputs)
    seen: set[tuple[int, str]] = set()
    reached: dict[tuple, set[int | None]] = {}
    for run in found.runs:
        calls = list(run.calls())
        _seat(found, run, calls, paths)
        for one in calls:
            seen.add((id(one.owner), one.name))
            place = one.place
            if place.caller is not None:
                key = id(place.caller), place.method
                reached.setdefault(key, set()).add(
                    call_index(place.method, place.traceback))
            del place.traceback  # a frame holds what ran, and its callers'
    for path, owner, name, act in activations(model):
        if (id(owner), name) in seen:
            continue
        if any(_is_inside(path, run.path) for run in found.runs):
            found.left.append((path, type(act).__name__, 'never called'))
            continue
        features = None if _has_own_order(owner) else seat_features(
            owner, name)
        found.seats.append(Seat(
            path, owner, name, act, type(act).__name__, start_of(act),
            stock_module(act), {features} if features else set(), ran=False))
    found.left += [(path, type(module).__name__, 'ACON cannot start like it')
                   for path, module in model.named_modules()
                   if is_unmatched(module)]
    found.unreached += _unreached(model, reached)
    for path, act in _calls_elsewhere(model, reached, seen):
        found.left.append((path, type(act).__name__, ELSEWHERE))
        for seat in found.seats:
            seat.elsewhere |= seat.old is act
    order = {module_id: i for i, module_id in enumerate(paths)}
    found.seats.sort(key=lambda seat: order[id(seat.owner)])
    return found


def _seat(found: Found, run: Run, calls: list[Calls],
          paths: dict[int, str]) -> None:
    """Add the seats of a run, and what of it can have none."""
    gates = {(id(one.owner), one.name): one for one in calls if one.gates}
    seats, loose = find_seats(
        [one for one in calls if (id(one.owner), one.name) not in gates],
        paths)
    for seat in seats:
        seat.run = run
    found.seats += seats
    found.functional += [
        entry for one in loose for entry in _told(one, paths)]
    found.functional += [
        ('compiled code', name) for name in run.observer.hidden]
    found.left += [
        (f'{paths[owner]}.{name}'.lstrip('.'), type(one.act).__name__,
         'a gate, whose bounds count')
        for (owner, name), one in gates.items()]


def _unreached(model: nn.Module, reached: dict[tuple, set[int | None]],
               ) -> Iterator[tuple[str, str]]:
    """Calls of functions that no pass has shown, from the source."""
    for path, module in model.named_modules():
        for name, method in methods_of(type(module)).items():
            key = id(module), method
            if not name.startswith('__'):
                for index, function in function_calls(method).items():
                    if index not in reached.get(key, ()):
                        yield f'{path}.{name}'.lstrip('.'), function


def _calls_elsewhere(model: nn.Module, reached: dict[tuple, set[int | None]],
                     seen: set[tuple[int, str]],
                     ) -> Iterator[tuple[str, nn.Module]]:
    """Calls that no pass has shown, of activations that ran by others."""
    for path, module in model.named_modules():
        for name, method in methods_of(type(module)).items():
            shown = reached.get((id(module), method), set())
            for index, called in attribute_calls(method).items() if (
                    not name.startswith('__')) else ():
                act = module._modules.get(called)
                if index not in shown and (id(module), called) in seen and (
                        start_of(act) is not None):
                    yield f'{path}.{called}'.lstrip('.'), act


def _has_own_order(owner: nn.Module) -> bool:
    """Whether its layers may run in another order than they are in."""
    return isinstance(owner, (nn.ModuleList, nn.Sequential)) and (
        type(owner).forward is not nn.Sequential.forward)


def _keeps_function(module: nn.Module) -> bool:
    """Whether an attribute is an activation as a function."""
    return any(called_as(value, (), {})[0]
               for value in vars(module).values() if isinstance(value, (
                   types.FunctionType, types.BuiltinFunctionType,
                   functools.partial)))


def _is_inside(path: str, around: str) -> bool:
    return not around or path.startswith(f'{around}.')


def _told(calls: Calls, paths: dict[int, str]) -> list[tuple[str, str]]:
    place = calls.place
    method = place.traceback.tb_frame.f_code.co_name
    if place.caller is not None:
        method = f'{paths[id(place.caller)]}.{place.method.__name__}'
    return [(method.lstrip('.'), calls.name)] * max(map(len, calls.inputs))
