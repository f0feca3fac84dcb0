"""MobileNetV1."""
from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import Sequential
from torch import Tensor

from acon_mm.backbones.base import Block, StagedBackbone, choose_width
from acon_mm.registry import MODELS

STAGE_CHANNELS = (64, 128, 256, 512, 1024)
STAGE_BLOCKS = (1, 2, 2, 6, 2)
WIDTHS = {factor: factor for factor in (0.25, 0.5, 0.75, 1.0)}


class SeparableBlock(Block):
    """Depthwise 3x3 and pointwise convolution, each with norm and act."""

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 stride: int,
                 with_cp: bool = False,
                 **cfg: Any) -> None:
        super().__init__(with_cp)
        self.conv = DepthwiseSeparableConvModule(
            in_channels, out_channels, 3, stride=stride, padding=1, **cfg)

    def run(self, x: Tensor) -> Tensor:
        return self.conv(x)


@MODELS.register_module()
class MobileNetV1(StagedBackbone):
    """MobileNetV1 (https://arxiv.org/abs/1704.04861, Tab. 1).

    Its stages 0..4 have strides 2, 4, 8, 16 and 32.

    Args:
        widen_factor (float): 0.25, 0.5, 0.75 or 1.0. Defaults to 1.0.
        out_indices (Sequence[int]): Of 0..4. Defaults to (1, 2, 3, 4).
        frozen_stages (int): -1 none, 0 the stem, n the stem and n stages.
            Defaults to -1.
        conv_cfg (dict, optional): Defaults to None.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        act_cfg (dict): All activations. Defaults to ``dict(type='AconC')``.
        norm_eval (bool): Keep the batch norms' statistics. Defaults to False.
        with_cp (bool): Checkpoint the blocks. Defaults to False.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: Unknown size or indices out of range.
    """

    def __init__(self,
                 widen_factor: float = 1.0,
                 out_indices: Sequence[int] = (1, 2, 3, 4),
                 frozen_stages: int = -1,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict = dict(type='BN'),
                 act_cfg: dict = dict(type='AconC'),
                 norm_eval: bool = False,
                 with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        factor = choose_width('MobileNetV1', widen_factor, WIDTHS)
        super().__init__(
            len(STAGE_CHANNELS), out_indices, frozen_stages, norm_eval,
            init_cfg)
        cfg = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        in_channels = int(32 * factor)
        self.conv1 = ConvModule(
            3, in_channels, 3, stride=2, padding=1, **cfg)
        for stage in range(self.num_stages):
            width = int(STAGE_CHANNELS[stage] * factor)
            blocks = []
            for i in range(STAGE_BLOCKS[stage]):
                blocks.append(
                    SeparableBlock(
                        in_channels,
                        width,
                        stride=2 if i == 0 and stage > 0 else 1,
                        with_cp=with_cp,
                        **cfg))
                in_channels = width
            self.layers.append(Sequential(*blocks))
