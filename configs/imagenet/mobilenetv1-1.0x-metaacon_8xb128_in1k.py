_base_ = './mobilenetv1-0.25x-metaacon_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=1.0), head=dict(in_channels=1024))
