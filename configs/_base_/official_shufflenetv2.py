# What goes with a released ShuffleNetV2: r = 8 for 0.5x and 16 else, raw BGR
# input. Make the checkpoint with tools/convert_checkpoint.py.
official_data_preprocessor = dict(
    mean=[0., 0., 0.], std=[1., 1., 1.], bgr_to_rgb=False)
official_backbone = dict(
    type='acon_mm.ShuffleNetV2',
    widen_factor=1.5,
    act_cfg=dict(type='MetaAconC', r=16),
    init_cfg=dict(
        _delete_=True,  # the prefix of our own weights
        type='Pretrained',
        checkpoint='checkpoints/shufflenetv2_1.5x_metaacon.pth'))
