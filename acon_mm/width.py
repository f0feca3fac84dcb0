"""The width of an activation, read from the module that holds it.

The optimizer and DDP are built before any forward pass, so an activation's
parameters must exist when the model does. MMCV passes no channel count to
``build_activation_layer``; a hook on module registration supplies it.
"""
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch.nn as nn
from mmcv.cnn import ConvModule
from torch.nn.modules.module import register_module_module_registration_hook

from acon_mm.base import AconBase

# what the layers of torch, mmcv and their relatives call their output width
WIDTH_ATTRIBUTES = ('out_channels', 'num_features', 'out_features',
                    'num_channels')
INPUT_WIDTH_ATTRIBUTES = ('in_channels', 'num_features', 'in_features')
# layers without parameters that do not keep the channels
RESHAPING = (nn.Flatten, nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle,
             nn.Fold, nn.Unfold, nn.GLU)


class Features(NamedTuple):
    """The channels of a tensor: how many, and in which dimension."""
    width: int
    channel_dim: int = 1


def output_features(module: nn.Module) -> Features | None:
    """Channels of what a layer returns, None if it does not say.

    Layers that work on the last dimension have their channels there: tokens
    (N, L, C), channels-last maps, and (N, C) all the same. A sequence
    answers for its last layer.
    """
    width = _int_attribute(module, WIDTH_ATTRIBUTES)
    if isinstance(module, AconBase):
        return Features(width, module.channel_dim) if width else None
    if isinstance(module, nn.Linear):
        return Features(module.out_features, -1)
    if width is not None:
        return Features(width)
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1:
        return Features(module.normalized_shape[0], -1)
    if isinstance(module, nn.Sequential):
        return last_features(module)
    return None


def last_features(
    layers: Iterable[nn.Module],
    features_of: Callable[[nn.Module], Features | None] = output_features
) -> Features | None:
    """Channels after a sequence of layers."""
    for layer in reversed(list(layers)):
        features = features_of(layer)
        if features is not None or not keeps_width(layer):
            return features
    return None


def seat_features(parent: nn.Module, name: str,
                  features_of: Callable[[nn.Module], Features | None]
                  = output_features) -> Features | None:
    """Channels that ``parent`` hands to its child ``name``, None if unknown.

    Args:
        parent (nn.Module): An MMCV ``ConvModule`` (by its ``order``), a list
            or sequence (the layers before, else the one after), or a
            module with ``feedforward_channels`` (MMCV's ``FFN``).
        name (str): The child's name in it.
        features_of (Callable): What a layer returns.
    """
    if isinstance(parent, ConvModule) and name == 'activate':
        before = parent.order.index('act') < parent.order.index('conv')
        return Features(parent.in_channels if before else parent.out_channels)
    if isinstance(parent, (nn.Sequential, nn.ModuleList)):
        names = list(parent._modules)
        end = names.index(name) if name in names else len(names)
        layers = list(parent)
        return (last_features(layers[:end], features_of)
                or _input_features(layers[end + 1:]))
    if name == 'activate' and hasattr(parent, 'feedforward_channels'):
        return Features(parent.feedforward_channels)
    return None


def keeps_width(module: nn.Module) -> bool:
    """Whether a layer without a width of its own passes its input's on."""
    return isinstance(module, nn.PReLU) or not (
        isinstance(module, RESHAPING) or any(True for _ in
                                             module.parameters()))


def _input_features(layers: list[nn.Module]) -> Features | None:
    for layer in layers:
        width = _int_attribute(layer, INPUT_WIDTH_ATTRIBUTES)
        if width is not None:
            return Features(width, -1 if isinstance(layer, nn.Linear) else 1)
        if not keeps_width(layer):
            return None
    return None


def _int_attribute(module: nn.Module, names: tuple[str, ...]) -> int | None:
    for name in names:
        value = getattr(module, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def bind_on_registration(parent: nn.Module, name: str,
                         module: nn.Module | None) -> None:
    """Give an ACON activation its width when it becomes a child.

    Raises:
        ValueError: The width cannot be known from ``parent``, or is not the
            one that the activation was given.
    """
    if not isinstance(module, AconBase):
        return
    if module.num_channels is not None:
        if not (isinstance(parent, ConvModule) and name == 'activate'):
            return
    features = seat_features(parent, name)
    if features is None:
        raise ValueError(
            f'{type(module).__name__} cannot know its width as '
            f'{type(parent).__name__}.{name}: give num_channels=C in act_cfg, '
            f"or let type='acon_mm.{type(parent).__name__}' place it.")
    module.bind(features.width)
    if features.channel_dim != 1:
        module.channel_dim = features.channel_dim


register_module_module_registration_hook(bind_on_registration)
