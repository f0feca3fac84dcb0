_base_ = [
    './_base_/classifier.py', './_base_/small_bs1024_300k.py',
    './_base_/runtime.py'
]

model = dict(
    backbone=dict(
        type='acon_mm.ShuffleNetV2',
        widen_factor=0.5,
        out_indices=(3, ),
        act_cfg=dict(type='MetaAconC', r=8, init='paper')))
