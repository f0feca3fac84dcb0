"""A switch that opens while a pretrained network goes on training."""
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from acon_mm.base import AconBase
from acon_mm.learned.record import activations_of
from acon_mm.meta_acon import MetaAconC
from acon_mm.registry import HOOKS
from acon_mm.starts import is_number


@ROOT_HOOKS.register_module()
@HOOKS.register_module()
class OpenSwitchHook(Hook):
    """Lowers beta of a warm start, so that more than the slopes can learn.

    An activation that begins as ReLU does (``init='match'``, beta = 100)
    leaves the network what it was, and has next to no gradient for beta:
    ``E[d^2 s (1 - s)]`` is about ``1.3 / beta^3``. Here each training step
    multiplies beta by the same factor, which ``begin`` and ``end`` share out,
    and the network follows. All of it is in p1, p2, beta and, of meta-ACON,
    the last bias of the beta net: checkpoints, a resumed training and
    inference need no hook.

    Only what begins with a larger beta than the one given opens, and nothing
    that is frozen. It is switched on by
    ``default_hooks.opening.type=acon_mm.OpenSwitchHook`` in
    ``--cfg-options``.

    Args:
        beta (float): Where it leads, beside what beta learns meanwhile.
            Defaults to 1.
        begin, end (float): Shares of the training. Defaults to 0 and 0.5.

    Raises:
        ValueError: ``beta`` not positive, or ``begin`` and ``end`` are not
            shares in this order.
    """

    def __init__(self, beta: float = 1., begin: float = 0.,
                 end: float = .5) -> None:
        if not is_number(beta) or beta <= 0:
            raise ValueError(f'beta={beta!r} of OpenSwitchHook must be a '
                             'positive number: 1 is an open switch.')
        if not (is_number(begin) and is_number(end)
                and 0 <= begin < end <= 1):
            raise ValueError(
                f'begin={begin!r} and end={end!r} of OpenSwitchHook must be '
                'shares of the training, such as 0 and 0.5.')
        self.beta, self.begin, self.end = beta, begin, end
        self.closed: list[tuple[AconBase, Tensor]] = []

    def before_train(self, runner: Runner) -> None:
        self.closed = [
            (act, ratio) for act in activations_of(runner.model).values()
            if (ratio := self._ratio(act)) is not None]
        if not self.closed:
            print_log('OpenSwitchHook found no activation that trains and '
                      f'begins with a beta above {self.beta:g}, and opens '
                      'nothing.', logger='current')

    def _ratio(self, act: AconBase) -> Tensor | None:
        """Its target over the beta that it begins with, 1 where none is."""
        if not _turned(act):
            return None
        # a sigmoid begins at one half, or around it
        first = (act.beta_scale / 2 if isinstance(act, MetaAconC)
                 else act.first('beta'))
        ratio = (self.beta / torch.as_tensor(first)).clamp(max=1.)
        return ratio if bool((ratio < 1).any()) else None

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: Any = None) -> None:
        first, last = (int(share * runner.max_iters)
                       for share in (self.begin, self.end))
        if first <= runner.iter < last:
            for act, ratio in self.closed:
                open_switch(act, ratio ** (1 / (last - first)))


def open_switch(act: AconBase, factor: Tensor) -> None:
    """Multiply beta.

    Args:
        act (AconBase): AconA, B or C; MetaAconC of level 'channel', whose
            beta is multiplied for an input that its net calls 0, the start.
        factor (Tensor): () or (C,), positive.
    """
    with torch.no_grad():
        parameter, = _turned(act)
        factor = factor.to(parameter)
        if isinstance(act, MetaAconC):
            share = parameter.sigmoid() * factor
            # whatever it has learned, it stays finite
            least = torch.finfo(share.dtype).tiny
            parameter.copy_(share.clamp(min=least).logit())
        else:
            parameter.mul_(factor)


def _turned(act: AconBase) -> list[Tensor]:
    """The parameter that holds the switch, if it trains."""
    if not isinstance(act, MetaAconC):
        parameter = act.beta
    elif act.level == 'channel':
        bare = isinstance(act.bn2, nn.Identity)
        parameter = (act.fc2 if bare else act.bn2).bias
    else:
        return []
    trains = parameter is not None and parameter.requires_grad
    return [parameter] if trains else []
