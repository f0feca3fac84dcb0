_base_ = './retinanet_r101-metaacon_fpn_1x_coco.py'

model = dict(
    backbone=dict(act_cfg=dict(_delete_=True, type='AconC')))
