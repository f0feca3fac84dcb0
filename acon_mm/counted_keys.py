"""What MMEngine logs where a network with ACON begins with ReLU weights, or
one without ACON with those of one that has it."""
import functools
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import mmengine.runner
import torch.nn as nn
from mmengine.model import BaseTTAModel, is_model_wrapper

# the last part of a parameter's name in an activation
OWN = re.compile(r'(.*\.|)(p1|p2|p|beta|(?:fc|bn)[12]\.\w+)')


class CountedKeys(str):
    """One entry in a list of keys for all those of activations."""

    keys: int
    activations: int

    def __new__(cls, keys: int, activations: int, end: str) -> 'CountedKeys':
        new = super().__new__(
            cls, f'{keys} of {activations} ACON activation'
            f'{"s" * (activations > 1)}, which {end}')
        new.keys, new.activations = keys, activations
        return new


def count_new_keys(module: nn.Module, incompatible: Any) -> None:
    """Put an activation that is new to a checkpoint into one count.

    MMEngine prints every key that is missing, 8 kB for a ResNet-50.

    Args:
        module (nn.Module): The activation, just loaded.
        incompatible: ``missing_keys`` and ``unexpected_keys`` so far. Those
            of PyTorch's own ``load_state_dict`` stay: its caller gets them.
    """
    if not type(incompatible).__module__.startswith('mmengine.'):
        return
    missing, own = incompatible.missing_keys, module.state_dict()
    prefix = next((missing[-1][:-len(name)] for name in own
                   if missing and missing[-1].endswith(f'.{name}')), None)
    absent = [key for key in missing
              if prefix is not None and key.startswith(prefix)]
    # BatchNorm fills in the count of its batches itself
    counted = [name for name in own
               if not name.endswith('num_batches_tracked')]
    if not absent or any(prefix + name not in absent for name in counted):
        return  # not new: the checkpoint has some of its keys
    before = [key for key in missing if isinstance(key, CountedKeys)]
    missing[:] = [key for key in missing if key not in absent + before]
    missing.append(CountedKeys(
        len(counted) + sum(entry.keys for entry in before),
        1 + sum(entry.activations for entry in before), 'keep their start'))


def count_left_keys(module: nn.Module, incompatible: Any) -> None:
    """Put activations that a checkpoint has and the model not into a count.

    Args:
        module (nn.Module): The whole model, just loaded.
        incompatible: As in :func:`count_new_keys`.
    """
    unexpected = incompatible.unexpected_keys
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for key in unexpected:
        match = OWN.fullmatch(key)
        if match:
            found[match[1]][match[2]] = key
    acons = [own for own in found.values()
             if {'p1', 'p2'} <= own.keys() or own.keys() in ({'beta'},
                                                             {'p', 'beta'})]
    counted = {key for own in acons for key in own.values()}
    if counted:
        unexpected[:] = [key for key in unexpected if key not in counted]
        unexpected.append(CountedKeys(
            len(counted), len(acons), 'this model does not have'))


def tell_left_keys() -> None:
    """Have MMEngine count what :func:`count_left_keys` finds.

    The model has no module of this package that could do it.
    """
    told = _telling(mmengine.runner.load_state_dict)
    mmengine.runner.load_state_dict = told
    mmengine.runner.checkpoint.load_state_dict = told


def _telling(load: Callable) -> Callable:

    @functools.wraps(load)
    def load_state_dict(module: nn.Module, *args: Any,
                        **kwargs: Any) -> None:
        inner = module.module if is_model_wrapper(module) or isinstance(
            module, BaseTTAModel) else module
        hook = inner.register_load_state_dict_post_hook(count_left_keys)
        try:
            load(module, *args, **kwargs)
        finally:
            hook.remove()

    return load_state_dict
