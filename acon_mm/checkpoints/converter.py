"""From the authors' layout to OpenMMLab's."""
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor

from acon_mm.checkpoints.released import Modules, Released, recognise

Shape = tuple[int, ...]
SLOPES = ('p1', 'p2', 'beta')


@dataclass
class Conversion:
    """Converted weights and the config keys that go with them.

    Attributes:
        name (str): The network, e.g. 'shufflenetv2_0.5x_metaacon'.
        state_dict (dict[str, Tensor]): The network ``backbone`` builds loads
            it with ``strict=True``. With the head kept it is an mmpretrain
            classifier's: ``backbone.*`` and ``head.fc.*``.
        backbone (dict): Config of the backbone, under mmdet's scope.
        data_preprocessor (dict): Keys that a ``data_preprocessor`` of
            mmdet or mmseg must have, with the head kept one of mmpretrain:
            BGR in 0..255 as it is.
        folded (int): Convolution biases folded into norms.
        flattened (int): (1, C, 1, 1) parameters made (C,).
        head (str): 'kept', 'dropped' or 'absent'.
    """
    name: str
    state_dict: dict[str, Tensor]
    backbone: dict[str, Any]
    data_preprocessor: dict[str, Any]
    folded: int
    flattened: int
    head: str


def convert(state_dict: Mapping, keep_head: bool = False) -> Conversion:
    """Map a released checkpoint of nmaac/acon onto the OpenMMLab layout.

    Args:
        state_dict (Mapping[str, Tensor]): The checkpoint as ``torch.load``
            returns it; a wrapper with the key 'state_dict' and the prefix
            'module.' are taken off. It is not changed.
        keep_head (bool): Keep the classifier. Defaults to False.

    Returns:
        Conversion: Tensors have the dtypes of the checkpoint.

    Raises:
        ValueError: Not a released network, or not a complete one.
    """
    tensors = _unwrap(state_dict)
    released = recognise(tensors)
    head = {
        key: tensors.pop(key)
        for key in [k for k in tensors if k.startswith(f'{released.head}.')]
    }
    _check_head(released, head, keep_head)
    _check(released, tensors, _expected(released))
    converted, folded, flattened = _convert_tensors(released, tensors)
    if keep_head:
        converted = {f'backbone.{k}': v for k, v in converted.items()}
        for key, value in head.items():
            converted[f'head.fc{key[len(released.head):]}'] = value
    state = 'absent' if not head else 'kept' if keep_head else 'dropped'
    # mmpretrain has a name of its own for the order of the channels
    order = 'to_rgb' if keep_head else 'bgr_to_rgb'
    preprocessor = {
        'mean': [0., 0., 0.], 'std': [1., 1., 1.], order: False}
    return Conversion(released.name, converted, released.backbone,
                      preprocessor, folded, flattened, state)


def _unwrap(checkpoint: Any) -> dict[str, Tensor]:
    if isinstance(checkpoint, Mapping) and isinstance(
            checkpoint.get('state_dict'), Mapping):
        checkpoint = checkpoint['state_dict']
    if not isinstance(checkpoint, Mapping):
        raise ValueError(f'A {type(checkpoint).__name__} is no checkpoint: '
                         'give a dict of tensors by name.')
    for key, value in checkpoint.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(
                f'The entry {key!r} of the checkpoint is a '
                f'{type(value).__name__} and no tensor: give the state dict '
                'of a model.')
    return {key.removeprefix('module.'): v for key, v in checkpoint.items()}


def _rename(key: str, modules: Modules) -> str:
    """Replace the longest module name that ``modules`` knows."""
    parent = key
    while parent:
        parent = parent.rpartition('.')[0]
        if parent in modules:
            return modules[parent] + key[len(parent):]
    return key


def _norm_of(conv: str, names: Mapping) -> str | None:
    """The batch norm behind a convolution of this package's networks."""
    if conv.endswith('downsample.0'):
        return conv[:-1] + '1'
    candidates = [re.sub(r'conv(\d*)$', r'bn\1', conv)]
    candidates.append(candidates[0] + '1')  # AconFReLU: conv, bn1, bn2
    if candidates[0] == conv:
        return None
    return next(c for c in candidates if f'{c}.running_mean' in names)


def _expected(released: Released) -> dict[str, Shape]:
    """Names and shapes of the whole network in the authors' layout."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        target = MODELS.build(released.backbone).state_dict()
    back = {ours: theirs for theirs, ours in released.modules.items()}
    shapes: dict[str, Shape] = {}
    for key, value in target.items():
        module, _, leaf = key.rpartition('.')
        shape = tuple(value.shape)
        if leaf in SLOPES:
            shape = (1, *shape, 1, 1)
        shapes[_rename(key, back)] = shape
        if value.dim() == 4 and _norm_of(module, target):
            shapes[_rename(f'{module}.bias', back)] = shape[:1]
    return shapes


def _check_head(released: Released, head: dict[str, Tensor],
                keep_head: bool) -> None:
    wanted = {f'{released.head}.weight', f'{released.head}.bias'}
    if head and set(head) != wanted or keep_head and not head:
        raise ValueError(
            f'The classifier of {released.name} should be '
            f'{" and ".join(sorted(wanted))} but the checkpoint has '
            f'{sorted(head) or "neither"}: download it again.')


def _check(released: Released, tensors: Mapping[str, Tensor],
           expected: Mapping[str, Shape]) -> None:
    """Compare the checkpoint with the network it claims to be."""
    missing = [key for key in expected if key not in tensors]
    unexpected = [key for key in tensors if key not in expected]
    for what, keys in (('lacks', missing), ('should not have', unexpected)):
        if keys:
            raise ValueError(
                f'This looks like {released.name} but {what} {len(keys)} '
                f'tensor(s), the first of them {keys[0]!r}: give the file as '
                'it was released.')
    for key, shape in expected.items():
        if tuple(tensors[key].shape) != shape:
            raise ValueError(
                f'{key!r} has shape {tuple(tensors[key].shape)} where '
                f'{released.name} has {shape}: give the file as it was '
                'released.')
        if not tensors[key].isfinite().all():
            raise ValueError(
                f'{key!r} holds NaN or infinity: give the file as it was '
                'released.')


def _convert_tensors(
        released: Released,
        tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int, int]:
    """Rename, flatten slopes and fold biases; counts of the last two."""
    converted = {
        _rename(key, released.modules): value
        for key, value in tensors.items()
    }
    slopes = [k for k in converted if k.rpartition('.')[2] in SLOPES]
    for key in slopes:
        converted[key] = converted[key].flatten()
    biases = _foldable(converted)
    for module, norm in biases:
        bias = converted.pop(f'{module}.bias')
        mean = converted[f'{norm}.running_mean']
        wide = torch.promote_types(mean.dtype, torch.float32)
        shifted = mean.to(wide) - bias.to(wide)
        converted[f'{norm}.running_mean'] = shifted.to(mean.dtype)
    return converted, len(biases), len(slopes)


def _foldable(tensors: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Convolutions with a bias before a norm, and these norms."""
    convs = [k.removesuffix('.bias') for k in tensors if k.endswith('.bias')]
    pairs = [(conv, _norm_of(conv, tensors)) for conv in convs]
    return [(conv, norm) for conv, norm in pairs if norm]
