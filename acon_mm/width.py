"""The width of an activation, read from the module that holds it.

The optimizer and DDP are built before any forward pass, so an activation's
parameters must exist when the model does. MMCV passes no channel count to
``build_activation_layer``; a hook on module registration supplies it.
"""

import torch.nn as nn
from mmcv.cnn import ConvModule
from torch.nn.modules.module import register_module_module_registration_hook

from acon_mm.activations import AconBase

# what the layers of torch, mmcv and their relatives call their output width
WIDTH_ATTRIBUTES = ('out_channels', 'num_features', 'out_features',
                    'num_channels')


def output_width(module: nn.Module) -> int | None:
    """Channels of what a layer returns, None if it does not say.

    Containers answer for their last layer.
    """
    for name in WIDTH_ATTRIBUTES:
        width = getattr(module, name, None)
        if isinstance(width, int) and not isinstance(width, bool):
            return width
    if isinstance(module, nn.LayerNorm):
        return module.normalized_shape[0]  # (C,), or (C, H, W)
    if isinstance(module, nn.Sequential):
        return _last_width(list(module))
    return None


def seat_width(parent: nn.Module, name: str) -> int | None:
    """Channels that ``parent`` hands to its child ``name``, None if unknown.

    Args:
        parent (nn.Module): An MMCV ``ConvModule`` (by its ``order``), an
            ``nn.Sequential`` (the layers before), or a module with
            ``feedforward_channels`` (MMCV's ``FFN``).
        name (str): The child's name in it.
    """
    if isinstance(parent, ConvModule) and name == 'activate':
        before = parent.order.index('act') < parent.order.index('conv')
        return parent.in_channels if before else parent.out_channels
    if isinstance(parent, nn.Sequential):
        names = list(parent._modules)
        end = names.index(name) if name in names else len(names)
        return _last_width(list(parent)[:end])
    if name == 'activate':
        return getattr(parent, 'feedforward_channels', None)
    return None


def keeps_width(module: nn.Module) -> bool:
    """Whether a layer without a width of its own passes its input's on."""
    return isinstance(module, nn.PReLU) or not any(
        True for _ in module.parameters())


def _last_width(layers: list) -> int | None:
    for layer in reversed(layers):
        width = output_width(layer)
        if width is not None or not keeps_width(layer):
            return width
    return None


def bind_on_registration(parent: nn.Module, name: str,
                         module: nn.Module | None) -> None:
    """Give an ACON activation its width when it becomes a child.

    Raises:
        ValueError: The width cannot be known from ``parent``.
    """
    if not isinstance(module, AconBase) or module.num_channels is not None:
        return
    width = seat_width(parent, name)
    if width is None:
        raise ValueError(
            f'{type(module).__name__} cannot know its width as '
            f'{type(parent).__name__}.{name}: give num_channels=C in act_cfg, '
            f"or let type='acon_mm.{type(parent).__name__}' place it.")
    module.bind(width)


register_module_module_registration_hook(bind_on_registration)
