_base_ = './pspnet_r18-d8_200i_shapes.py'

# The beta net has no BN: it would see four values, one an image.
model = dict(
    backbone=dict(
        type='acon_mm.ResNetV1c',
        act_cfg=dict(type='MetaAconC', init='leaky', norm_cfg=None)))
