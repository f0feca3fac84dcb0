_base_ = './resnet152-relu_8xb32_in1k.py'

model = dict(
    backbone=dict(
        type='acon_mm.ResNet', act_cfg=dict(type='AconC', init='paper')))
