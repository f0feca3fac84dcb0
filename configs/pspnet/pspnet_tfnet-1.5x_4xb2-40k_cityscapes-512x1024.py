_base_ = 'mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py'

# inferencers read a checkpoint before they build the model
custom_imports = dict(imports=['acon_mm'])
norm_cfg = dict(type='SyncBN', requires_grad=True)
# the weights are those of configs/imagenet
model = dict(
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='acon_mm.TFNet',
        widen_factor=1.5,
        norm_cfg=norm_cfg,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/tfnet-1.5x_8xb128_in1k/iter_300000.pth',
            prefix='backbone.')),
    # stride 32: the network has no dilated stages
    decode_head=dict(in_channels=384),
    auxiliary_head=dict(in_channels=192))
# no weight decay on the norms of AconFReLU, which are one-dimensional
optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.))
