"""Every place in a model where an activation runs, as a seat for a new one."""
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

import torch.nn as nn
from torch import Tensor
from torch.fx import GraphModule

from acon_mm.override.calls import Calls
from acon_mm.override.channels import features_of
from acon_mm.override.registered import PLACED
from acon_mm.override.rewriting import can_rewrite
from acon_mm.override.seated import SeatedCall, numbers_of, value_of
from acon_mm.override.source import (
    call_index,
    home_of,
    is_taken,
    names_itself,
    nodes_of,
)
from acon_mm.probe.state import parameters_of
from acon_mm.starts import Start
from acon_mm.width import Features


@dataclass
class Seat:
    """One activation at one place.

    Attributes:
        path (str): Where its replacement will be found, e.g.
            ``layer1.0.act2``.
        owner (nn.Module): The module that holds it there.
        name (str): Its name in ``owner``.
        old (nn.Module, optional): The activation that runs there now, None
            of a function.
        kind (str): Name of the class of ``old``, or of the function.
        start (Start, optional): How ACON begins as that.
        stock (callable): What runs there now, but not in place.
        features (set[Features]): Channels of its inputs, several where one
            call serves several widths, none where they are not known.
        calls (list[SeatedCall]): Calls of ``owner`` that must be made to go
            to the seat; none where ``name`` is what they call.
        inplace (bool): Whether ``old`` changes its input.
        layers (list[nn.Module]): Layers that ran before it, the last first.
        ran (bool): Whether a pass has reached it.
        run (Run, optional): What reached it.
        first_calls (int): How often it ran in the first pass, in eval mode.
        most_calls (int): The most often in any.
        elsewhere (bool): Whether code that has not run calls it as well.
        new (nn.Module, optional): The replacement, once it is built.
    """
    path: str
    owner: nn.Module
    name: str
    old: nn.Module | None
    kind: str
    start: Start | None
    stock: Callable[[Tensor], Tensor]
    features: set[Features] = field(default_factory=set)
    calls: list[SeatedCall] = field(default_factory=list)
    inplace: bool = False
    layers: list[nn.Module] = field(default_factory=list)
    ran: bool = True
    run: object = None
    first_calls: int = 0
    most_calls: int = 1
    elsewhere: bool = False
    new: nn.Module | None = None

    @property
    def placed(self) -> bool:
        """Whether an override before this one has been here."""
        return isinstance(self.old, PLACED)

    @property
    def width(self) -> int | None:
        """Channels of its input, None if not known or not the same."""
        widths = {features.width for features in self.features}
        return widths.pop() if len(widths) == 1 else None

    @property
    def in_residual_block(self) -> bool:
        """Whether a block of a ResNet or of its relatives calls it."""
        return hasattr(self.owner, 'expansion') and hasattr(
            self.owner, 'downsample')

    @property
    def follows_spatial_conv(self) -> bool:
        """Whether the convolution in front of it is larger than 1x1."""
        for layer in self._own_layers():
            kernel = getattr(layer, 'kernel_size', None)
            if kernel is not None:
                return max(kernel if isinstance(kernel, tuple)
                           else (kernel, )) > 1
        return False

    @property
    def frozen(self) -> bool:
        """Whether the layer in front of it (or its owner) is frozen.

        Norms say nothing: ``norm_cfg=dict(requires_grad=False)`` freezes
        those of stages that train.
        """
        layer = next(self._own_layers(), self.owner)
        parameters = list(parameters_of(layer))
        return bool(parameters) and not any(
            p.requires_grad for p in parameters)

    def _own_layers(self) -> Iterator[nn.Module]:
        """Layers of the owner that ran before it, the last first."""
        own = {}
        for child in self.owner.children():
            listed = isinstance(child, nn.ModuleList)
            for layer in child.children() if listed else [child]:
                own.update((id(part), layer) for part in layer.modules())
        seen = [id(layer) for layer in self.layers]
        yield from dict.fromkeys(own[i] for i in seen if i in own)


