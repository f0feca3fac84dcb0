_base_ = './retinanet_r18_fpn_400i_shapes.py'

model = dict(
    backbone=dict(
        type='acon_mm.ResNet', act_cfg=dict(type='AconC', init='leaky')))
