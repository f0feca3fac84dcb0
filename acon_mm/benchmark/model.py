"""Training steps of a stock detector, with ReLU and with meta-ACON."""
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmengine.hub import get_config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from acon_mm.meta_acon import MetaAconC
from acon_mm.registry import MODELS

from .measure import clock, environment, interleave, peak_bytes, saved_bytes
from .op import authors_formula

CONFIG = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'

BACKBONES = {
    'ReLU': dict(type='ResNet'),
    'MetaAconC': dict(type='acon_mm.ResNet'),
    'authors': dict(
        type='acon_mm.ResNet', act_cfg=dict(type='acon_mm.AuthorsMetaAconC')),
}


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


def measure_models(image_size: tuple[int, int], batch: int, device: str,
                   warmup: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Rows of a table, one for each activation of RetinaNet-R50.

    Args:
        image_size (tuple[int, int]): Height and width of the images.
        batch (int): Images of a step.
        device (str): 'cpu' or 'cuda'.
        warmup (int): Steps that are not counted.
        repeats (int): Steps that are.
    """
    steps, memory = {}, {}
    for name, backbone in BACKBONES.items():
        _, forward, step = training_step(backbone, image_size, batch, device)
        step()
        memory[name] = dict(
            saved_bytes=saved_bytes(forward),
            peak_bytes=peak_bytes(step, device))
        steps[name] = lambda step=step: dict(step=clock(step, device)[1])
    times = interleave(steps, warmup, repeats)
    stock = times['ReLU']['step'].median
    for name, phases in times.items():
        median, spread = phases['step']
        yield dict(
            model=CONFIG.rsplit('/', 1)[1],
            activation=name,
            image='x'.join(map(str, image_size)),
            batch=batch,
            ms=round(median, 2),
            spread_ms=round(spread, 2),
            over_relu=round(median / stock, 4),
            saved_bytes=memory[name]['saved_bytes'],
            saved_over_relu=_ratio(memory, name, 'saved_bytes'),
            peak_bytes=memory[name]['peak_bytes'],
            peak_over_relu=_ratio(memory, name, 'peak_bytes'),
            repeats=repeats,
            **environment(device))


def training_step(backbone: dict, image_size: tuple[int, int], batch: int,
                  device: str) -> tuple[nn.Module, Callable, Callable]:
    """A RetinaNet-R50, its forward pass, and its whole training step."""
    from mmdet.testing import demo_mm_inputs
    init_default_scope('mmdet')
    torch.manual_seed(0)
    config = get_config(CONFIG).model
    config.backbone.update(backbone, init_cfg=None)
    model = ROOT_MODELS.build(config).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.)
    images = demo_mm_inputs(batch, (3, *image_size), num_classes=80)

    def forward() -> Tensor:
        inputs = model.data_preprocessor(images, True)
        return model.parse_losses(model(**inputs, mode='loss'))[0]

    def step() -> None:
        optimizer.zero_grad()
        forward().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.)
        optimizer.step()

    return model, forward, step


def _ratio(memory: dict[str, dict[str, int]], name: str, kind: str) -> float:
    return round(memory[name][kind] / memory['ReLU'][kind], 4)
