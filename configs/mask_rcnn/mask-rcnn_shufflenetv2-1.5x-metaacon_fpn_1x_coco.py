_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

# inferencers read a checkpoint before they build the model
custom_imports = dict(imports=['acon_mm'])
# the network has no stage of stride 4, so every level is one further
roi_extractor = dict(featmap_strides=[8, 16, 32])
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
    neck=dict(in_channels=[176, 352, 704], num_outs=4),
    rpn_head=dict(
        anchor_generator=dict(scales=[4], strides=[8, 16, 32, 64])),
    roi_head=dict(
        bbox_roi_extractor=roi_extractor, mask_roi_extractor=roi_extractor))
# no weight decay on p1, p2 and beta, which are one-dimensional
optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.))
