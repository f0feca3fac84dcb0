_base_ = [
    './_base_/classifier.py', './_base_/small_bs1024_300k.py',
    './_base_/runtime.py'
]

model = dict(
    backbone=dict(
        type='acon_mm.MobileNetV1',
        widen_factor=0.25,
        out_indices=(4, ),
        act_cfg=dict(type='MetaAconC', init='paper')),
    head=dict(in_channels=256))
