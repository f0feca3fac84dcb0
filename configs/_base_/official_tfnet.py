# What goes with a released TFNet: raw BGR input.
# Make the checkpoint with tools/convert_checkpoint.py.
official_data_preprocessor = dict(
    mean=[0., 0., 0.], std=[1., 1., 1.], bgr_to_rgb=False)
official_backbone = dict(
    type='acon_mm.TFNet',
    widen_factor=1.5,
    act_cfg=dict(type='AconFReLU'),
    init_cfg=dict(
        _delete_=True,  # the prefix of our own weights
        type='Pretrained',
        checkpoint='checkpoints/tfnet_1.5.pth'))
