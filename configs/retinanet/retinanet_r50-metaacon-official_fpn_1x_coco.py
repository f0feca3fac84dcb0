_base_ = [
    './retinanet_r50-metaacon_fpn_1x_coco.py',
    '../_base_/official_resnet.py'
]

model = dict(
    data_preprocessor=_base_.official_data_preprocessor,
    backbone=_base_.official_backbone)
