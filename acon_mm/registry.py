"""The ``acon_mm`` scope: what ``type='acon_mm.X'`` in a config means.

MMEngine imports this module by itself when a config names the scope. A name
that the scope owns (activations, backbones) is returned as it is. Any other
``X`` is a stock OpenMMLab module: it is looked up in the default scope and
comes back as a builder that swaps the activations of what it builds.
"""
import difflib
import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope, Registry
from torch import nn

from acon_mm.own_stream import own_stream

SCOPE = 'acon_mm'


class OverrideRegistry(Registry):
    """Child registry that serves every stock module with ACON inside."""

    def get(self, key: str) -> Callable:
        """Class or builder for ``acon_mm.<key>``.

        Args:
            key (str): A name that this scope owns, or a stock module's,
                with its scope in front (``'mmdet.FPN'``) where it is not in
                the default scope.

        Returns:
            Callable: The class, or a builder that takes ``act_cfg`` and
            ``placement`` beside the stock module's own arguments.

        Raises:
            KeyError: No such name or scope; the message has the nearest.
            ImportError: The package of the scope is not installed.
        """
        self.import_from_location()
        if key in self.module_dict:
            return self.module_dict[key]
        scope, name = self.split_scope_key(key)
        scope = scope or _default_scope()
        if name in self.module_dict and scope in (None, self.scope):
            return self.module_dict[name]
        return override_builder(self.find_stock(key), name)

    def find_stock(self, key: str) -> Callable:
        """Class or function that builds the stock module ``acon_mm.<key>``.

        Raises:
            KeyError, ImportError: As :meth:`get`.
        """
        scope, name = self.split_scope_key(key)
        scope = scope or _default_scope()
        registries = [_scope_registry(scope)] if scope else [
            child for child in self.parent.children.values()
            if child is not self
        ]
        for registry in registries:
            found = _lookup(registry, name)
            if found is not None:
                return found
        searched = ', '.join(r.scope for r in registries) or 'no scope at all'
        known = [n for r in registries + [self] for n in _names(r)]
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.)
        hint = f'did you mean {SCOPE}.{nearest[0]}' if nearest else (
            "name the scope as in 'acon_mm.mmdet.ResNet'")
        raise KeyError(f"type='{SCOPE}.{name}' is not registered (searched: "
                       f'{searched}): {hint}?')


MODELS = OverrideRegistry(
    'model',
    parent=ROOT_MODELS,
    scope=SCOPE,
    locations=['acon_mm.backbones'])


def override_builder(stock: Callable, name: str) -> Callable:
    """Builder of the stock module ``stock`` with its activations swapped.

    Args:
        stock (Callable): Registered class or function that builds an
            ``nn.Module``.
        name (str): Name that the report in the log uses.

    Returns:
        Callable: ``build(act_cfg=None, placement='paper', **stock_args)``;
        see :func:`acon_mm.override.swap_activations` for the two arguments.
        What it returns, the module has as ``swap_report``.
    """

    def build(*args,
              act_cfg: dict | None = None,
              placement: Any = 'paper',
              **kwargs) -> nn.Module:
        from acon_mm.override import swap_activations
        if act_cfg is not None and is_stocks_own(stock, act_cfg):
            kwargs['act_cfg'], act_cfg = act_cfg, None
        module = stock(*args, **kwargs)
        with own_stream():  # all draw in turn, so that no two start alike
            module.swap_report = swap_activations(
                module, act_cfg, placement, name=name)
        return module

    build.__name__ = build.__qualname__ = f'{SCOPE}.{name}'
    build.__doc__ = stock.__doc__
    return build


def is_stocks_own(stock: Callable, act_cfg: Any) -> bool:
    """Whether ``act_cfg`` says what the stock module had, e.g. Swish.

    A base config may hold the stock module's own ``act_cfg``; one override
    of ``type`` must not turn it into the activation that replaces itself.
    """
    name = act_cfg.get('type') if isinstance(act_cfg, dict) else None
    acon = (not isinstance(name, str) or name.startswith(f'{SCOPE}.')
            or name in MODELS.module_dict)
    return not acon and _is_registered(name) and _takes_act_cfg(stock)


def _is_registered(name: str) -> bool:
    with ROOT_MODELS.switch_scope_and_registry(None) as registry:
        return registry.get(name) is not None


def _takes_act_cfg(stock: Callable) -> bool:
    """Whether ``act_cfg`` is an argument, of a base class perhaps."""
    bases = inspect.getmro(stock) if inspect.isclass(stock) else [stock]
    for base in bases:
        if inspect.isclass(base) and '__init__' not in vars(base):
            continue
        parameters = inspect.signature(base).parameters
        if 'act_cfg' in parameters:
            return True
        if all(p.kind != p.VAR_KEYWORD for p in parameters.values()):
            return False
    return False


def _default_scope() -> str | None:
    scope = DefaultScope.get_current_instance()
    name = scope.scope_name if scope is not None else None
    return None if name in (SCOPE, ROOT_MODELS.scope) else name


def _scope_registry(scope: str) -> Registry:
    if scope not in ROOT_MODELS.children:
        if scope in MODULE2PACKAGE and find_spec(scope) is None:
            raise ImportError(
                f"type='{SCOPE}.{scope}.*' needs {scope}, which is not "
                f'installed: pip install {MODULE2PACKAGE[scope]}.')
        try:
            import_module(f'{scope}.registry')
        except ModuleNotFoundError as error:
            if error.name not in (scope, f'{scope}.registry'):
                raise  # it is installed, and something that it needs is not
    if scope not in ROOT_MODELS.children:
        known = [*MODULE2PACKAGE, *ROOT_MODELS.children]
        nearest = difflib.get_close_matches(scope, known, n=1, cutoff=0.)
        raise KeyError(f"'{scope}' in type='{SCOPE}.{scope}.*' is no package "
                       f'with a model registry: did you mean {nearest[0]}?')
    return ROOT_MODELS.children[scope]


def _lookup(registry: Registry | None, name: str) -> Callable | None:
    """``name`` in a registry or its parents, without the scope's search."""
    while registry is not None:
        registry.import_from_location()
        if name in registry.module_dict:
            return registry.module_dict[name]
        registry = registry.parent
    return None


def _names(registry: Registry) -> list[str]:
    return list(registry.module_dict)
