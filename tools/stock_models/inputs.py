"""Small drawn batches for one training step of any stock model."""
import torch
from mmdet.structures import ReIDDataSample
from mmdet.testing import demo_mm_inputs
from mmdet.testing._utils import demo_track_inputs
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from torch import nn

from stock_models.configs import text

BATCH_SIZE = 2


def images(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """(2, channels, height, width) of noise."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(
        BATCH_SIZE, channels, height, width, generator=generator)


def image_channels(model: nn.Module) -> int:
    """3, or 6 where a transformer takes a pair of images (LEVIR-CD)."""
    return next((conv.in_channels for name, module in model.named_modules()
                 if name.endswith('patch_embed') for conv in module.modules()
                 if isinstance(conv, nn.Conv2d)), 3)


def training_batch(model: nn.Module, model_cfg: dict, package: str,
                   size: int) -> dict:
    """``inputs`` and ``data_samples`` for ``model.forward(mode='loss')``."""
    # the drawn maps of classes are of bytes
    classes = min(_values(model_cfg, 'num_classes')
                  + _values(model_cfg, 'num_things_classes') + [255])
    if package == 'mmseg':
        return dict(inputs=images(size, size, image_channels(model)),
                    data_samples=[_segmentation(classes, size)
                                  for _ in range(BATCH_SIZE)])
    preprocessor = model.data_preprocessor
    if 'ReID' in type(preprocessor).__name__:
        # their pooling fits one shape of image
        return dict(inputs=images(256, 128), data_samples=[
            ReIDDataSample().set_gt_label(label)
            for label in range(BATCH_SIZE)])
    masks = 'mask' in text(model_cfg).lower()  # RTMDet takes no others
    if 'Track' in type(preprocessor).__name__:
        batch = demo_track_inputs(
            batch_size=BATCH_SIZE, num_frames=2, key_frames_inds=[0],
            image_shapes=(3, size, size), num_items=[3] * BATCH_SIZE,
            num_classes=1, with_mask=masks)
    else:
        batch = demo_mm_inputs(
            batch_size=BATCH_SIZE, image_shapes=(3, size, size),
            num_items=[3] * BATCH_SIZE, num_classes=max(2, classes),
            with_mask=masks, with_semantic=True, use_box_type=True)
        for sample in batch['data_samples']:
            sample.gt_instances.labels %= classes
            sample.proposals = InstanceData(  # for Fast R-CNN
                bboxes=sample.gt_instances.bboxes.tensor,
                scores=torch.ones(len(sample.gt_instances)))
            sample.gt_sem_seg.sem_seg = (
                sample.gt_sem_seg.sem_seg.long() % classes)
    # they pad to the full size of the training images
    preprocessor.batch_augments = None
    return preprocessor(batch, training=True)


def _segmentation(classes: int, size: int) -> SegDataSample:
    generator = torch.Generator().manual_seed(0)
    sample = SegDataSample()
    sample.set_metainfo(dict(
        img_shape=(size, size), ori_shape=(size, size),
        pad_shape=(size, size), batch_input_shape=(size, size)))
    sample.gt_sem_seg = PixelData(data=torch.randint(
        classes, (1, size, size), generator=generator))
    sample.gt_edge_map = PixelData(data=torch.randint(
        2, (1, size, size), generator=generator))
    return sample


def _values(cfg, key: str) -> list[int]:
    """Every positive integer under ``key`` anywhere in a config."""
    if isinstance(cfg, dict):
        own = [cfg[key]] if isinstance(cfg.get(key), int) else []
        return [v for v in own if v > 0] + [
            v for child in cfg.values() for v in _values(child, key)]
    if isinstance(cfg, (list, tuple)):
        return [v for child in cfg for v in _values(child, key)]
    return []
