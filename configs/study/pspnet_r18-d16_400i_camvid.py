_base_ = './pspnet_r18-d8_400i_camvid.py'

# A quarter of the pixels of stride 8 in the last two stages.
model = dict(
    backbone=dict(dilations=(1, 1, 1, 2), strides=(1, 2, 2, 1)))
