_base_ = './cifar10_mobilenetv1-0.25x_8e.py'

optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
