"""Every place in a model where a pointwise activation runs."""
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch.nn as nn

from acon_mm.activations import AconBase
from acon_mm.override.call_sites import CallSite, call_sites, runs
from acon_mm.override.features import features_at, layers_at
from acon_mm.override.kinds import start_of
from acon_mm.override.per_width import ActPerWidth
from acon_mm.override.seated import (
    can_be_seated,
    seat_name,
    seated_names,
    stock_class,
)
from acon_mm.width import Features

Holder = tuple[str, nn.Module, str]


@dataclass
class Seat:
    """One activation at one place.

    Attributes:
        path (str): Where it is, e.g. ``layer1.0.act2``; the path under which
            its replacement will be found.
        owner (nn.Module): The module whose code calls it.
        attr (str): The stock activation's attribute in ``owner``.
        site (CallSite, optional): The call; None in a list of layers.
        several (bool): Whether ``owner`` calls ``attr`` at other places too.
        old (nn.Module): The activation that runs there now.
        features (set[Features]): Channels of its inputs, several where one
            call serves several widths, none where they are not known.
        aliases (list): Other (module, attribute) pairs that hold ``old``.
    """
    path: str
    owner: nn.Module
    attr: str
    site: CallSite | None
    several: bool
    old: nn.Module
    features: set[Features] = field(default_factory=set)
    aliases: list[tuple[nn.Module, str]] = field(default_factory=list)

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
        for layer in layers_at(self.owner, self.site):
            kernel = getattr(layer, 'kernel_size', None)
            if kernel is not None:
                return max(kernel if isinstance(kernel, tuple)
                           else (kernel, )) > 1
        return False

    @property
    def frozen(self) -> bool:
        """Whether the layers in front of it (or its owner) are frozen."""
        layers = layers_at(self.owner, self.site)[:1] or [self.owner]
        parameters = [p for layer in layers for p in layer.parameters()]
        return bool(parameters) and not any(
            p.requires_grad for p in parameters)


def find_seats(model: nn.Module) -> Iterator[Seat]:
    """Seats of all pointwise activations of ``model`` that can run.

    Args:
        model (nn.Module): A built model or a part of one.

    Yields:
        Seat: In the order of ``model.named_modules()``; activations of the
        ACON family that were placed before are among them.
    """
    for holders in _holders(model).values():
        live = [holder for holder in holders if _is_live(holder)]
        if not live:
            continue
        path, owner, attr = live[0]
        sites = _running_sites(live[0])
        indices = {site.index for site in sites}
        if len(holders) == 1 and len(indices) > 1 and can_be_seated(
                stock_class(type(owner)), attr):
            yield from _seats_of_calls(live[0], sites)
            continue
        found = [
            features_at(*holder[1:], site) for holder in live
            for site in _running_sites(holder) or [None]
        ]
        yield Seat(path, owner, attr, sites[0] if sites else None, False,
                   getattr(owner, attr),
                   set().union(*found) if all(found) else set(),
                   [h[1:] for h in holders if h is not live[0]])


def idle_activations(model: nn.Module) -> list[str]:
    """Paths of pointwise activations that no code of their owner runs."""
    return [
        holders[0][0] for holders in _holders(model).values()
        if not any(_is_live(holder) for holder in holders)
    ]


def _seats_of_calls(holder: Holder, sites: list[CallSite]) -> Iterator[Seat]:
    path, owner, attr = holder
    for site in {site.index: site for site in sites}.values():
        name = seat_name(attr, site.index)
        yield Seat(path[:-len(attr)] + name, owner, attr, site, True,
                   getattr(owner, name, getattr(owner, attr)),
                   features_at(owner, attr, site))


def _holders(model: nn.Module) -> dict[int, list[Holder]]:
    """Path, module and attribute of each activation, those in lists first."""
    found: dict[int, list[Holder]] = {}
    for path, module in model.named_modules():
        if isinstance(module, (AconBase, ActPerWidth)):
            continue
        seated = seated_names(type(module))
        for name, child in module._modules.items():
            if name not in seated and is_activation(child):
                where = (f'{path}.{name}' if path else name, module, name)
                found.setdefault(id(child), []).append(where)
    for holders in found.values():
        holders.sort(key=lambda holder: not _in_list(holder))
    return found


def is_activation(module: nn.Module | None) -> bool:
    """Whether the override could replace it, or has put it there."""
    return isinstance(module, (AconBase, ActPerWidth)) or (
        start_of(module) is not None)


def _in_list(holder: Holder) -> bool:
    return isinstance(holder[1], (nn.Sequential, nn.ModuleList))


def _is_live(holder: Holder) -> bool:
    # a list calls each of its layers, whatever else holds them
    return _in_list(holder) or bool(_running_sites(holder))


def _running_sites(holder: Holder) -> list[CallSite]:
    _, owner, attr = holder
    if _in_list(holder):
        return []
    return [site for site in call_sites(stock_class(type(owner)), attr)
            if runs(owner, site.conditions)]
