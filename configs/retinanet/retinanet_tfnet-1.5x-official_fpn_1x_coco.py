_base_ = [
    './retinanet_tfnet-1.5x_fpn_1x_coco.py',
    '../_base_/official_tfnet.py'
]

model = dict(
    data_preprocessor=_base_.official_data_preprocessor,
    backbone=_base_.official_backbone)
