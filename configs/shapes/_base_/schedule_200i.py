_base_ = './schedule_400i.py'

train_cfg = dict(max_iters=200, val_interval=200)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(
        type='CosineAnnealingLR', by_epoch=False, begin=30, end=200, T_max=170)
]
