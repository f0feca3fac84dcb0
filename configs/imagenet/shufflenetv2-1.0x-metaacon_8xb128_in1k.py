_base_ = './shufflenetv2-0.5x-metaacon_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=1.0, act_cfg=dict(r=16)))
