_base_ = './retinanet_r18_fpn_400i_bccd.py'

# Neck and head, which have no activation of the backbone, cost a CPU most.
model = dict(
    neck=dict(out_channels=64),
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=1))
