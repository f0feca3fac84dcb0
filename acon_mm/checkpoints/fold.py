"""Folding what a trained model needs no more once it only predicts."""
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn as nn
from mmcv.cnn import fuse_conv_bn
from mmengine.logging import print_log
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_weights

from acon_mm.activations import AconA, AconB, AconC
from acon_mm.base import AconBase
from acon_mm.functional.reference import broadcast
from acon_mm.meta_acon import MetaAconC
from acon_mm.override.joined_norm import is_frozen
from acon_mm.probe.inputs import Feed, feeds
from acon_mm.probe.running import call, equal, tensors
from acon_mm.probe.state import undisturbed
from acon_mm.watched import is_watched

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# a smooth maximum is at most 0.2785 / beta from the maximum
SHARP = 0.2785 / 1e-5


class Folding(NamedTuple):
    """What :func:`fold` has folded.

    Attributes:
        norms (int): Batch norms that are part of a convolution now.
        beta_nets (int): Nets of meta-ACON without their batch norms.
        activations (int): ACONs that are two slopes a channel.
        saved (int): Parameters and buffers that the model has less.
        left (int): Those that it has.
    """
    norms: int
    beta_nets: int
    activations: int
    saved: int
    left: int

    def __str__(self) -> str:
        return (f'Folded {self.norms} norms into convolutions, '
                f'{self.beta_nets} beta nets, {self.activations} activations '
                f'with beta at a limit: {self.saved} numbers fewer, '
                f'{self.left} left.')


class TwoSlopes(nn.Module):
    """ACON at a limit of beta: a slope above zero and one below.

    Args:
        upper, lower (Tensor): Slopes, (C,).
        channel_dim (int): The channels' dimension.
    """

    def __init__(self, upper: Tensor, lower: Tensor,
                 channel_dim: int) -> None:
        super().__init__()
        self.upper, self.lower = nn.Parameter(upper), nn.Parameter(lower)
        self.channel_dim = channel_dim

    def forward(self, x: Tensor) -> Tensor:
        upper, lower = (broadcast(p, x, self.channel_dim, True)
                        for p in (self.upper, self.lower))
        return (torch.where(x > 0, upper, lower) * x).to(x.dtype)


def fold(model: nn.Module, inputs: tuple | None = None) -> Folding:
    """Fold, in place, what inference can do without.

    Batch norms become part of the convolution in front of them, those of
    meta-ACON's beta nets of its layers, and an ACON all of whose betas are 0
    or beyond 27850 becomes two slopes. The outputs stay what they were, but
    for rounding.

    Args:
        model (nn.Module): A model in eval mode, with its final weights. It
            can be saved; loading that takes a model that was folded too.
        inputs (tuple, optional): Positional arguments to run it on, which
            tells the convolution in front of a norm. Defaults to small
            images or what else its layers take; norms outside beta nets
            stay if it runs on none.

    Returns:
        Folding: What was folded and saved, which the log says too.

    Raises:
        ValueError: The model is in training mode.
    """
    if model.training:
        raise ValueError('fold() got a model in training mode, whose norms '
                         'still change: call model.eval() first.')
    before = _size(model)
    with torch.no_grad():
        beta_nets = [act for act in model.modules() if _has_norms(act)]
        for act in beta_nets:
            fuse_conv_bn(act)
        activations = [act for act in model.modules() if _at_limit(act)]
        for act in activations:
            _replace(model, act, _two_slopes(act))
        norms = _fold_norms(model, inputs)
    left = _size(model)
    folding = Folding(norms, len(beta_nets), len(activations), before - left,
                      left)
    print_log(str(folding), logger='current')
    return folding


def _size(model: nn.Module) -> int:
    return sum(tensor.numel()
               for tensor in (*model.parameters(), *model.buffers()))


def _has_norms(act: nn.Module) -> bool:
    """Whether it is a meta-ACON with batch norms in its net."""
    return (isinstance(act, MetaAconC) and act.level == 'channel'
            and is_frozen(act.bn1) and is_frozen(act.bn2))


