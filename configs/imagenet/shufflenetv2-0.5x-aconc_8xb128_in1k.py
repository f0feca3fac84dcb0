_base_ = './shufflenetv2-0.5x-metaacon_8xb128_in1k.py'

model = dict(
    backbone=dict(act_cfg=dict(_delete_=True, type='AconC', init='paper')))
