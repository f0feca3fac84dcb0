_base_ = [
    './retinanet_shufflenetv2-1.5x-metaacon_fpn_1x_coco.py',
    '../_base_/official_shufflenetv2.py'
]

# the first stage and the statistics stay, as in the stock ResNet configs
model = dict(
    data_preprocessor=_base_.official_data_preprocessor,
    backbone=dict(
        frozen_stages=1, norm_eval=True, **_base_.official_backbone))
