"""TFNet, the network made of AconFReLU."""
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import Sequential
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor

from acon_mm.backbones.base import (
    Block,
    StagedBackbone,
    build_act,
    choose_width,
)
from acon_mm.frelu import FunnelBase
from acon_mm.registry import MODELS

STAGE_BLOCKS = (2, 3, 8, 3)
STEM_CHANNELS = {0.5: 8, 1.0: 16, 1.5: 24, 2.0: 32}
LAST_CHANNELS = 1024


def is_funnel(act_cfg: dict) -> bool:
    """Whether an activation halves the resolution itself on demand."""
    kind = act_cfg['type']
    if isinstance(kind, str):
        kind = ROOT_MODELS.get(kind)
    return isinstance(kind, type) and issubclass(kind, FunnelBase)


def downsampling_act(act_cfg: dict, num_channels: int) -> nn.Module:
    """Activation at stride 2; a pointwise one gets the funnel's max pool."""
    if is_funnel(act_cfg):
        return build_act(dict(act_cfg, stride=2), num_channels)
    return nn.Sequential(
        nn.MaxPool2d(3, stride=2, padding=1), build_act(act_cfg, num_channels))


class TFBlock(Block):
    """Two pointwise convolutions beside the input, then an activation.

    Their sum is activated at stride 1; at stride 2 it is their concatenation,
    and the activation halves the resolution.

    Args:
        in_channels (int): Input channels; the output has ``stride`` times as
            many.
        stride (int): 1 or 2.
        conv_cfg, norm_cfg, act_cfg (dict): As in ``ConvModule``.
        with_cp (bool): As in :class:`Block`.
    """

    def __init__(self,
                 in_channels: int,
                 stride: int,
                 conv_cfg: dict | None,
                 norm_cfg: dict,
                 act_cfg: dict,
                 with_cp: bool = False) -> None:
        super().__init__(with_cp)
        self.stride = stride
        cfg: dict[str, Any] = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self.branch = Sequential(
            ConvModule(in_channels, in_channels, 1, act_cfg=act_cfg, **cfg),
            ConvModule(in_channels, in_channels, 1, act_cfg=None, **cfg))
        build = build_act if stride == 1 else downsampling_act
        self.act = build(act_cfg, in_channels * stride)

    def run(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        if self.stride == 1:
            return self.act(x + out)
        return self.act(torch.cat((x, out), dim=1))


@MODELS.register_module()
class TFNet(StagedBackbone):
    """TFNet, the toy funnel network (https://arxiv.org/abs/2009.04759).

    Its stages 0..3 have strides 4, 8, 16 and 32; index 4 is the last 1x1
    convolution.

    Args:
        widen_factor (float): 0.5, 1.0, 1.5 or 2.0. Defaults to 1.0.
        out_indices (Sequence[int]): Of 0..4. Defaults to (0, 1, 2, 3).
        frozen_stages (int): -1 none, 0 the stem, n the stem and n stages.
            Defaults to -1.
        conv_cfg (dict, optional): Defaults to None.
        norm_cfg (dict): Also that of the funnels. Defaults to
            ``dict(type='BN')``.
        act_cfg (dict): All but the stem's, which is ReLU. Defaults to
            ``dict(type='AconFReLU')``. A pointwise activation gets a max pool
            in front where it must downsample.
        norm_eval (bool): Keep the batch norms' statistics. Defaults to False.
        with_cp (bool): Checkpoint the blocks. Defaults to False.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: Unknown size or indices out of range.
    """

    def __init__(self,
                 widen_factor: float = 1.0,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 frozen_stages: int = -1,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict = dict(type='BN'),
                 act_cfg: dict = dict(type='AconFReLU'),
                 norm_eval: bool = False,
                 with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        channels = choose_width('TFNet', widen_factor, STEM_CHANNELS)
        num_stages = len(STAGE_BLOCKS) + 1
        super().__init__(
            num_stages, out_indices, frozen_stages, norm_eval, init_cfg)
        if is_funnel(act_cfg):
            act_cfg = dict(dict(norm_cfg=norm_cfg), **act_cfg)
        cfg: dict[str, Any] = dict(
            conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        stem_cfg = dict(cfg, act_cfg=dict(type='ReLU'))
        self.conv1 = ConvModule(
            3, channels, 3, stride=2, padding=1, **stem_cfg)
        for depth in STAGE_BLOCKS[:self.num_stages]:
            blocks = []
            for i in range(depth):
                stride = 2 if i == 0 else 1
                blocks.append(TFBlock(channels, stride, with_cp=with_cp,
                                      **cfg))
                channels *= stride
            self.layers.append(Sequential(*blocks))
        if self.num_stages == num_stages:
            self.layers.append(ConvModule(channels, LAST_CHANNELS, 1, **cfg))
