"""Parameters and FLOPs of the paper's networks, by MMEngine's analyser.

Importing this module tells the analyser what the element-wise operators of
the activations cost, which it counts as nothing otherwise. As everywhere in
it, one multiply-add is one FLOP, so additions are free.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn as nn
from mmengine.analysis import (
    FlopAnalyzer,
    complexity_analysis,
    parameter_count,
)
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor

# FLOPs for one element of the output; x * sigmoid(x) is what SiLU does
ELEMENTWISE_COSTS = {'aten::mul': 1, 'aten::sigmoid': 1, 'aten::silu': 2}
# what published figures count: norms fold away, activations are left out
COUNTED_BY_PAPERS = ('conv', 'linear', 'addmm')


class Complexity(NamedTuple):
    """Size of a classifier.

    Attributes:
        params (int): Trainable parameters.
        flops (int): Convolutions and linear layers, as papers count.
        all_flops (int): Norms, activations and pooling too.
    """
    params: int
    flops: int
    all_flops: int


class PaperNetwork(NamedTuple):
    """A network of the paper and its figures there.

    Attributes:
        name (str): As in the paper.
        backbone (dict): Config under mmdet's scope.
        flops (float): The paper's FLOPs in millions.
        params (float): The paper's parameters in millions.
    """
    name: str
    backbone: dict[str, Any]
    flops: float
    params: float


def _elementwise(cost: int) -> Callable:

    def count(inputs: list, outputs: list) -> int:
        value = outputs[0]
        if not value.isCompleteTensor():
            return 0  # arithmetic on shapes
        return cost * torch.Size(value.type().sizes()).numel()

    return count


def register_op_costs() -> None:
    """Add the element-wise costs to the analyser's defaults."""
    complexity_analysis._DEFAULT_SUPPORTED_FLOP_OPS.update(
        (name, _elementwise(cost))
        for name, cost in ELEMENTWISE_COSTS.items())


register_op_costs()


class _Classifier(nn.Module):
    """A backbone, the mean over the image and a linear layer."""

    def __init__(self, backbone: nn.Module, image: Tensor,
                 num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(backbone(image)[-1].size(1), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


def measure(backbone: dict[str, Any],
            input_size: int = 224,
            num_classes: int = 1000) -> Complexity:
    """Size of an ImageNet classifier on a backbone.

    Args:
        backbone (dict): Config of the backbone, under mmdet's scope; its last
            output feeds the classifier.
        input_size (int): Height and width of the image. Defaults to 224.
        num_classes (int): Defaults to 1000.

    Returns:
        Complexity: For one image.
    """
    with DefaultScope.overwrite_default_scope('mmdet'):
        built = MODELS.build(backbone)
    built.eval()
    image = torch.zeros(1, 3, input_size, input_size)
    with torch.no_grad():
        model = _Classifier(built, image, num_classes).eval()
        analyzer = FlopAnalyzer(model, (image, ))
        analyzer.unsupported_ops_warnings(False)
        analyzer.uncalled_modules_warnings(False)
        counts = analyzer.by_operator()
    return Complexity(
        params=parameter_count(model)[''],
        flops=int(sum(counts[name] for name in COUNTED_BY_PAPERS)),
        all_flops=int(sum(counts.values())))


def paper_networks() -> list[PaperNetwork]:
    """The networks of the paper's tables, with the paper's figures."""
    acon = dict(type='AconC', init='paper')
    meta = dict(type='MetaAconC', init='paper')
    networks = []
    for factor, flops, params, meta_params, r in ((0.5, 41, 1.4, 1.7, 8),
                                                  (1.5, 299, 3.5, 3.9, 16)):
        cfg = dict(
            type='acon_mm.ShuffleNetV2',
            widen_factor=factor,
            out_indices=(3, ))
        name = f'ShuffleNetV2 {factor}x'
        networks += [
            PaperNetwork(f'{name} ACON', dict(cfg, act_cfg=acon), flops,
                         params),
            PaperNetwork(f'{name} meta-ACON',
                         dict(cfg, act_cfg=dict(meta, r=r)), flops,
                         meta_params),
        ]
    for depth, flops, params, meta_params in ((50, 3900, 25.5, 25.7),
                                              (101, 7600, 44.4, 44.8),
                                              (152, 11300, 60.0, 60.5)):
        cfg = dict(type='acon_mm.ResNet', depth=depth, style='caffe')
        networks += [
            PaperNetwork(f'ResNet-{depth} ACON', dict(cfg, act_cfg=acon),
                         flops, params),
            PaperNetwork(f'ResNet-{depth} meta-ACON', dict(cfg, act_cfg=meta),
                         flops, meta_params),
        ]
    for factor, flops, params in ((0.5, 43, 1.3), (1.0, 135, 1.9),
                                  (1.5, 279, 2.7), (2.0, 474, 3.8)):
        cfg = dict(
            type='acon_mm.TFNet', widen_factor=factor, out_indices=(4, ))
        networks.append(PaperNetwork(f'TFNet {factor}', cfg, flops, params))
    cfg = dict(
        type='acon_mm.MobileNetV1', widen_factor=0.25, act_cfg=acon)
    networks.append(PaperNetwork('MobileNetV1 0.25 ACON', cfg, 41, 0.5))
    return networks
