_base_ = './_base_/cifar10_60e.py'

model = dict(
    type='PictureClassifier',
    backbone=dict(
        type='acon_mm.MobileNetV1',
        widen_factor=1.0,
        out_indices=(4, ),
        act_cfg=dict(type='ReLU')),
    in_channels=1024)
