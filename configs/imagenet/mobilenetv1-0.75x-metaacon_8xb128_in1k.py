_base_ = './mobilenetv1-0.25x-metaacon_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=0.75), head=dict(in_channels=768))
