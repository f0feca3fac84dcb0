_base_ = './mask-rcnn_r50-metaacon_fpn_1x_coco.py'

model = dict(
    backbone=dict(act_cfg=dict(_delete_=True, type='Swish')))
