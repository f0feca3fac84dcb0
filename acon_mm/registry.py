"""The ``acon_mm`` scope: what ``type='acon_mm.X'`` in a config means.

MMEngine imports this module by itself when a config names the scope. A name
that the scope owns (activations, backbones) is returned as it is. Any other
``X`` is a stock OpenMMLab module: it is looked up where the registry that
builds finds its own names, and comes back as a builder that swaps the
activations of what it builds.
"""
import sys
from collections.abc import Callable
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string
from torch import nn

from acon_mm.act_cfg import (
    META_ACON,
    default_act_cfg,
    take_act_cfg,
    unless_its_own,
)
from acon_mm.lookup import SCOPE, default_scope, find_stock


class OverrideRegistry(Registry):
    """Child registry that serves every stock module with ACON inside."""

    def get(self, key: str) -> Callable:
        """Class or builder for ``acon_mm.<key>``.

        A config with ``_scope_='acon_mm'`` asks for names as they are: those
        of other packages and MMCV's layers are then the stock ones.

        Args:
            key (str): A name that this scope owns, or a stock module's,
                with its scope in front (``'mmdet.FPN'``) where it is not in
                that of the registry that builds.

        Returns:
            Callable: The class, or a builder that takes ``act_cfg`` and
            ``placement`` beside the stock module's own arguments.

        Raises:
            KeyError: No such name or scope, or several packages have it and
                nothing says which is meant; the message has the way out.
            ImportError: The package of the scope is not installed.
        """
        self.import_from_location()
        asked = _asked_registry()
        by_scope = asked is not self or key.startswith(f'{SCOPE}.')
        key = key.removeprefix(f'{SCOPE}.')
        if asked in (self, self.parent):
            asked = None
        if key in self.module_dict:
            _tell_namesake(key, asked)
            return self.module_dict[key]
        found = None if by_scope else super().get(key)
        if found is None and '.' in key:  # as dumped configs name a class
            found = get_object_from_string(f'{SCOPE}.{key}')
        if found is not None:
            return found
        scope, name = self.split_scope_key(key)
        return override_builder(find_stock(name, scope, asked), key)


MODELS = OverrideRegistry(
    'model',
    parent=ROOT_MODELS,
    scope=SCOPE,
    locations=['acon_mm.backbones'])
HOOKS = Registry(
    'hook',
    parent=ROOT_HOOKS,
    scope=SCOPE,
    locations=['acon_mm.learned.hook'])


def _asked_registry() -> Registry:
    """The registry that a builder asked for ``acon_mm.X``.

    A registry hands the name of another scope to the root, and the root to
    that scope's, without a word for whom: only the calls under way know.
    """
    frame = sys._getframe(1)
    while (back := frame.f_back) and back.f_code.co_name == 'get' and (
            isinstance(back.f_locals.get('self'), Registry)):
        frame = back
    return frame.f_locals['self']


def _tell_namesake(name: str, asked: Registry | None) -> None:
    """Say that a network of this package is not the scope's of that name."""
    if asked is None and default_scope() in ROOT_MODELS.children:
        asked = ROOT_MODELS.children[default_scope()]
    if asked is not None and name in asked.module_dict:
        print_log(
            f"type='{SCOPE}.{name}' is the network of acon_mm; that of "
            f"{asked.scope} is type='{SCOPE}.{asked.scope}.{name}'.",
            logger='current')


def override_builder(stock: Callable, name: str) -> Callable:
    """Builder of the stock module ``stock`` with its activations swapped.

    Args:
        stock (Callable): Registered class or function that builds an
            ``nn.Module``.
        name (str): Name that the report in the log uses.

    Returns:
        Callable: ``build(placement='paper', **stock_args)``, which takes
        ``act_cfg`` too; see :func:`acon_mm.override.swap_activations` for
        the two, and :mod:`acon_mm.act_cfg` for an ``act_cfg`` that the stock
        module takes itself. The report is ``swap_report`` of the module.
    """

    def build(*args: Any, placement: Any = 'paper',
              **kwargs: Any) -> nn.Module:
        from acon_mm.override import NothingToSwap, swap_activations
        from acon_mm.override.kinds import start_of
        act_cfg = take_act_cfg(stock, name, kwargs)
        module = stock(*args, **kwargs)
        act_cfg = unless_its_own(act_cfg, stock, module, name)
        if start_of(module) is not None:
            raise ValueError(
                f"type='{SCOPE}.{name}' is an activation, with none inside "
                f"to replace: write type='{name}'.")
        try:
            module.swap_report = swap_activations(
                module, act_cfg, placement, name=name)
        except NothingToSwap as error:
            _explain(error, stock, name, act_cfg)
        return module

    build.__name__ = build.__qualname__ = f'{SCOPE}.{name}'
    build.__doc__ = stock.__doc__
    return build


def _explain(error: ValueError, stock: Callable, name: str,
             act_cfg: dict | None) -> None:
    """Send whom the override cannot serve to the stock module.

    Raises:
        ValueError: ``error``, or that the stock module takes ``act_cfg`` and
            has None by default.
    """
    if default_act_cfg(stock) is None:
        kind = (act_cfg or {}).get('type', META_ACON)
        if kind in MODELS.module_dict:
            kind = f'{SCOPE}.{kind}'
        raise ValueError(
            f'There is no activation to replace in {name}: it has none, but '
            f"takes act_cfg itself: write type='{name}', act_cfg=dict("
            f'type={kind!r}).') from error
    raise error
