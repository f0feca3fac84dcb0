_base_ = [
    './retinanet_tfnet-1.5x_fpn_1x_coco.py',
    '../_base_/official_tfnet.py'
]

# the first stage and the statistics stay, as in the stock ResNet configs
model = dict(
    data_preprocessor=_base_.official_data_preprocessor,
    backbone=dict(
        frozen_stages=1, norm_eval=True, **_base_.official_backbone))
