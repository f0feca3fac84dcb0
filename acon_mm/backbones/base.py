"""What this package's backbones share."""
from collections.abc import Sequence
from typing import Any

import torch.nn as nn
import torch.utils.checkpoint as cp
from mmcv.cnn import build_activation_layer
from mmengine.model import BaseModule, ModuleList
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import Tensor

from acon_mm.act_cfg import check_act_cfg
from acon_mm.base import AconBase
from acon_mm.lookup import namesakes


class Block(BaseModule):
    """A block that may recompute its inside in the backward pass.

    Args:
        with_cp (bool): Checkpoint: less memory, more time. Defaults to False.
    """

    def __init__(self, with_cp: bool = False) -> None:
        super().__init__()
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return cp.checkpoint(self.run, x, use_reentrant=False)
        return self.run(x)

    def run(self, x: Tensor) -> Tensor:
        """What the block computes."""
        raise NotImplementedError


class StagedBackbone(BaseModule):
    """A stem ``conv1`` and the stages ``layers``, with OpenMMLab's switches.

    Stages behind the last one of ``out_indices`` are not built: parameters
    that get no gradient would stop distributed training.

    Args:
        num_stages (int): Stages that the network has.
        out_indices (Sequence[int]): Stages whose outputs are returned.
        frozen_stages (int): Stages that are fixed: -1 none, 0 the stem, n the
            stem and the first n stages.
        norm_eval (bool): Keep the running statistics of all batch norms as
            they are, those in the activations too.
        init_cfg (dict, optional): As in ``BaseModule``.

    Raises:
        ValueError: ``out_indices`` or ``frozen_stages`` out of range.
        TypeError: ``act_cfg`` is no dict, or the override's ``placement``
            is given.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> 'StagedBackbone':
        # before a network's own __init__ that names its arguments
        if 'placement' in kwargs:
            others = ''.join(f", or write type='{other}'"
                             for other in namesakes(cls.__name__))
            raise TypeError(
                f'placement={kwargs["placement"]!r} is not for acon_mm.'
                f'{cls.__name__}, all of whose activations are act_cfg: '
                f'leave it out{others}.')
        if 'act_cfg' in kwargs:
            check_act_cfg(kwargs['act_cfg'])
        for key in ('norm_cfg', 'conv_cfg'):
            if not isinstance(kwargs.get(key), (dict, type(None))):
                raise TypeError(f'{key}={kwargs[key]!r} of {cls.__name__} '
                                'must be a dict such as dict(type=...).')
        return super().__new__(cls)

    def __init__(self,
                 num_stages: int,
                 out_indices: Sequence[int],
                 frozen_stages: int,
                 norm_eval: bool,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        name = type(self).__name__
        if not isinstance(out_indices, Sequence) or not out_indices or any(
                i not in range(num_stages) for i in out_indices):
            raise ValueError(
                f'out_indices={out_indices!r} of {name} must be one or '
                f'more stages of 0..{num_stages - 1}.')
        self.out_indices = tuple(out_indices)
        self.num_stages = max(out_indices) + 1
        if frozen_stages not in range(-1, self.num_stages + 1):
            raise ValueError(
                f'frozen_stages={frozen_stages!r} of {name} must be in '
                f'-1..{self.num_stages} with out_indices={self.out_indices}.')
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.layers = ModuleList()

    def stem(self, x: Tensor) -> Tensor:
        """Features before the first stage."""
        return self.conv1(x)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the stages ``out_indices``, each (N, C, H, W)."""
        x = self.stem(x)
        outs = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> 'StagedBackbone':
        """Set the mode; frozen stages and, on demand, norms stay in eval."""
        super().train(mode)
        if self.frozen_stages >= 0:
            for module in [self.conv1, *self.layers[:self.frozen_stages]]:
                module.eval()
                module.requires_grad_(False)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def choose_width(name: str, widen_factor: float, sizes: dict) -> Any:
    """The entry of ``sizes`` for a width.

    Raises:
        ValueError: The network has no such size.
    """
    if widen_factor not in sizes:
        raise ValueError(f'widen_factor={widen_factor!r} of {name} must be '
                         f'one of {", ".join(map(str, sizes))}.')
    return sizes[widen_factor]


def build_act(act_cfg: dict, num_channels: int) -> nn.Module:
    """Activation for an input of known width, whatever its type."""
    act = build_activation_layer(act_cfg)
    if isinstance(act, AconBase):
        act.bind(num_channels)
    return act