def _at_limit(act: nn.Module) -> bool:
    return type(act) in (AconA, AconB, AconC) and not is_watched(act) and (
        bool(((act.beta == 0) | (act.beta.abs() >= SHARP)).all()))


def _two_slopes(act: AconBase) -> TwoSlopes:
    p1, p2 = torch.ones_like(act.beta), torch.zeros_like(act.beta)
    if type(act) is AconC:
        p1, p2 = act.p1, act.p2
    elif type(act) is AconB:
        p2 = act.p
    mean, low, high = (p1 + p2) / 2, torch.minimum(p1, p2), torch.maximum(
        p1, p2)
    upper = torch.where(act.beta > 0, high, low)
    lower = torch.where(act.beta > 0, low, high)
    return TwoSlopes(torch.where(act.beta == 0, mean, upper),
                     torch.where(act.beta == 0, mean, lower),
                     act.channel_dim).eval()


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in [*model.modules()]:
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new


def _fold_norms(model: nn.Module, inputs: tuple | None) -> int:
    """Fold norms into convolutions; how many."""
    given = inputs or ()
    fed = Feed(lambda: (given, {}), lambda: (given, {}))
    for feed in feeds(model) if inputs is None else [fed]:
        try:
            with undisturbed(model):
                pairs, outputs = _watch(model, feed)
            break
        except Exception:  # not what it takes
            if inputs is not None:
                raise
    else:
        return 0
    kept = [(conv, conv.weight, conv.bias) for conv, _ in pairs]
    put = [(norm, _fold_pair(conv, norm)) for conv, norm in pairs]
    for norm, identity in put:
        _replace(model, norm, identity)
    with undisturbed(model):
        after = tensors(call(model, feed.first(), training=False))
    if equal(after, outputs):
        return len(pairs)
    # something else reads what a convolution gives
    for norm, identity in put:
        _replace(model, identity, norm)
    for conv, weight, bias in kept:
        conv.weight, conv.bias = weight, bias
    return 0


def _watch(model: nn.Module,
           feed: Feed) -> tuple[list[tuple[nn.Module, nn.Module]],
                                list[Tensor]]:
    """Convolutions with the norm behind each, and the model's outputs."""
    convs = [m for m in model.modules()
             if type(m) in CONVOLUTIONS and not is_watched(m)]
    norms = [m for m in model.modules() if is_frozen(m)]
    made: dict[int, tuple[nn.Module, Tensor]] = {}
    runs: dict[nn.Module, int] = defaultdict(int)
    behind: dict[nn.Module, list] = defaultdict(list)

    def after_conv(conv: nn.Module, _: tuple, output: Tensor) -> None:
        runs[conv] += 1
        made[id(output)] = conv, output  # kept, so that no other has its id

    def before_norm(norm: nn.Module, args: tuple) -> None:
        conv, _ = made.get(id(args[0]), (None, None))
        behind[norm].append(conv)

    hooks = [conv.register_forward_hook(after_conv) for conv in convs]
    hooks += [norm.register_forward_pre_hook(before_norm) for norm in norms]
    try:
        outputs = tensors(call(model, feed.first(), training=False))
    finally:
        for hook in hooks:
            hook.remove()
    return list(_pairs(runs, behind)), outputs


def _pairs(runs: dict[nn.Module, int], behind: dict[nn.Module, list]
           ) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Those that ran as often as each other, always in turn."""
    for norm, convs in behind.items():
        conv = convs[0]
        if conv is not None and all(one is conv for one in convs) and (
                runs[conv] == len(convs)):
            yield conv, norm


def _fold_pair(conv: nn.Module, norm: nn.Module) -> nn.Identity:
    numbers = [None if t is None else t.double() for t in (
        conv.weight, conv.bias, norm.running_mean, norm.running_var,
        norm.weight, norm.bias)]
    weight, bias, mean, variance, gamma, offset = numbers
    folded = fuse_conv_bn_weights(weight, bias, mean, variance, norm.eps,
                                  gamma, offset)
    conv.weight, conv.bias = (
        nn.Parameter(value.to(conv.weight.dtype), p.requires_grad)
        for value, p in zip(folded, (conv.weight, conv.weight)))
    return nn.Identity().eval()
