"""Channels that arrive at a call site, found without running the model."""
import torch.nn as nn

from acon_mm.override.call_sites import CallSite
from acon_mm.override.conditions import Pick
from acon_mm.override.dataflow import returned_layers
from acon_mm.override.seated import stock_class
from acon_mm.override.source import methods, parse
from acon_mm.width import (
    Features,
    keeps_width,
    last_features,
    output_features,
    seat_features,
)

# methods of stock modules that hand a value on with its width
KEEP_WIDTH = ('forward_plugin', )


def features_of(module: nn.Module) -> Features | None:
    """Channels of what a module returns, by its layers or its source."""
    features = output_features(module)
    if features is not None:
        return features
    if isinstance(module, nn.Sequential):
        return last_features(module, features_of)
    if type(module).__module__.startswith('torch.nn.'):
        return None
    forward = methods(stock_class(type(module))).get('forward')
    tree = parse(forward) if forward is not None else None
    found = _after(module, returned_layers(tree)) if tree else set()
    return found.pop() if len(found) == 1 else None


def features_at(owner: nn.Module, attr: str,
                site: CallSite | None) -> set[Features]:
    """Channels that ``owner`` hands to its activation ``attr`` at ``site``.

    Args:
        owner (nn.Module): The module whose code makes the call.
        attr (str): The activation's name in it.
        site (CallSite, optional): The call; None in a list of layers.

    Returns:
        set[Features]: Several where the call is in a loop over layers of
        different widths; none if they cannot be known.
    """
    features = seat_features(owner, attr, features_of)
    if features is not None:
        return {features}
    return _after(owner, site.chain, site.picks) if site else set()


def layers_at(owner: nn.Module, site: CallSite | None) -> list[nn.Module]:
    """Layers in front of a call site, the nearest first."""
    layers = []
    for path in site.chain if site is not None else ():
        found = _resolve(owner, path)
        if found:
            layers.append(found[-1])
        elif found is None:
            break
    return layers


def _after(owner: nn.Module, chain: tuple[str, ...],
           picks: tuple[Pick, ...] = ()) -> set[Features]:
    for path in chain:
        found = _resolve(owner, path)
        if found is None:
            return set()
        for pick in picks:
            if pick.layers == path:
                found = [layer for index, layer in enumerate(found)
                         if pick.holds(owner, index)]
        answers = {features_of(layer) for layer in found}
        if answers - {None}:
            return set() if None in answers else answers
        if not all(keeps_width(layer) for layer in found):
            return set()
    return set()


def _resolve(owner: nn.Module, path: str) -> list[nn.Module] | None:
    """Modules that a path of the source stands for.

    Returns:
        list: One module, all of a list's where the source takes any of
        them, none where it keeps the width; None if it cannot be known.
    """
    if path in KEEP_WIDTH:
        return []
    found = owner
    for name in path.split('.'):
        if name.lstrip('-').isdigit():
            if not isinstance(found, (nn.Sequential, nn.ModuleList)) or (
                    not -len(found) <= int(name) < len(found)):
                return None
            found = found[int(name)]
        else:
            found = getattr(found, name, None)
    if found is None:
        return []  # `self.norm1(x)` where there is no norm
    if isinstance(found, nn.ModuleList):
        return list(found)
    return [found] if isinstance(found, nn.Module) else None
