_base_ = './tfnet-0.5x_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=1.0))
