_base_ = './cifar10_15e.py'

# all pictures of the training set
train_dataloader = dict(dataset=dict(per_class=None))
train_cfg = dict(max_epochs=60, val_interval=6)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=1, end=60, T_max=59,
        convert_to_iter_based=True)
]