def find_seats(calls: Iterable[Calls],
               paths: dict[int, str]) -> tuple[list[Seat], list[Calls]]:
    """Seats of what was seen to run.

    An activation that one place calls keeps its name; one that several
    places call, or whose input is changed later, gets a seat for each.

    Args:
        calls (iterable of Calls): What an observer has noted.
        paths (dict): Path of each module of the model by its ``id``.

    Returns:
        tuple: The seats, and the calls that no seat can take: functions in
        code that is not a module's own, or of kinds that ACON cannot be.
    """
    registered: dict[tuple[int, str], list[Calls]] = {}
    loose: list[list[Calls]] = []
    for one in calls:
        if one.owner is not None:
            registered.setdefault((id(one.owner), one.name), []).append(one)
        else:
            loose.append([one])
    seats, left, own = [], [], []
    groups = [*registered.values(), *loose]
    # `act(x)` in a loop over activations is many calls at one place
    places = Counter(one.place.key for group in groups for one in group)
    for group in groups:
        first = group[0]
        apart = first.owner is None or not isinstance(first.act, PLACED) and (
            len(group) > 1 or first.overwritten or first.by_keyword)
        located = apart and first.start is not None and all(
            places[one.place.key] == 1 for one in group) and _located(group)
        if located:
            own += located
        elif first.owner is not None:
            path = f'{paths[id(first.owner)]}.{first.name}'.lstrip('.')
            seats.append(_seat(path, first.owner, first.name, group, []))
        else:
            left += group
    return seats + _own_seats(own, paths), left


Located = tuple[nn.Module, tuple[str, str], int, list[Calls]]


def _located(group: list[Calls]) -> list[Located] | None:
    """Caller, where its method is, and node of each call; None if one of
    them cannot be told."""
    found: dict[tuple, Located] = {}
    for calls in group:
        place = calls.place
        if place.method is None:
            return None
        if names_itself(type(place.caller)):
            return None
        home = home_of(type(place.caller), place.method)
        index = call_index(place.method, place.traceback)
        if home is None or index is None or home[1] == '__init__' or (
                isinstance(place.caller, GraphModule)) or not can_rewrite(
                place.method) or (
                value_of(nodes_of(place.method)[index]) is None):
            return None
        key = id(place.caller), home, index
        found.setdefault(key, (place.caller, home, index, []))[3].append(
            calls)
    return list(found.values())


def _own_seats(located: list[Located], paths: dict[int, str]) -> list[Seat]:
    """Seats with names of their own, numbered in the order of the source."""
    callers = {id(caller): caller for caller, *_ in located}
    seats = []
    for caller_id, caller in callers.items():
        mine = sorted((one for one in located if one[0] is caller),
                      key=_position)
        taken: dict[str, int] = {}
        for _, (home, method), index, calls in mine:
            name = _free_name(caller, _base(caller, calls[0]), taken)
            copies = any(c.overwritten for c in calls)
            seats.append(_seat(
                f'{paths[caller_id]}.{name}'.lstrip('.'), caller, name,
                calls, [SeatedCall(method, index, name, copies, home,
                                   calls[0].kind,
                                   numbers_of(calls[0].start))]))
    return seats


def _position(one: Located) -> tuple:
    method = one[3][0].place.method
    node = nodes_of(method)[one[2]]
    return method.__code__.co_firstlineno, node.lineno, node.col_offset


def _base(caller: nn.Module, calls: Calls) -> str:
    """What a seat is called: after the attribute, ``act`` for ``relu``."""
    attribute = calls.name if calls.owner is caller and (
        calls.name.isidentifier()) else 'relu'
    if attribute == 'relu' and not is_taken(caller, 'act'):
        return 'act'
    return attribute


def _free_name(caller: nn.Module, base: str, taken: dict[str, int]) -> str:
    number = taken.get(base, 0) + 1
    while is_taken(caller, f'{base}{number}'):
        if isinstance(caller._modules.get(f'{base}{number}'), PLACED):
            number += 1
        else:
            base = f'{base}_act'
            number = taken.get(base, 0) + 1
    taken[base] = number
    return f'{base}{number}'


def _seat(path: str, owner: nn.Module, name: str, group: list[Calls],
          calls: list[SeatedCall]) -> Seat:
    first = group[0]
    return Seat(path, owner, name, first.act, first.kind, first.start,
                first.stock, _features(first.act, group), calls,
                any(one.inplace for one in group), first.layers,
                first_calls=sum(len(one.inputs[0]) for one in group),
                most_calls=max(sum(map(len, run)) for run in zip_longest(
                    *(one.inputs for one in group), fillvalue=())))


def _features(act: nn.Module | None, group: list[Calls]) -> set[Features]:
    """Channels of the inputs; those of slopes are in dimension 1."""
    if isinstance(act, nn.PReLU) and act.num_parameters > 1:
        return {Features(act.num_parameters)}
    return features_of(group)
