_base_ = [
    './pspnet_r50-d8-metaacon_4xb2-40k_cityscapes-512x1024.py',
    '../_base_/official_resnet.py'
]

model = dict(
    pretrained=None,
    data_preprocessor=_base_.official_data_preprocessor,
    backbone=_base_.official_backbone)
