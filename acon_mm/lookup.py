"""Where the stock module ``X`` of ``type='acon_mm.X'`` comes from."""
import difflib
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec

from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope, Registry
from mmengine.utils import get_object_from_string

from acon_mm.installed import PACKAGES

SCOPE = 'acon_mm'


def find_stock(name: str, scope: str | None,
               asked: Registry | None) -> Callable:
    """Registered class or function of a stock module.

    Args:
        name (str): Its name, or the path of its class in ``scope``.
        scope (str, optional): Package that the config names before it.
        asked (Registry, optional): Registry that builds; it decides where
            the config names no package. None: the default scope's, or the
            one package that has the name.

    Raises:
        KeyError: No such name or scope, or several packages have the name
            and nothing says which is meant.
        ImportError: The package of the scope is not installed.
    """
    scope = scope or (default_scope() if asked is None else None)
    if scope is not None:
        asked = _scope_registry(scope)
    # a registry that has not imported anything yet is empty, and false
    registries = ([asked] if asked is not None
                  else _packages([*ROOT_MODELS.children]))
    found = {r.scope: stock for r in registries
             if (stock := lookup(r, name))}
    if len({id(stock) for stock in found.values()}) > 1:
        raise KeyError(
            f"type='{SCOPE}.{name}' may be {_listed(found, name)}: write one "
            'of them, or set the default scope.')
    if not found:
        raise KeyError(_not_found(name, registries))
    return next(iter(found.values()))


def default_scope() -> str | None:
    """The default scope, the one before where a config says acon_mm."""
    for scope in reversed(DefaultScope._instance_dict.values()):
        if scope.scope_name not in (SCOPE, ROOT_MODELS.scope):
            return scope.scope_name
    return None


def lookup(registry: Registry, name: str) -> Callable | None:
    """``name`` in a registry or its parents, without the scope's search."""
    asked: Registry | None = registry
    while asked is not None:
        asked.import_from_location()
        if name in asked.module_dict:
            return asked.module_dict[name]
        asked = asked.parent
    # a dumped config of the new style names classes by their whole path
    return get_object_from_string(
        f'{registry.scope}.{name}') if '.' in name else None


def namesakes(name: str) -> list[str]:
    """Types of other packages' modules of that name, of those imported."""
    return [
        f'{SCOPE}.{scope}.{name}'
        for scope, registry in ROOT_MODELS.children.items()
        if scope != SCOPE and name in registry.module_dict
    ]


def _packages(scopes: Iterable[str]) -> list[Registry]:
    """Registries of other packages, of those that can be used here.

    Packages import each other's registries without what each of them needs.
    """
    registries = []
    for scope in scopes:
        try:
            registry = _scope_registry(scope)
            registry.import_from_location()
        except Exception:
            continue
        if scope != SCOPE:
            registries.append(registry)
    return registries


def _scope_registry(scope: str) -> Registry:
    if scope not in ROOT_MODELS.children:
        if scope in PACKAGES and find_spec(scope) is None:
            raise ImportError(
                f"type='{SCOPE}.{scope}.*' needs {scope}, which is not "
                f'installed: pip install {PACKAGES[scope]}.')
        try:
            import_module(f'{scope}.registry')
        except ModuleNotFoundError as error:
            if error.name not in (scope, f'{scope}.registry'):
                raise  # it is installed, and something that it needs is not
    if scope not in ROOT_MODELS.children:
        known = [*PACKAGES, *ROOT_MODELS.children]
        nearest = difflib.get_close_matches(scope, known, n=1, cutoff=0.)
        raise KeyError(f"'{scope}' in type='{SCOPE}.{scope}.*' is no package "
                       f'with a model registry: did you mean {nearest[0]}?')
    return ROOT_MODELS.children[scope]


def _not_found(name: str, searched: list[Registry]) -> str:
    """The sentence for a name that no searched registry has."""
    text = (f"type='{SCOPE}.{name}' is not registered (searched: "
            f'{", ".join(r.scope for r in searched) or "no package"})')
    installed = [scope for scope in PACKAGES if find_spec(scope)]
    elsewhere = [
        r.scope
        for r in _packages(dict.fromkeys([*ROOT_MODELS.children, *installed]))
        if name in r.module_dict
    ]
    if elsewhere:
        return f'{text}: write {_listed(elsewhere, name)}.'
    known = [n for r in searched for n in r.module_dict]
    known += ROOT_MODELS.children[SCOPE].module_dict
    nearest, = difflib.get_close_matches(name, known, n=1, cutoff=0.)
    return f'{text}: did you mean {SCOPE}.{nearest}?'


def _listed(scopes: Iterable[str], name: str) -> str:
    return ' or '.join(f"'{SCOPE}.{scope}.{name}'" for scope in scopes)
