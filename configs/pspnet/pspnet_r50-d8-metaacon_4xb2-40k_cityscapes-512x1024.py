_base_ = 'mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py'

# inferencers read a checkpoint before they build the model
custom_imports = dict(imports=['acon_mm'])
norm_cfg = dict(type='SyncBN', requires_grad=True)
# ReLU weights start it: the new activations begin where ReLU was
model = dict(
    backbone=dict(
        type='acon_mm.ResNetV1c',
        act_cfg=dict(type='MetaAconC', norm_cfg=norm_cfg)))
# no weight decay on p1, p2 and beta, which are one-dimensional
optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.))
