_base_ = '../../shapes/_base_/schedule_400i.py'

optim_wrapper = dict(optimizer=dict(lr=3e-4))
