_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'

# inferencers read a checkpoint before they build the model
custom_imports = dict(imports=['acon_mm'])
# the weights are those of configs/imagenet
model = dict(
    backbone=dict(
        _delete_=True,
        type='acon_mm.TFNet',
        widen_factor=1.5,
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/tfnet-1.5x_8xb128_in1k/iter_300000.pth',
            prefix='backbone.')),
    neck=dict(in_channels=[48, 96, 192, 384]))
# no weight decay on the norms of AconFReLU, which are one-dimensional
optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.))
