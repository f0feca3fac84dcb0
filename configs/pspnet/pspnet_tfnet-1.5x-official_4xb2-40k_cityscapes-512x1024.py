_base_ = [
    './pspnet_tfnet-1.5x_4xb2-40k_cityscapes-512x1024.py',
    '../_base_/official_tfnet.py'
]

model = dict(
    data_preprocessor=_base_.official_data_preprocessor,
    backbone=_base_.official_backbone)
