_base_ = './mask-rcnn_r18_fpn_400i_shapes.py'

# The beta net has no BN: it would see four values, one an image.
model = dict(
    backbone=dict(
        type='acon_mm.ResNet',
        act_cfg=dict(type='MetaAconC', init='leaky', norm_cfg=None)))
