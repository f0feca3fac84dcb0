"""The released networks: how to tell them apart and where tensors go.

A network's ``modules`` maps the names of the authors' modules (nmaac/acon)
to those of this package; what is not in it keeps its name.
"""
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from acon_mm.backbones import shufflenet_v2, tfnet

Modules = dict[str, str]
RESNET_DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}


class Released(NamedTuple):
    """A released network.

    Attributes:
        name (str): E.g. 'resnet50_metaacon'.
        backbone (dict): Config that builds it, under mmdet's scope.
        modules (dict): The authors' module names to this package's.
        head (str): The authors' name of the classifier.
    """
    name: str
    backbone: dict[str, Any]
    modules: Modules
    head: str


def recognise(tensors: Mapping[str, Tensor]) -> Released:
    """Which released network the names and shapes belong to.

    Args:
        tensors (Mapping[str, Tensor]): A state dict in the authors' layout.

    Raises:
        ValueError: None of them, or no size that exists.
    """
    if 'features.0.acon.conv_frelu.weight' in tensors:
        return _tfnet(tensors)
    if 'features.0.branch_proj.0.weight' in tensors:
        return _shufflenet(tensors)
    if 'layer1.0.acon.p1' in tensors:
        return _resnet(tensors)
    first = next(iter(tensors), None)
    raise ValueError(
        f'This checkpoint (first tensor: {first!r}) is none of the released '
        'ACON networks: give a ResNet, ShuffleNetV2 or TFNet of nmaac/acon.')


def _resnet(tensors: Mapping[str, Tensor]) -> Released:
    blocks = {
        match.group(0)
        for match in (re.match(r'layer\d+\.\d+', key) for key in tensors)
        if match
    }
    counts = tuple(
        sum(b.startswith(f'layer{stage}.') for b in blocks)
        for stage in range(1, 5))
    if counts not in RESNET_DEPTHS:
        raise ValueError(
            f'A ResNet with {"-".join(map(str, counts))} blocks was not '
            'released: give depth 50, 101 or 152, complete.')
    depth = RESNET_DEPTHS[counts]
    act_cfg, suffix = _act_cfg(tensors, 'layer1.0.acon', r=16)
    # the override starts near ReLU by default, with another scale of beta
    backbone = dict(
        type='acon_mm.ResNet',
        depth=depth,
        style='caffe',
        act_cfg=dict(act_cfg, init='paper'),
        placement='paper')
    modules = {f'{block}.acon': f'{block}.act2' for block in blocks}
    return Released(f'resnet{depth}_{suffix}', backbone, modules, 'fc')


def _shufflenet(tensors: Mapping[str, Tensor]) -> Released:
    factor = _size_of('ShuffleNetV2', tensors,
                      'features.0.branch_main.0.weight', {
                          widths[0] // 2: factor
                          for factor, widths in shufflenet_v2.CHANNELS.items()
                      })
    act_cfg, suffix = _act_cfg(
        tensors, 'first_conv.2', r=8 if factor == 0.5 else 16)
    backbone = dict(
        type='acon_mm.ShuffleNetV2',
        widen_factor=factor,
        out_indices=(0, 1, 2, 3),
        act_cfg=act_cfg)
    modules = _conv_module('first_conv', 'conv1')
    for source, target in _blocks(shufflenet_v2.STAGE_BLOCKS):
        modules |= _conv_module(f'{source}.branch_main', f'{target}.branch2.0')
        modules |= _conv_module(
            f'{source}.branch_main', f'{target}.branch2.1', first=3)
        modules |= _conv_module(
            f'{source}.branch_main', f'{target}.branch2.2', first=5)
        modules |= _conv_module(f'{source}.branch_proj', f'{target}.branch1.0')
        modules |= _conv_module(
            f'{source}.branch_proj', f'{target}.branch1.1', first=2)
    modules |= _conv_module('conv_last', 'layers.3')
    return Released(f'shufflenetv2_{factor}x_{suffix}', backbone, modules,
                    'classifier.0')


def _tfnet(tensors: Mapping[str, Tensor]) -> Released:
    factor = _size_of(
        'TFNet', tensors, 'first_conv.0.weight',
        {width: factor
         for factor, width in tfnet.STEM_CHANNELS.items()})
    backbone = dict(
        type='acon_mm.TFNet',
        widen_factor=factor,
        out_indices=(0, 1, 2, 3, 4))
    modules = _conv_module('first_conv', 'conv1')
    for source, target in _blocks(tfnet.STAGE_BLOCKS):
        modules |= _conv_module(f'{source}.branch_main', f'{target}.branch.0')
        modules |= _conv_module(
            f'{source}.branch_main', f'{target}.branch.1', first=3)
        modules[f'{source}.acon'] = f'{target}.act'
        modules[f'{source}.acon.conv_frelu'] = f'{target}.act.conv'
    modules |= _conv_module('conv_last', 'layers.4')
    return Released(f'tfnet_{factor}', backbone, modules, 'classifier.0')


def _act_cfg(tensors: Mapping[str, Tensor], seat: str,
             r: int) -> tuple[dict[str, Any], str]:
    if f'{seat}.fc1.weight' in tensors:
        return dict(type='MetaAconC', r=r), 'metaacon'
    return dict(type='AconC'), 'acon'


def _size_of(name: str, tensors: Mapping[str, Tensor], key: str,
             sizes: dict[int, float]) -> float:
    """The width factor, by the output channels of the tensor ``key``."""
    if key not in tensors or tensors[key].dim() != 4:
        raise ValueError(f'{name} needs the convolution {key!r}, which this '
                         'checkpoint does not have: download it again.')
    channels = tensors[key].size(0)
    if channels not in sizes:
        raise ValueError(
            f'{key!r} has {channels} output channels, as no size of {name} '
            f'has: {", ".join(map(str, sizes))} exist.')
    return sizes[channels]


def _conv_module(source: str, target: str, first: int = 0) -> Modules:
    """A convolution, its norm and its activation to a ConvModule's parts."""
    return {
        f'{source}.{first}': f'{target}.conv',
        f'{source}.{first + 1}': f'{target}.bn',
        f'{source}.{first + 2}': f'{target}.activate',
        f'{source}.{first + 2}.conv_frelu': f'{target}.activate.conv',
    }


def _blocks(depths: tuple[int, ...]) -> list:
    """Names of all blocks, the authors' and this package's."""
    targets = [(stage, i) for stage, depth in enumerate(depths)
               for i in range(depth)]
    return [(f'features.{n}', f'layers.{stage}.{i}')
            for n, (stage, i) in enumerate(targets)]
