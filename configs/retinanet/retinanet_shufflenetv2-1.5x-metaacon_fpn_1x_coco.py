_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'

# inferencers read a checkpoint before they build the model
custom_imports = dict(imports=['acon_mm'])
# the weights are those of configs/imagenet
model = dict(
    backbone=dict(
        _delete_=True,
        type='acon_mm.ShuffleNetV2',
        widen_factor=1.5,
        act_cfg=dict(type='MetaAconC'),
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/shufflenetv2-1.5x-metaacon_8xb128_in1k/'
            'iter_300000.pth',
            prefix='backbone.')),
    # strides 8, 16 and 32; there is no stage of stride 4 to leave out
    neck=dict(in_channels=[176, 352, 704], start_level=0))
# no weight decay on p1, p2 and beta, which are one-dimensional
optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.))
