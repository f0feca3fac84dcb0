"""What an ``act_cfg`` says, and to whom: the override or the stock module.

``act_cfg`` of ``type='acon_mm.X'`` names the activation to place. But where
``X`` takes an ``act_cfg`` itself, a base config may have had it before the
override came: YOLOX gives CSPDarknet ``act_cfg=dict(type='Swish')``. The
rule: an ``act_cfg`` of the type that ``X`` has by default is its own, and
meta-ACON is placed; any other type is a request, and is placed. Where the
default is None, what ``X`` is built with then tells its type (C3D).
"""
import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

META_ACON = 'acon_mm.MetaAconC'
NOT_TAKEN = inspect.Parameter.empty
# What a config that changes the type inherits: MMCV sets inplace, the others
# are arguments of its activations and of the other members of the family.
INHERITED = (
    'inplace',
    'negative_slope',  # LeakyReLU
    'num_parameters',  # PReLU
    'lower', 'upper',  # RReLU
    'alpha',  # ELU
    'approximate',  # GELU
    'bias', 'divisor', 'min_value', 'max_value',  # HSigmoid
    'min', 'max',  # Clamp
    'r', 'level', 'norm_cfg', 'beta_scale',  # MetaAconC
    'stride',  # FReLU and AconFReLU
)


def take_act_cfg(stock: Callable, name: str, arguments: dict) -> dict | None:
    """Take the activation to place out of a stock module's arguments.

    Args:
        stock (Callable): Class or function that builds the module.
        name (str): What the log calls it.
        arguments (dict): Its ``act_cfg`` becomes the default, or is taken
            out where it has none, unless it is its own.

    Returns:
        dict, optional: What to place; None for meta-ACON.

    Raises:
        TypeError: ``act_cfg`` is no dict.
    """
    if 'act_cfg' not in arguments:
        return None
    act_cfg, own = arguments['act_cfg'], default_act_cfg(stock)
    if act_cfg is None and own is None:
        return None
    check_act_cfg(act_cfg)
    if is_default(stock, act_cfg):
        _tell_its_own(act_cfg, name)
        return None
    if own is NOT_TAKEN:
        del arguments['act_cfg']
    else:
        arguments['act_cfg'] = own
    return act_cfg


def is_default(stock: Callable, act_cfg: dict) -> bool:
    """Whether ``act_cfg`` is of the type that a stock module has by default.
    """
    own = default_act_cfg(stock)
    return isinstance(own, dict) and 'type' in act_cfg and (
        _resolve(act_cfg['type']) is _resolve(own.get('type', '')))


def unless_its_own(act_cfg: dict | None, stock: Callable, module: nn.Module,
                   name: str) -> dict | None:
    """``act_cfg``, or None if ``module`` has that type without being told.

    Args:
        act_cfg (dict, optional): Of :func:`take_act_cfg`.
        stock (Callable): What built ``module``, by its default.
        module (nn.Module): A stock module.
        name (str): What the log calls it.
    """
    if act_cfg is None or default_act_cfg(stock) is not None or (
            'type' not in act_cfg):
        return act_cfg
    kind = _resolve(act_cfg['type'])
    if not any(type(part) is kind for part in module.modules()):
        return act_cfg
    _tell_its_own(act_cfg, name)
    return None


def _tell_its_own(act_cfg: dict, name: str) -> None:
    print_log(
        f'{name}: act_cfg of type {act_cfg["type"]!r}, its default, is '
        'its own; an act_cfg of another type would be placed.',
        logger='current')


def check_act_cfg(act_cfg: Any) -> None:
    """Refuse what is no config of an activation.

    Raises:
        TypeError: ``act_cfg`` is no dict, or its type no name; None, which
            is MMCV's word for no activation, is nothing to place.
    """
    if not isinstance(act_cfg, dict):
        raise TypeError(
            f'act_cfg={act_cfg!r} must be a dict: write act_cfg='
            f"dict(type='{META_ACON}'), or leave the key out.")
    kind = act_cfg.get('type', META_ACON)
    if not kind or not isinstance(kind, (str, type)):
        raise TypeError(
            f'act_cfg type {kind!r} is no name of an activation: write '
            f"act_cfg=dict(type='{META_ACON}').")


def check_keys(cls: type, keys: Iterable[str]) -> None:
    """Refuse keys of an activation's config that nothing explains.

    Args:
        cls (type): Class of the activation.
        keys (Iterable[str]): Those that its constructor does not take.

    Raises:
        ValueError: A key is neither ``cls``'s nor one that configs inherit.
    """
    for key in keys:
        if key in INHERITED:
            continue
        own = [
            p.name for base in cls.__mro__ if '__init__' in vars(base)
            for p in inspect.signature(base).parameters.values()
            if p.kind == p.POSITIONAL_OR_KEYWORD
        ]
        nearest, = difflib.get_close_matches(
            key, [*own, *INHERITED], n=1, cutoff=0.)
        raise ValueError(f'{key!r} is no key of {cls.__name__}: did you mean '
                         f'{nearest!r}?')


def default_act_cfg(stock: Callable) -> Any:
    """Default of the argument ``act_cfg``, of a base class perhaps.

    Returns:
        Any: MMCV's own default where the argument has none (STDCNet),
        ``NOT_TAKEN`` where there is no such argument.
    """
    bases = inspect.getmro(stock) if inspect.isclass(stock) else [stock]
    for base in bases:
        if inspect.isclass(base) and '__init__' not in vars(base):
            continue
        parameters = inspect.signature(base).parameters
        if 'act_cfg' in parameters:
            default = parameters['act_cfg'].default
            return dict(type='ReLU') if default is NOT_TAKEN else default
        if all(p.kind != p.VAR_KEYWORD for p in parameters.values()):
            break
    return NOT_TAKEN


def _resolve(kind: str | type) -> Any:
    """The class of a type, named with a scope or without."""
    if not isinstance(kind, str):
        return kind
    with ROOT_MODELS.switch_scope_and_registry(None) as registry:
        return registry.get(kind) or kind
