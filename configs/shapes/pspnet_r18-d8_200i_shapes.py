_base_ = [
    'mmseg::_base_/models/pspnet_r50-d8.py', './_base_/shapes_cityscapes.py',
    './_base_/schedule_200i.py', './_base_/mmseg_runtime.py'
]

# From scratch: nothing is loaded.
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    pretrained=None,
    backbone=dict(depth=18),
    decode_head=dict(in_channels=512, channels=128, num_classes=7),
    auxiliary_head=dict(in_channels=256, channels=64, num_classes=7))
