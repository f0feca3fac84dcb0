_base_ = './_base_/cifar10_60e.py'

model = dict(
    type='PictureClassifier',
    backbone=dict(type='mmdet.ResNet', depth=18, out_indices=(3, )),
    in_channels=512)
