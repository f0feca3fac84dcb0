_base_ = 'mmpretrain::_base_/default_runtime.py'

# inferencers read a checkpoint before they build the model
custom_imports = dict(imports=['acon_mm'])
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=10000, max_keep_ckpts=3))
log_processor = dict(by_epoch=False)
