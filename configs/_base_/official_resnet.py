# What goes with a released ResNet: the stride on the first 1x1 of a block,
# the paper's start (its scale of beta is not in the weights), raw BGR input.
# Make the checkpoint with tools/convert_checkpoint.py.
official_data_preprocessor = dict(
    mean=[0., 0., 0.], std=[1., 1., 1.], bgr_to_rgb=False)
official_backbone = dict(
    type='acon_mm.ResNet',
    depth=50,
    style='caffe',
    placement='paper',
    act_cfg=dict(type='MetaAconC', init='paper'),
    init_cfg=dict(
        type='Pretrained', checkpoint='checkpoints/resnet50_metaacon.pth'))
