_base_ = './mobilenetv1-1.0x-metaacon_8xb128_in1k.py'

model = dict(backbone=dict(act_cfg=dict(_delete_=True, type='ReLU')))
