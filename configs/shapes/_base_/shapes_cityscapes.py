_base_ = 'mmseg::_base_/datasets/cityscapes.py'

# CityscapesDataset reads the folder too, under the names of its own classes.
dataset = dict(
    type='BaseSegDataset',
    data_root='data/shapes_cityscapes/',
    img_suffix='_leftImg8bit.png',
    seg_map_suffix='_gtFine_labelTrainIds.png',
    metainfo=dict(
        classes=('background', 'circle', 'square', 'triangle', 'star', 'ring',
                 'cross'),
        palette=[(70, 70, 70), (230, 60, 60), (60, 180, 75), (60, 100, 240),
                 (240, 200, 40), (200, 60, 220), (60, 210, 220)]))

# Enlarged and cropped, as Cityscapes itself is for training.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(256, 256)),
    dict(type='RandomCrop', crop_size=(128, 128), cat_max_ratio=0.95),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256)),
    # The ground truth keeps its size, and so does the metric.
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=10,
    num_workers=1,
    dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
