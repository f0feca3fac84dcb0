_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py', './_base_/shapes_coco.py',
    './_base_/schedule_400i.py', './_base_/mmdet_runtime.py'
]

# From scratch: nothing is loaded, nothing is frozen.
model = dict(
    backbone=dict(
        depth=18, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(
        bbox_head=dict(num_classes=6), mask_head=dict(num_classes=6)),
    # a small image has few objects, and two cores are to train on them
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)))
