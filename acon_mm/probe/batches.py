"""Small drawn batches for the models of OpenMMLab's packages."""
from typing import Any

import torch
import torch.nn as nn
from mmengine.structures import InstanceData, PixelData

BATCH_SIZE = 2
# the drawn maps of classes are of bytes
MOST_CLASSES = 255


def training_batch(model: nn.Module, size: int, device: torch.device,
                   count: int = BATCH_SIZE) -> dict[str, Any]:
    """``inputs`` and ``data_samples`` of ``model.forward``.

    Args:
        model (nn.Module): A detector, segmentor, classifier or another
            model with a ``data_preprocessor``.
        size (int): Height and width of the images.
        device (torch.device): Where they shall be.
        count (int): How many.

    Returns:
        dict: Those of a model whose package is not known have no
        ``data_samples``.
    """
    packages = {cls.__module__.partition('.')[0]
                for cls in type(model).__mro__}
    for package, make in _BATCHES.items():
        if package in packages:
            return make(model, size, device, count)
    return dict(inputs=_images(model, size, device, count))


def _images(model: nn.Module, size: int, device: torch.device,
            count: int) -> torch.Tensor:
    """(count, C, size, size) of noise; C of what embeds or convolves first."""
    convs = [(name, part) for name, part in model.named_modules()
             if isinstance(part, nn.Conv2d)]
    convs.sort(key=lambda pair: 'patch_embed' not in pair[0])
    channels = convs[0][1].in_channels if convs else 3
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, channels, size, size,
                       generator=generator).to(device)


def _classes(model: nn.Module) -> int:
    counts = [getattr(module, name, None) for module in model.modules()
              for name in ('num_classes', 'num_things_classes')]
    return min([n for n in counts if isinstance(n, int) and n > 0]
               + [MOST_CLASSES])


def _segmentation(model: nn.Module, size: int, device: torch.device,
                  count: int) -> dict[str, Any]:
    from mmseg.structures import SegDataSample
    generator = torch.Generator().manual_seed(0)

    def sample() -> SegDataSample:
        made = SegDataSample(metainfo=dict(
            img_shape=(size, size), ori_shape=(size, size),
            pad_shape=(size, size), batch_input_shape=(size, size)))
        for name, classes in (('gt_sem_seg', _classes(model)),
                              ('gt_edge_map', 2)):
            setattr(made, name, PixelData(data=torch.randint(
                classes, (1, size, size), generator=generator)))
        return made.to(device)

    return dict(inputs=_images(model, size, device, count),
                data_samples=[sample() for _ in range(count)])


def _classification(model: nn.Module, size: int, device: torch.device,
                    count: int) -> dict[str, Any]:
    from mmpretrain.structures import DataSample
    return dict(inputs=_images(model, size, device, count), data_samples=[
        DataSample().set_gt_label(label).to(device)
        for label in range(count)])


def _detection(model: nn.Module, size: int, device: torch.device,
               count: int) -> dict[str, Any]:
    from mmdet.structures import ReIDDataSample
    from mmdet.testing import demo_mm_inputs
    from mmdet.testing._utils import demo_track_inputs
    preprocessor, classes = model.data_preprocessor, _classes(model)
    kind = type(preprocessor).__name__
    if 'ReID' in kind:  # their pooling fits one shape of image
        return dict(
            inputs=_images(model, size, device, count)[..., :size // 2],
            data_samples=[ReIDDataSample().set_gt_label(label)
                          for label in range(count)])
    masks = any('mask' in f'{name}{type(module).__name__}'.lower()
                for name, module in model.named_modules())
    if 'Track' in kind:
        batch = demo_track_inputs(
            batch_size=count, num_frames=2, key_frames_inds=[0],
            image_shapes=(3, size, size), num_items=[3] * count,
            num_classes=1, with_mask=masks)
    else:
        batch = demo_mm_inputs(
            batch_size=count, image_shapes=(3, size, size),
            num_items=[3] * count, num_classes=max(2, classes),
            with_mask=masks, with_semantic=True, use_box_type=True)
        for sample in batch['data_samples']:
            instances = sample.gt_instances
            instances.labels %= classes
            sample.proposals = InstanceData(  # of Fast R-CNN
                bboxes=instances.bboxes.tensor,
                scores=torch.ones(len(instances)))
            sample.gt_sem_seg.sem_seg = (
                sample.gt_sem_seg.sem_seg.long() % classes)
    # those pad to the full size of the training images
    augments, preprocessor.batch_augments = getattr(
        preprocessor, 'batch_augments', None), None
    try:
        return preprocessor(batch, training=True)
    finally:
        preprocessor.batch_augments = augments


def detection_targets(images: list[torch.Tensor]) -> list[dict]:
    """A box, its mask and its joints for each of torchvision's images."""
    targets = []
    for image in images:
        height, width = image.shape[-2:]
        left, top, right, low = width // 8, height // 8, width // 2, height
        mask = image.new_zeros(1, height, width, dtype=torch.uint8)
        mask[:, top:low, left:right] = 1
        targets.append(dict(
            boxes=image.new_tensor([[left, top, right, low]]),
            labels=torch.tensor([1], device=image.device), masks=mask,
            keypoints=image.new_full((1, 17, 3), left + 1.)))
    return targets


_BATCHES = dict(mmdet=_detection, mmseg=_segmentation,
                mmpretrain=_classification)
