_base_ = './_base_/cifar10_15e.py'

model = dict(
    type='PictureClassifier',
    backbone=dict(
        type='mmdet.ResNet',
        depth=18,
        base_channels=16,
        stem_channels=16,
        out_indices=(3, )),
    in_channels=128)
