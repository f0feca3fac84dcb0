_base_ = [
    './retinanet_shufflenetv2-1.5x-metaacon_fpn_1x_coco.py',
    '../_base_/official_shufflenetv2.py'
]

model = dict(
    data_preprocessor=_base_.official_data_preprocessor,
    backbone=_base_.official_backbone)
