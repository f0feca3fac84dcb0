"""ShuffleNetV2 as the paper trains it."""
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import Sequential
from torch import Tensor

from acon_mm.backbones.base import Block, StagedBackbone, choose_width
from acon_mm.registry import MODELS

STAGE_BLOCKS = (4, 8, 4)
CHANNELS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}


class ShuffleUnit(Block):
    """Basic unit (stride 1) and downsampling unit (stride 2).

    At stride 1 the even channels pass and the odd ones go through
    ``branch2``: the shuffle happens at the entrance. At stride 2 all go
    through both; ``branch1`` keeps their number, ``branch2`` gives the rest.

    Args:
        in_channels (int): Input channels.
        out_channels (int): Output channels; the input's at stride 1.
        stride (int): 1 or 2.
        conv_cfg, norm_cfg, act_cfg (dict): As in ``ConvModule``.
        with_cp (bool): As in :class:`Block`.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 stride: int,
                 conv_cfg: dict | None,
                 norm_cfg: dict,
                 act_cfg: dict,
                 with_cp: bool = False) -> None:
        super().__init__(with_cp)
        self.stride = stride
        hidden = out_channels // 2
        entry = in_channels if stride == 2 else hidden
        cfg: dict[str, Any] = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)

        def depthwise(channels: int) -> ConvModule:
            return ConvModule(
                channels,
                channels,
                3,
                stride=stride,
                padding=1,
                groups=channels,
                act_cfg=None,
                **cfg)

        if stride == 2:
            self.branch1 = Sequential(
                depthwise(in_channels),
                ConvModule(
                    in_channels, in_channels, 1, act_cfg=act_cfg, **cfg))
        self.branch2 = Sequential(
            ConvModule(entry, hidden, 1, act_cfg=act_cfg, **cfg),
            depthwise(hidden),
            ConvModule(
                hidden, out_channels - entry, 1, act_cfg=act_cfg, **cfg))

    def run(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            return torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        return torch.cat((x[:, 0::2], self.branch2(x[:, 1::2])), dim=1)


@MODELS.register_module()
class ShuffleNetV2(StagedBackbone):
    """ShuffleNetV2 (https://arxiv.org/abs/1807.11164), the authors' variant.

    Its stages 0..2 have strides 8, 16 and 32; index 3 is the last 1x1
    convolution. It differs from mmpretrain's in the order of the channels,
    so the weights of the two do not fit each other.

    Args:
        widen_factor (float): 0.5, 1.0, 1.5 or 2.0. Defaults to 1.0.
        out_indices (Sequence[int]): Of 0..3. Defaults to (0, 1, 2).
        frozen_stages (int): -1 none, 0 the stem, n the stem and n stages.
            Defaults to -1.
        conv_cfg (dict, optional): Defaults to None.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        act_cfg (dict): All activations. Defaults to ``dict(type='AconC')``.
        norm_eval (bool): Keep the batch norms' statistics. Defaults to False.
        with_cp (bool): Checkpoint the units. Defaults to False.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: Unknown size or indices out of range.
    """

    def __init__(self,
                 widen_factor: float = 1.0,
                 out_indices: Sequence[int] = (0, 1, 2),
                 frozen_stages: int = -1,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict = dict(type='BN'),
                 act_cfg: dict = dict(type='AconC'),
                 norm_eval: bool = False,
                 with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        channels = choose_width('ShuffleNetV2', widen_factor, CHANNELS)
        super().__init__(
            len(channels), out_indices, frozen_stages, norm_eval, init_cfg)
        cfg: dict[str, Any] = dict(
            conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        in_channels = 24
        self.conv1 = ConvModule(
            3, in_channels, 3, stride=2, padding=1, **cfg)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for width, depth in zip(
                channels[:self.num_stages], STAGE_BLOCKS, strict=False):
            units = []
            for i in range(depth):
                units.append(
                    ShuffleUnit(
                        in_channels,
                        width,
                        stride=2 if i == 0 else 1,
                        with_cp=with_cp,
                        **cfg))
                in_channels = width
            self.layers.append(Sequential(*units))
        if self.num_stages == len(channels):
            self.layers.append(
                ConvModule(in_channels, channels[-1], 1, **cfg))

    def stem(self, x: Tensor) -> Tensor:
        return self.maxpool(self.conv1(x))
