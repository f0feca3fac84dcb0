"""Every place in a model where a pointwise activation runs."""
from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn as nn

from acon_mm.activations import AconBase
from acon_mm.override.call_sites import (
    CallSite,
    call_sites,
    seat_name,
    seated_names,
)
from acon_mm.override.kinds import start_of
from acon_mm.width import keeps_width, output_width, seat_width


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
        width (int, optional): Channels of its input.
        aliases (list): Other (module, attribute) pairs that hold ``old``.
    """
    path: str
    owner: nn.Module
    attr: str
    site: CallSite | None
    several: bool
    old: nn.Module
    width: int | None
    aliases: list[tuple[nn.Module, str]]

    @property
    def in_residual_block(self) -> bool:
        """Whether a block of a ResNet or of its relatives calls it."""
        return hasattr(type(self.owner), 'expansion')

    @property
    def follows_spatial_conv(self) -> bool:
        """Whether the convolution in front of it is larger than 1x1."""
        for layer in _layers(self.owner, self.site):
            kernel = getattr(layer, 'kernel_size', None)
            if kernel is not None:
                return max(kernel if isinstance(kernel, tuple)
                           else (kernel, )) > 1
        return False

    @property
    def frozen(self) -> bool:
        """Whether the layers in front of it (or its owner) are frozen."""
        layers = _layers(self.owner, self.site)[:1] or [self.owner]
        parameters = [p for layer in layers for p in layer.parameters()]
        return bool(parameters) and not any(
            p.requires_grad for p in parameters)


def find_seats(model: nn.Module) -> Iterator[Seat]:
    """Seats of all pointwise activations of ``model`` that run.

    Args:
        model (nn.Module): A built model or a part of one.

    Yields:
        Seat: In the order of ``model.named_modules()``; activations of the
        ACON family that were placed before are among them.
    """
    for holders in _holders(model).values():
        (path, owner, attr), *others = holders
        old = getattr(owner, attr)
        aliases = [(module, name) for _, module, name in others]
        if isinstance(owner, nn.Sequential) or len(holders) > 1:
            # a list calls each of its layers once, whatever else holds it
            yield Seat(path, owner, attr, None, False, old,
                       seat_width(owner, attr), aliases)
            continue
        sites = call_sites(type(owner), attr)
        if len({site.index for site in sites}) < 2:
            for site in sites[:1]:
                yield Seat(path, owner, attr, site, False, old,
                           _width(owner, attr, site), aliases)
            continue
        prefix = path[:-len(attr)]
        for site in {site.index: site for site in sites}.values():
            name = seat_name(attr, site.index)
            seated = getattr(owner, name, None)
            yield Seat(prefix + name, owner, attr, site, True,
                       old if seated is None else seated,
                       _width(owner, attr, site), aliases)


def dead_activations(model: nn.Module) -> list[str]:
    """Paths of pointwise activations that no code of their owner calls."""
    return [
        path for ((path, owner, attr), *others) in _holders(model).values()
        if not others and not isinstance(owner, nn.Sequential)
        and not call_sites(type(owner), attr)
    ]


def _holders(model: nn.Module) -> dict[int, list]:
    """(path, module, attribute) of each activation, those in lists first."""
    found: dict[int, list] = {}
    for path, module in model.named_modules():
        if isinstance(module, AconBase):
            continue
        for name, child in module.named_children():
            if name in seated_names(type(module)) or (
                    start_of(child) is None
                    and not isinstance(child, AconBase)):
                continue
            where = (f'{path}.{name}' if path else name, module, name)
            found.setdefault(id(child), []).append(where)
    for holders in found.values():
        holders.sort(key=lambda h: not isinstance(h[1], nn.Sequential))
    return found


def _width(owner: nn.Module, attr: str,
           site: CallSite) -> int | None:
    width = seat_width(owner, attr)
    if width is not None:
        return width
    for layer in _layers(owner, site):
        width = output_width(layer)
        if width is not None or not keeps_width(layer):
            return width
    return None


def _layers(owner: nn.Module, site: CallSite | None) -> list:
    """Modules of the site's chain; a method other than plugins ends it."""
    layers = []
    for name in site.chain if site is not None else ():
        layer = getattr(owner, name, None)
        if isinstance(layer, nn.ModuleList):
            layer = layer[-1] if len(layer) else None
        if isinstance(layer, nn.Module):
            layers.append(layer)
        elif name != 'forward_plugin':  # plugins keep the width
            break
    return layers
