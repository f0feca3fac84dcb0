"""Training steps of stock models, with ReLU and with ACON."""
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.hub import get_config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from torch import Tensor, nn

from acon_mm.meta_acon import MetaAconC
from acon_mm.override import joined_norm
from acon_mm.registry import MODELS

from .measure import clock, environment, interleave, peak_bytes, saved_bytes
from .op import authors_formula

CONFIGS = {
    'retinanet': 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    'pspnet': 'mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py',
}
# what is put on top of the backbone, after the prefix of its type
ACTIVATIONS = {
    'ReLU': None,
    'AconC': dict(act_cfg=dict(type='acon_mm.AconC')),
    'MetaAconC': {},
    'AconC all': dict(act_cfg=dict(type='acon_mm.AconC'), placement='all'),
    'MetaAconC all': dict(placement='all'),
    'MetaAconC all, norms apart': dict(placement='all'),
    'authors': dict(act_cfg=dict(type='acon_mm.AuthorsMetaAconC')),
}
APART = ', norms apart'


@MODELS.register_module()
class AuthorsMetaAconC(MetaAconC):
    """:class:`MetaAconC` by the authors' formula, without a kernel."""

    takes_affine = False

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, 1, 1)
        pooled = x.mean((2, 3), keepdim=True)
        beta = self.bn2(self.fc2(self.bn1(self.fc1(pooled)))).sigmoid()
        return authors_formula(x, self.p1.view(shape), self.p2.view(shape),
                               self.beta_scale * beta)

    def after_norm(self, x: Tensor, norm: tuple) -> None:
        return None


class Subject(NamedTuple):
    """A model to train and how.

    Attributes:
        name (str): Of :data:`CONFIGS`.
        image_size (tuple[int, int]): Height and width of the images.
        batch (int): Images of a step.
        dtype (torch.dtype): Float32, or what autocast computes in.
        device (str): 'cpu' or 'cuda'.
    """
    name: str
    image_size: tuple[int, int]
    batch: int
    dtype: torch.dtype
    device: str


def measure_models(subject: Subject, warmup: int, repeats: int,
                   activations: Sequence[str] = tuple(ACTIVATIONS)
                   ) -> Iterator[dict[str, Any]]:
    """Rows of a table, one for each activation; ReLU is the first.

    Args:
        subject (Subject): What is trained.
        warmup (int): Steps that are not counted.
        repeats (int): Steps that are.
        activations (Sequence[str]): Some of :data:`ACTIVATIONS`.
    """
    steps, memory = {}, {}
    for name in activations:
        _, forward, step = training_step(subject, name)
        with _norms(name):
            step()
            memory[name] = dict(
                saved_bytes=saved_bytes(forward),
                peak_bytes=peak_bytes(step, subject.device))
        steps[name] = lambda name=name, step=step: _clock(
            name, step, subject.device)
    times = interleave(steps, warmup, repeats)
    stock = times['ReLU']['step'].median
    for name, phases in times.items():
        median, spread = phases['step']
        yield dict(
            model=CONFIGS[subject.name].rsplit('/', 1)[1],
            activation=name,
            dtype=str(subject.dtype).removeprefix('torch.'),
            image='x'.join(map(str, subject.image_size)),
            batch=subject.batch,
            ms=round(median, 2),
            spread_ms=round(spread, 2),
            over_relu=round(median / stock, 4),
            saved_bytes=memory[name]['saved_bytes'],
            saved_over_relu=_ratio(memory, name, 'saved_bytes'),
            peak_bytes=memory[name]['peak_bytes'],
            peak_over_relu=_ratio(memory, name, 'peak_bytes'),
            repeats=repeats,
            **environment(subject.device))


def _clock(name: str, step: Callable, device: str) -> dict[str, float]:
    with _norms(name):
        return dict(step=clock(step, device)[1])


@contextlib.contextmanager
def _norms(name: str) -> Iterator[None]:
    """Norms in training run by themselves if the name says so."""
    takes_batch = joined_norm.takes_batch
    if name.endswith(APART):
        joined_norm.takes_batch = lambda norm: False
    try:
        yield
    finally:
        joined_norm.takes_batch = takes_batch


def training_step(subject: Subject, activation: str
                  ) -> tuple[nn.Module, Callable, Callable]:
    """A model, its forward pass, and its whole training step."""
    path = CONFIGS[subject.name]
    init_default_scope(path.partition('::')[0])
    torch.manual_seed(0)
    config = get_config(path).model
    added = ACTIVATIONS[activation]
    if added is not None:
        config.backbone.update(added, type=f'acon_mm.{config.backbone.type}')
    config.backbone.pop('init_cfg', None)
    config.pop('pretrained', None)
    if 'size' in config.data_preprocessor:  # which it pads images to
        config.data_preprocessor.size = subject.image_size
    for part in config.values():
        # SyncBN needs several processes
        if isinstance(part, dict) and 'norm_cfg' in part:
            part.norm_cfg.type = 'BN'
    model = ROOT_MODELS.build(config).to(subject.device)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.)
    images = _images(subject)
    half = subject.dtype != torch.float32

    def forward() -> Tensor:
        inputs = model.data_preprocessor(images, True)
        with torch.autocast(subject.device, subject.dtype if half else None,
                            half):
            return model.parse_losses(model(**inputs, mode='loss'))[0]

    def step() -> None:
        optimizer.zero_grad()
        forward().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.)
        optimizer.step()

    return model, forward, step


def _images(subject: Subject) -> dict:
    """A batch as the model's loader gives it."""
    if subject.name == 'retinanet':
        from mmdet.testing import demo_mm_inputs
        return demo_mm_inputs(subject.batch, (3, *subject.image_size),
                              num_classes=80)
    from mmseg.structures import SegDataSample
    images = [torch.randint(256, (3, *subject.image_size), dtype=torch.uint8)
              for _ in range(subject.batch)]
    samples = [SegDataSample(
        gt_sem_seg=PixelData(data=torch.randint(19, (1, *subject.image_size))),
        metainfo=dict(img_shape=subject.image_size))
        for _ in range(subject.batch)]
    return dict(inputs=images, data_samples=samples)


def _ratio(memory: dict[str, dict[str, int]], name: str, kind: str) -> float:
    return round(memory[name][kind] / memory['ReLU'][kind], 4)
