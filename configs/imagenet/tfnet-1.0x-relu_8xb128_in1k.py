_base_ = './tfnet-1.0x_8xb128_in1k.py'

model = dict(backbone=dict(act_cfg=dict(type='ReLU')))
