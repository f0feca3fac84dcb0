_base_ = './cifar10_mobilenetv1-0.25x_15e.py'

# A fine-tuning, and the base that it goes on from.
train_cfg = dict(max_epochs=8, val_interval=4)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=1, end=8, T_max=7,
        convert_to_iter_based=True)
]
