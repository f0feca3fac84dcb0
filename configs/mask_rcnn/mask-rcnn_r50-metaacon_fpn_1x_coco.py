_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

# inferencers read a checkpoint before they build the model
custom_imports = dict(imports=['acon_mm'])
# ReLU weights start it: the new activations begin where ReLU was
model = dict(
    backbone=dict(type='acon_mm.ResNet', act_cfg=dict(type='MetaAconC')))
# no weight decay on p1, p2 and beta, which are one-dimensional
optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.))
