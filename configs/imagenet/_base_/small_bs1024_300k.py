_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64.py'

# the authors' recipe for small networks: 8 x 128 images, no decay on
# activations, norms and biases, all of which are one-dimensional
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.5, momentum=0.9, weight_decay=4e-5),
    paramwise_cfg=dict(flat_decay_mult=0.))
param_scheduler = dict(
    type='PolyLR', power=1., eta_min=0., by_epoch=False, end=300000)
train_cfg = dict(by_epoch=False, max_iters=300000, val_interval=10000)
val_cfg = dict()
test_cfg = dict()
train_dataloader = dict(
    batch_size=128, sampler=dict(type='InfiniteSampler', shuffle=True))
auto_scale_lr = dict(base_batch_size=1024)
