_base_ = './retinanet_r18_fpn-64_400i_bccd.py'

optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4))
