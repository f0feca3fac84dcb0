"""Models that are exported and folded."""
from mmengine.registry import MODELS
from torch import nn


def seasoned(module):
    """A module whose norms have seen data, in eval mode."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -1, 1)
            nn.init.uniform_(part.running_var, .5, 2)
            nn.init.uniform_(part.weight, .5, 2)
            nn.init.uniform_(part.bias, -1, 1)
    module.eval()  # MMDetection's returns nothing
    return module


def backbone(placement='paper', act='MetaAconC', stages=2):
    """A ResNet of one or two stages, swapped."""
    return seasoned(MODELS.build(dict(
        type='acon_mm.mmdet.ResNet', depth=18, base_channels=8,
        num_stages=stages, strides=(1, 2)[:stages],
        dilations=(1, 1)[:stages], out_indices=(0, 1)[:stages],
        placement=placement, frozen_stages=-1, norm_eval=False,
        act_cfg=dict(type=act, norm_cfg=dict(type='BN')))))


class TensorOutputs(nn.Module):
    """What a detector or a segmentor gives before its post-processing."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        outs = self.model(x, mode='tensor')
        flat = []
        for out in outs if isinstance(outs, (list, tuple)) else [outs]:
            flat += out if isinstance(out, (list, tuple)) else [out]
        return tuple(flat)


BACKBONE = dict(
    type='acon_mm.ResNet', depth=18, base_channels=8, num_stages=2,
    strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), placement='all')
HEADS = dict(
    mmdet=dict(
        type='RetinaNet', backbone=BACKBONE,
        neck=dict(type='FPN', in_channels=[8, 16], out_channels=8,
                  num_outs=2),
        bbox_head=dict(
            type='RetinaHead', num_classes=3, in_channels=8, feat_channels=8,
            stacked_convs=1, anchor_generator=dict(
                type='AnchorGenerator', octave_base_scale=4,
                scales_per_octave=1, ratios=[1.], strides=[4, 8]))),
    mmseg=dict(
        type='EncoderDecoder', backbone=BACKBONE,
        decode_head=dict(
            type='PSPHead', in_channels=16, channels=8, in_index=1,
            pool_scales=(1, 2), num_classes=3, norm_cfg=dict(type='BN'))))
