_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32.py'

# the authors' recipe for ResNets: 8 x 32 images, no decay on activations,
# norms and biases, all of which are one-dimensional
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(flat_decay_mult=0.))
param_scheduler = dict(
    type='PolyLR', power=1., eta_min=0., by_epoch=False, end=600000)
train_cfg = dict(by_epoch=False, max_iters=600000, val_interval=10000)
val_cfg = dict()
test_cfg = dict()
train_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
auto_scale_lr = dict(base_batch_size=256)
