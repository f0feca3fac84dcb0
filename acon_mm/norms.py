"""Norms inside activations, built from a config."""
import torch.nn as nn
from mmcv.cnn import build_norm_layer


def build_norm(norm_cfg: dict, width: int, owner: str) -> nn.Module:
    """The norm of a config.

    Args:
        norm_cfg (dict): As MMCV takes it.
        width (int): Channels.
        owner (str): Name of the activation that it is in.

    Raises:
        ValueError: It builds no norm.
    """
    try:
        return build_norm_layer(norm_cfg, width)[1]
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        reason = f' ({error.args[0]})' if error.args else ''
        raise ValueError(
            f'norm_cfg={norm_cfg!r} of {owner} builds no norm of {width} '
            f"channels{reason}: use one such as dict(type='BN').") from error
