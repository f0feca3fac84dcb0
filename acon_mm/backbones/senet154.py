"""SENet-154."""
from collections.abc import Sequence
from typing import Any

import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import Sequential
from torch import Tensor

from acon_mm.backbones.base import Block, StagedBackbone
from acon_mm.registry import MODELS

STAGE_BLOCKS = (3, 8, 36, 3)
STAGE_PLANES = (64, 128, 256, 512)
STEM_CHANNELS = 128
EXPANSION = 4
GROUPS = 64
REDUCTION = 16
RELU = dict(type='ReLU')


class SEBottleneck(Block):
    """Grouped bottleneck with squeeze-and-excitation before the addition.

    ``act_cfg`` is the activation after the 3x3 convolution; the other two
    are ReLU, as in the paper's residual networks.
    """

    def __init__(self,
                 in_channels: int,
                 planes: int,
                 stride: int,
                 downsample: nn.Module | None,
                 conv_cfg: dict | None,
                 norm_cfg: dict,
                 act_cfg: dict,
                 with_cp: bool = False) -> None:
        super().__init__(with_cp)
        cfg: dict[str, Any] = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        out_channels = planes * EXPANSION
        self.conv1 = ConvModule(
            in_channels, planes * 2, 1, act_cfg=RELU, **cfg)
        self.conv2 = ConvModule(
            planes * 2,
            out_channels,
            3,
            stride=stride,
            padding=1,
            groups=GROUPS,
            act_cfg=act_cfg,
            **cfg)
        self.conv3 = ConvModule(
            out_channels, out_channels, 1, act_cfg=None, **cfg)
        self.se = Sequential(
            nn.AdaptiveAvgPool2d(1),
            ConvModule(
                out_channels, out_channels // REDUCTION, 1, act_cfg=RELU),
            ConvModule(
                out_channels // REDUCTION,
                out_channels,
                1,
                act_cfg=dict(type='Sigmoid')))
        self.downsample = downsample
        self.relu = nn.ReLU(inplace=True)

    def run(self, x: Tensor) -> Tensor:
        out = self.conv3(self.conv2(self.conv1(x)))
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(out * self.se(out) + identity)


@MODELS.register_module()
class SENet154(StagedBackbone):
    """SENet-154 (https://arxiv.org/abs/1709.01507, appendix).

    Its stages 0..3 have strides 4, 8, 16 and 32.

    Args:
        out_indices (Sequence[int]): Of 0..3. Defaults to (0, 1, 2, 3).
        frozen_stages (int): -1 none, 0 the stem, n the stem and n stages.
            Defaults to -1.
        conv_cfg (dict, optional): Defaults to None.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        act_cfg (dict): After each 3x3 convolution of a block. Defaults to
            ``dict(type='AconC')``.
        norm_eval (bool): Keep the batch norms' statistics. Defaults to False.
        with_cp (bool): Checkpoint the blocks. Defaults to False.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: Indices out of range.
    """

    def __init__(self,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 frozen_stages: int = -1,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict = dict(type='BN'),
                 act_cfg: dict = dict(type='AconC'),
                 norm_eval: bool = False,
                 with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(
            len(STAGE_BLOCKS), out_indices, frozen_stages, norm_eval,
            init_cfg)
        cfg: dict[str, Any] = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        half = STEM_CHANNELS // 2
        self.conv1 = Sequential(
            ConvModule(3, half, 3, stride=2, padding=1, act_cfg=RELU, **cfg),
            ConvModule(half, half, 3, padding=1, act_cfg=RELU, **cfg),
            ConvModule(
                half, STEM_CHANNELS, 3, padding=1, act_cfg=RELU, **cfg))
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        in_channels = STEM_CHANNELS
        for stage in range(self.num_stages):
            planes = STAGE_PLANES[stage]
            stride = 1 if stage == 0 else 2
            # SENet-154 replaces the strided 1x1 of a shortcut by a 3x3
            kernel = 1 if stage == 0 else 3
            downsample = ConvModule(
                in_channels,
                planes * EXPANSION,
                kernel,
                stride=stride,
                padding=kernel // 2,
                act_cfg=None,
                **cfg)
            blocks = []
            for _ in range(STAGE_BLOCKS[stage]):
                blocks.append(
                    SEBottleneck(
                        in_channels,
                        planes,
                        stride,
                        downsample,
                        act_cfg=act_cfg,
                        with_cp=with_cp,
                        **cfg))
                in_channels, stride, downsample = planes * EXPANSION, 1, None
            self.layers.append(Sequential(*blocks))

    def stem(self, x: Tensor) -> Tensor:
        return self.maxpool(self.conv1(x))
