_base_ = './retinanet_r18_fpn_400i_bccd.py'

train_cfg = dict(max_iters=2000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(
        type='CosineAnnealingLR', by_epoch=False, begin=30, end=2000,
        T_max=1970)
]
