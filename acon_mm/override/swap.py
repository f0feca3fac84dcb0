"""Swapping the activations of a built model."""
import contextlib
import difflib
from collections.abc import Sequence

import torch.nn as nn
from mmcv.cnn import build_activation_layer
from mmengine.registry import MODELS as ROOT_MODELS
from torch.nn.parameter import is_lazy

from acon_mm.act_cfg import META_ACON, check_act_cfg
from acon_mm.base import AconBase
from acon_mm.override.find import Found, find
from acon_mm.override.install import install
from acon_mm.override.per_width import ActPerWidth
from acon_mm.override.placement import Placement
from acon_mm.override.registered import PLACED, placed_parts
from acon_mm.override.report import SwapReport
from acon_mm.override.runs import Refused
from acon_mm.override.seated import stock_class
from acon_mm.override.seats import Seat
from acon_mm.override.verify import sound
from acon_mm.own_stream import own_stream
from acon_mm.probe.running import runnable
from acon_mm.probe.state import (
    Noting,
    Written,
    parameters_of,
    undisturbed,
)
from acon_mm.width import Features


@own_stream()  # all draw in turn from it, so that no two start alike
def swap_activations(model: nn.Module,
                     act_cfg: dict | None = None,
                     placement: str | Sequence[str] = 'paper',
                     name: str | None = None,
                     verify: bool = True,
                     inputs: tuple | dict | None = None) -> SwapReport:
    """Replace pointwise activations of ``model``, in place.

    The model, or where that fails its parts, runs on small inputs to see
    which activations run, from where and on how many channels. Modules and
    functions (``F.relu``) are replaced alike.

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
        verify (bool): Whether the swapped model runs once more: its outputs
            must be the stock model's while each new activation computes what
            it replaces, and each must get a gradient. What fails is put
            back, with the reason in the report. Defaults to True.
        inputs (tuple or dict, optional): Arguments to run the model on, by
            position or by name. Defaults to small images or what else its
            layers take.

    Returns:
        SwapReport: What was replaced by what, and what was left and why.

    Raises:
        TypeError: ``model`` is no module, or ``act_cfg`` is no dict or no
            activation's.
        ValueError: A placement or a pattern of it matches nothing, a width
            cannot be known or is not the given ``num_channels``, the model
            does not run on ``inputs``, or it has lazy layers without sizes.
        KeyError: Unknown activation.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f'swap_activations() got {model!r} as model: give a '
                        'built nn.Module.')
    if any(map(is_lazy, parameters_of(model))):
        raise ValueError(
            f'{type(model).__name__} has lazy layers that know no size yet: '
            'run it once on what it takes, and swap its activations then.')
    act_cfg = _complete(act_cfg)
    name = name or stock_class(type(model)).__name__
    report = SwapReport(name, act_cfg['type'])
    with runnable(model):
        found = find(model, inputs)
        chosen = Placement(placement).select(
            found.seats, model, name, len(found.functional),
            found.why_none(name))
        new = _build_all([s for s in chosen if not s.placed], act_cfg, model,
                         name, found.blind)
        if verify:
            new = _verified(model, found, new, report)
    install(new)
    _keep_stock(new)
    _retire(found, new)
    _freeze_new(model)
    _fill(report, found, chosen, new)
    report.log()
    return report


def _verified(model: nn.Module, found: Found, seats: list[Seat],
              report: SwapReport) -> list[Seat]:
    """Seats whose swap leaves the model whole; the report has the others."""
    kept = [seat for seat in seats if not seat.ran]
    for run in found.runs:
        good, bad = sound(model, run, [s for s in seats if s.run is run])
        kept += good
        for seat in seats:
            if seat.path in bad:
                report.leave(seat.path, seat.kind, bad[seat.path],
                             seat.most_calls)
    return [seat for seat in seats if seat in kept]


def _keep_stock(new: list[Seat]) -> None:
    """For inputs of widths that no pass has shown."""
    for seat in new:
        # slopes would train there alone
        if seat.new is not None and not isinstance(seat.old, nn.PReLU):
            for act in seat.new.modules():
                if isinstance(act, PLACED):
                    act.instead = seat.stock


def _retire(found: Found, new: list[Seat]) -> None:
    """A PReLU that nothing calls any more gets no gradient."""
    kept = {id(seat.old) for seat in found.seats
            if seat.elsewhere or not any(seat is one for one in new)}
    for seat in new:
        if seat.calls and seat.old is not None and id(seat.old) not in kept:
            seat.old.requires_grad_(False)


def _fill(report: SwapReport, found: Found, chosen: list[Seat],
          new: list[Seat]) -> None:
    """Tell of every seat, in the order of the model."""
    told = {entry.path for entry in report.left}
    for seat in found.seats:
        if any(seat is one for one in new):
            report.swap(seat.path, seat.kind, seat.new, seat.width, seat.ran)
        elif seat.placed:
            report.leave(seat.path, seat.kind, 'already there')
        elif not any(seat is one for one in chosen):
            report.leave(seat.path, seat.kind, 'outside the placement')
        elif seat.path not in told:
            report.leave(seat.path, seat.kind, 'its width is not to be seen',
                         seat.most_calls)
    for path, kind, why in found.left:
        report.leave(path, kind, why)
    report.functional = found.functional + found.unreached
    if found.blind is not None:
        report.blind = found.blind.said


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
    written = Written(model)
    with undisturbed(model):  # LoRA merges weights in its `train`
        with contextlib.suppress(Exception), Noting(written):
            model.train()  # of a trainer, say
        written.give_back()
        eval_only = [module for module in model.modules()
                     if id(module) in new and not module.training]
    for module in eval_only:
        module.training = False


def _build_all(seats: list[Seat], act_cfg: dict, model: nn.Module,
               name: str, blind: Refused | None) -> list[Seat]:
    """Seats that have a new activation now.

    Raises:
        ValueError: None has, since no width is known and nothing ran.
    """
    needs_width = 'num_channels' not in act_cfg
    built, unknown = [], []
    for seat in seats:
        if seat.features or not (needs_width and _is_acon(act_cfg)):
            seat.new = _build(seat, act_cfg, model)
            built.append(seat)
        else:
            unknown.append(seat)
    if unknown and not built and not any(seat.ran for seat in unknown):
        why = f', as {blind.said}' if blind else ''
        raise ValueError(
            f'The width of {name}.{unknown[0].path} ({unknown[0].kind}) '
            f'cannot be known{why}: hand swap_activations(inputs=...) what '
            'the model takes, or leave it out of placement by naming the '
            "paths to swap, such as ['layer4.*'].")
    return built


def _build(seat: Seat, act_cfg: dict, model: nn.Module) -> nn.Module:
    """The new activation, one for each width where there are several."""
    if len(seat.features) < 2:
        new = _build_act(seat, act_cfg, next(iter(seat.features), None))
    else:
        by_width = {features.width: features for features in seat.features}
        new = ActPerWidth(
            lambda width: _build_act(seat, act_cfg, by_width[width]),
            sorted(by_width), next(iter(seat.features)).channel_dim)
    reference = next(
        (p for module in (*seat.layers[:1], seat.owner, model)
         for p in parameters_of(module)
         if p.is_floating_point()), None)
    if reference is not None:
        new.to(reference.device, reference.dtype)
    if seat.frozen:
        new.requires_grad_(False)
    return new.train(seat.owner.training)


def _is_acon(act_cfg: dict) -> bool:
    return isinstance(_build_layer(act_cfg), AconBase)


def _build_act(seat: Seat, act_cfg: dict,
               features: Features | None) -> nn.Module:
    cfg = dict(act_cfg)
    if cfg['type'] == 'PReLU' and features and features.channel_dim == 1:
        cfg.setdefault('num_parameters', features.width)  # a slope a channel
    new = _build_layer(cfg)
    if not isinstance(new, AconBase):
        return new
    if 'init' not in act_cfg:
        new.init = 'match'
    new.start = seat.start or new.start
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
