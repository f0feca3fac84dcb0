_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    './_base_/resnet_bs256_600k.py', './_base_/runtime.py'
]
