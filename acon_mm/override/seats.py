"""Every place in a model where a pointwise activation runs."""
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch.nn as nn
from mmcv.cnn import is_norm

from acon_mm.activations import AconBase
from acon_mm.override.call_sites import CallSite, call_sites
from acon_mm.override.conditions import runs
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

# what an override puts on a seat
PLACED = (AconBase, ActPerWidth)


@dataclass
class Seat:
    """One activation at one place.

    Attributes:
        path (str): Where it is, e.g. ``layer1.0.act2``; the path under which
            its replacement will be found.
        owner (nn.Module): The module whose code calls it.
        attr (str): The stock activation's attribute in ``owner``.
        site (CallSite, optional): The call; None in a list of layers.
        seated (bool): Whether the call needs a seat of its own, because
            ``owner`` calls ``attr`` at other places too or overwrites its
            input.
        old (nn.Module): The activation that runs there now.
        features (set[Features]): Channels of its inputs, several where one
            call serves several widths, none where they are not known.
    """
    path: str
    owner: nn.Module
    attr: str
    site: CallSite | None
    seated: bool
    old: nn.Module
    features: set[Features] = field(default_factory=set)

    @property
    def spreads(self) -> bool:
        """Whether it changes in place what is read after the call."""
        return getattr(self.old, 'inplace', False) is True and any(
            site.read_again for site in _running_sites(self.owner, self.attr)
            if not self.seated or site.index == self.site.index)

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
        """Whether the layers in front of it (or its owner) are frozen.

        Norms alone say nothing: ``norm_cfg=dict(requires_grad=False)``
        freezes those of stages that train.
        """
        parameters = []
        for layer in layers_at(self.owner, self.site):
            parameters += layer.parameters()
            if parameters and not is_norm(layer):
                break
        else:
            parameters = list(self.owner.parameters())
        return bool(parameters) and not any(
            p.requires_grad for p in parameters)


def find_seats(model: nn.Module) -> Iterator[Seat]:
    """Seats of all pointwise activations of ``model`` that can run.

    An object that runs at several places has a seat at each of them; a name
    under which it does not run (``MixFFN.activate`` of SegFormer) has none.

    Args:
        model (nn.Module): A built model or a part of one.

    Yields:
        Seat: In the order of ``model.named_modules()``; activations of the
        ACON family that were placed before are among them.
    """
    for path, owner, attr in _holders(model):
        sites = _running_sites(owner, attr)
        indices = {site.index for site in sites}
        if (len(indices) > 1 or any(site.overwritten for site in sites)) and (
                can_be_seated(stock_class(type(owner)), attr)):
            yield from _seats_of_calls(path, owner, attr, sites)
        elif sites or _is_list(owner):
            found = [features_at(owner, attr, site)
                     for site in sites or [None]]
            yield Seat(path, owner, attr, sites[0] if sites else None, False,
                       getattr(owner, attr),
                       set().union(*found) if all(found) else set())


def idle_activations(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Pointwise activations without a seat.

    Yields:
        tuple[str, str]: The path, and why: its calls never run, or the
        source of its owner has none (it may be called by another name or
        from elsewhere).
    """
    for path, owner, attr in _holders(model):
        if not _is_list(owner) and not _running_sites(owner, attr):
            cls = stock_class(type(owner))
            yield path, 'never called' if call_sites(cls, attr) else (
                f'no call in the source of {cls.__name__}')


def _seats_of_calls(path: str, owner: nn.Module, attr: str,
                    sites: list[CallSite]) -> Iterator[Seat]:
    for site in {site.index: site for site in sites}.values():
        name = seat_name(type(owner), attr, site.index)
        yield Seat(path[:-len(attr)] + name, owner, attr, site, True,
                   getattr(owner, name, getattr(owner, attr)),
                   features_at(owner, attr, site))


def _holders(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Path, module and attribute of each activation."""
    placed = placed_parts(model)
    for path, module in model.named_modules():
        if id(module) in placed:
            continue
        seated = seated_names(type(module))
        for name, child in module._modules.items():
            if name not in seated and is_activation(child):
                yield f'{path}.{name}' if path else name, module, name


def placed_parts(model: nn.Module) -> set[int]:
    """``id`` of each module of what an override has put into ``model``."""
    return {id(part) for module in model.modules()
            if isinstance(module, PLACED) for part in module.modules()}


def is_activation(module: nn.Module | None) -> bool:
    """Whether the override could replace it, or has put it there."""
    return isinstance(module, PLACED) or start_of(module) is not None


def _is_list(owner: nn.Module) -> bool:
    """Whether each of its layers runs: it has no code of its own."""
    return isinstance(owner, (nn.Sequential, nn.ModuleList)) and (
        type(owner).forward in (nn.Sequential.forward, nn.Module.forward))


def _running_sites(owner: nn.Module, attr: str) -> list[CallSite]:
    if _is_list(owner):
        return []
    return [site for site in call_sites(stock_class(type(owner)), attr)
            if runs(owner, site.conditions)]
