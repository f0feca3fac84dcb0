_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'

model = dict(
    backbone=dict(_delete_=True, type='acon_mm.TFNet', widen_factor=1.5),
    neck=dict(in_channels=[48, 96, 192, 384]))
# no weight decay on the norms of AconFReLU, which are one-dimensional
optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.))
