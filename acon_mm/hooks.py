"""Telling a module that only computes from one that somebody listens to."""
import torch.nn as nn
from torch.nn.modules.module import _has_any_global_hook

HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks',
         '_backward_pre_hooks')


def is_watched(module: nn.Module) -> bool:
    """Whether a hook, or a ``forward`` that somebody put on the object,
    expects that the module itself is called."""
    return ('forward' in vars(module)
            or any(getattr(module, hooks) for hooks in HOOKS)
            or _has_any_global_hook())
