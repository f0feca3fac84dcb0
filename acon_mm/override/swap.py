"""Swapping the activations of a built model."""
import difflib
from collections.abc import Sequence

import torch.nn as nn
from mmcv.cnn import build_activation_layer
from mmengine.registry import MODELS as ROOT_MODELS

from acon_mm.act_cfg import META_ACON, check_act_cfg
from acon_mm.activations import AconBase
from acon_mm.override.functional_calls import functional_calls
from acon_mm.override.kinds import start_of, unmatched_activations
from acon_mm.override.per_width import ActPerWidth
from acon_mm.override.placement import Placement
from acon_mm.override.probe import probe_features
from acon_mm.override.report import SwapReport
from acon_mm.override.seated import seat_calls, stock_class
from acon_mm.override.seats import (
    PLACED,
    Seat,
    find_seats,
    idle_activations,
    placed_parts,
)
from acon_mm.width import Features


def swap_activations(model: nn.Module,
                     act_cfg: dict | None = None,
                     placement: str | Sequence[str] = 'paper',
                     name: str | None = None) -> SwapReport:
    """Replace pointwise activations of ``model``, in place.

    Where the source does not tell the width of a chosen activation, the
    backbone runs on two empty images.

    Args:
        model (nn.Module): A built model or a part of one, in any state of
            training, on any device.
        act_cfg (dict, optional): The new activation, any that MMCV builds;
            the type is 'acon_mm.MetaAconC' unless it says another. ACON
            starts as what it replaces unless it says ``init='paper'``.
        placement (str or sequence of str): 'paper' (the backbone only: in a
            residual block the activations after a spatial convolution; in a
            backbone without such blocks all), 'all', or patterns of module
            paths, as in :mod:`fnmatch`, each of which must match.
        name (str, optional): Model's name in the log. Defaults to its class.

    Returns:
        SwapReport: What was replaced by what, and what was left and why.

    Raises:
        TypeError: ``act_cfg`` is no dict, or no activation's.
        ValueError: A placement or a pattern of it matches nothing, a width
            cannot be known or is not the given ``num_channels``.
        KeyError: Unknown activation.
    """
    act_cfg = _complete(act_cfg)
    name = name or stock_class(type(model)).__name__
    seats = list(find_seats(model))
    chosen = Placement(placement).select(seats, model, name)
    probe_features(model, [
        seat for seat in chosen if not seat.features and not _placed(seat)])
    report = SwapReport(name, act_cfg['type'])
    for seat in seats:
        if not any(seat is one for one in chosen):
            report.leave(seat.path, seat.old, 'outside the placement')
        elif _placed(seat):
            report.leave(seat.path, seat.old, 'already there')
        elif seat.spreads:
            report.leave(seat.path, seat.old, 'inplace, and its input is '
                         'read again')
        else:
            report.swap(seat.path, seat.old, _replace(seat, act_cfg, name),
                        seat.width)
    for path, why in idle_activations(model):
        report.leave(path, model.get_submodule(path), why)
    for path, act in unmatched_activations(model):
        report.leave(path, act, 'ACON cannot start like it')
    report.functional = functional_calls(model)
    _freeze_new(model)
    report.log()
    return report


def _complete(act_cfg: dict | None) -> dict:
    """A config of the new activation that has a type."""
    act_cfg = {} if act_cfg is None else act_cfg
    check_act_cfg(act_cfg)
    return dict(dict(type=META_ACON), **act_cfg)


def _freeze_new(model: nn.Module) -> None:
    """Frozen stages freeze in ``train()``, and ``norm_eval`` acts there.

    The new modules follow; the old ones stay in the modes that they had.
    """
    new = placed_parts(model)
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    for module, training in modes:
        module.training = training and (
            module.training or id(module) not in new)


def _placed(seat: Seat) -> bool:
    """Whether an override before this one has been here."""
    return isinstance(seat.old, PLACED)


def _replace(seat: Seat, act_cfg: dict, name: str) -> nn.Module:
    """Put a new activation on the seat and return it."""
    new = _build(seat, act_cfg, name)
    reference = next(seat.owner.parameters(), None)
    if reference is not None:
        new.to(reference.device, reference.dtype)
    if seat.frozen:
        new.requires_grad_(False)
    new.train(seat.old.training)
    setattr(seat.owner, seat.path.rpartition('.')[2], new)
    if seat.seated:
        seat_calls(seat.owner, seat.attr, [seat.site.index])
    return new


def _build(seat: Seat, act_cfg: dict, name: str) -> nn.Module:
    """The new activation, one for each width where there are several."""
    if len(seat.features) < 2:
        return _build_act(seat, act_cfg, name, next(iter(seat.features), None))
    by_width = {features.width: features for features in seat.features}
    return ActPerWidth(
        lambda width: _build_act(seat, act_cfg, name, by_width[width]),
        sorted(by_width), next(iter(seat.features)).channel_dim)


def _build_act(seat: Seat, act_cfg: dict, name: str,
               features: Features | None) -> nn.Module:
    cfg = dict(act_cfg)
    if cfg['type'] == 'PReLU' and features and features.channel_dim == 1:
        cfg.setdefault('num_parameters', features.width)  # a slope a channel
    new = _build_layer(cfg)
    if not isinstance(new, AconBase):
        return new
    if 'init' not in act_cfg:
        new.init = 'match'
    if new.num_channels is None and features is None:
        raise ValueError(
            f'The width of {name}.{seat.path} ({type(seat.old).__name__}) '
            'cannot be known: leave it out of placement by naming the paths '
            "to swap, such as ['layer4.*'].")
    new.start = start_of(seat.old) or new.start
    if new.num_channels is not None:  # and so it has begun otherwise
        new.init_weights()
    if features is not None:
        new.bind(features.width)
        if 'channel_dim' not in act_cfg:
            new.channel_dim = features.channel_dim
    return new


def _build_layer(cfg: dict) -> nn.Module:
    """What MMCV builds of it."""
    try:
        return build_activation_layer(cfg)
    except KeyError as error:
        name = str(cfg['type']).rpartition('.')[2]
        near = difflib.get_close_matches(
            name, ROOT_MODELS.module_dict, n=1, cutoff=0.)
        raise KeyError(f"act_cfg type {cfg['type']!r} is not a registered "
                       f'activation: did you mean {near[0]!r}?') from error
    except TypeError as error:  # BN wants num_features
        raise TypeError(f'act_cfg={cfg} does not build an activation: '
                        f"{error}; choose one such as '{META_ACON}'."
                        ) from error
