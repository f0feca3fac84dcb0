"""Telling a module that only computes from one that somebody listens to."""
import torch.nn as nn
from torch.nn.modules.module import (
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_forward_hooks,
    _global_forward_pre_hooks,
)


def is_watched(module: nn.Module) -> bool:
    """Whether a hook, or a ``forward`` that somebody put on the object,
    expects that the module itself is called."""
    return bool('forward' in vars(module) or module._forward_hooks
                or module._forward_pre_hooks or module._backward_hooks
                or module._backward_pre_hooks or _global_forward_hooks
                or _global_forward_pre_hooks or _global_backward_hooks
                or _global_backward_pre_hooks)
