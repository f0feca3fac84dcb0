"""Classifying small pictures with MMEngine alone, CIFAR-10 above all."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from acon_mm.registry import MODELS as ACON_MODELS

SUFFIXES = ('.jpg', '.jpeg', '.png')
MARGIN = 4


@DATASETS.register_module()
class Pictures(Dataset):
    """Pictures of one size in memory, BGR, with the class of each.

    Args:
        data_root (str): A folder with one folder a class in ``train`` and
            ``test``, or with one ``.npz`` file that holds, for both splits,
            ``<split>_jpeg`` (all files one after the other), ``_start``
            (where each begins, and the end) and ``_label``.
        split (str): 'train' or 'test'.
        per_class (int, optional): Only the first of each class.
        augment (bool): Shift by up to 4 pixels and flip at random. Defaults
            to False.

    Raises:
        FileNotFoundError: ``data_root`` has neither.
    """

    def __init__(self,
                 data_root: str,
                 split: str,
                 per_class: int | None = None,
                 augment: bool = False) -> None:
        self.augment = augment
        files, labels = _files(Path(data_root), split)
        labels = np.asarray(labels, dtype=np.int64)
        if per_class is not None:
            chosen = np.concatenate([
                np.flatnonzero(labels == c)[:per_class]
                for c in np.unique(labels)])
            files, labels = [files[i] for i in chosen], labels[chosen]
        self.labels = labels
        self.pictures = np.stack([
            cv2.imdecode(np.frombuffer(f, np.uint8), cv2.IMREAD_COLOR)
            for f in files])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``inputs``, uint8 (3, H, W), and ``labels``, int64 ()."""
        picture = self.pictures[index]
        if self.augment:
            height, width = picture.shape[:2]
            padded = np.pad(picture, ((MARGIN, MARGIN), (MARGIN, MARGIN),
                                      (0, 0)))
            top, left = np.random.randint(2 * MARGIN + 1, size=2)
            picture = padded[top:top + height, left:left + width]
            if np.random.randint(2):
                picture = picture[:, ::-1]
        pixels = np.ascontiguousarray(picture.transpose(2, 0, 1))
        return dict(
            inputs=torch.from_numpy(pixels),
            labels=torch.tensor(self.labels[index]))


def _files(root: Path, split: str) -> tuple[list[bytes], Sequence[int]]:
    archive = next(root.glob('*.npz'), None)
    if archive is not None:
        with np.load(archive) as stored:
            data = stored[f'{split}_jpeg'].tobytes()
            start, labels = stored[f'{split}_start'], stored[f'{split}_label']
        return [data[a:b] for a, b in zip(start, start[1:])], labels
    folders = sorted(p for p in root.glob(f'{split}/*') if p.is_dir())
    found = [(path, label) for label, folder in enumerate(folders)
             for path in sorted(folder.iterdir())
             if path.suffix.lower() in SUFFIXES]
    if not found:
        raise FileNotFoundError(
            f'{root} has no pictures: give a folder with {split}/CLASS/*.png '
            'or .jpg in it.')
    return [path.read_bytes() for path, _ in found], [c for _, c in found]


@MODELS.register_module()
class PictureClassifier(BaseModel):
    """A backbone, the mean over the picture and a linear layer.

    Args:
        backbone (dict): Its config; the last of its outputs is used.
        in_channels (int): Channels of that output.
        num_classes (int): Defaults to 10.
        size (int): Pictures are enlarged to this height and width, since
            backbones divide by 32. Defaults to 64.
    """

    def __init__(self,
                 backbone: dict,
                 in_channels: int,
                 num_classes: int = 10,
                 size: int = 64,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        self.backbone = ACON_MODELS.build(backbone)
        self.head = nn.Linear(in_channels, num_classes)
        self.size = size
        self.to(memory_format=torch.channels_last)  # a third faster on a CPU

    def forward(self,
                inputs: Tensor,
                labels: Tensor | None = None,
                mode: str = 'tensor') -> Tensor | dict | list:
        """Logits (N, classes), the loss, or pairs of logits and label."""
        x = F.interpolate(
            (inputs.float() - 127.5) / 64, size=(self.size, self.size),
            mode='bilinear').contiguous(memory_format=torch.channels_last)
        logits = self.head(self.backbone(x)[-1].mean((2, 3)))
        if mode == 'loss':
            return dict(loss=F.cross_entropy(logits, labels))
        if mode == 'predict':
            return list(zip(logits, labels))
        return logits


@METRICS.register_module()
class TopOne(BaseMetric):
    """Per cent of pictures whose class has the largest logit."""

    default_prefix = 'accuracy'

    def process(self, data_batch, data_samples) -> None:
        self.results += [bool(logits.argmax() == label)
                         for logits, label in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        return dict(top1=100 * float(np.mean(results)))
