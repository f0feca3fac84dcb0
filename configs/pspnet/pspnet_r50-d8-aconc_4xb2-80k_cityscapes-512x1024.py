_base_ = './pspnet_r50-d8-metaacon_4xb2-80k_cityscapes-512x1024.py'

model = dict(
    backbone=dict(act_cfg=dict(_delete_=True, type='AconC')))
