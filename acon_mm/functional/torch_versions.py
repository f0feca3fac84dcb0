"""What acon_mm asks of PyTorch and not every version from 2.1 on answers."""
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

VERSION = tuple(int(part) for part in torch.__version__.split('.')[:2])

HAS_CUSTOM_OPERATORS = VERSION >= (2, 4)

if hasattr(torch.compiler, 'is_compiling'):
    is_compiling = torch.compiler.is_compiling
else:
    from torch._dynamo.external_utils import is_compiling

if hasattr(torch.compiler, 'is_exporting'):
    is_exporting = torch.compiler.is_exporting
else:
    # there an export is told from a compilation by nothing
    is_exporting = is_compiling


Function = TypeVar('Function', bound=Callable)


def constant(function: Function) -> Function:
    """``torch.compiler.assume_constant_result``, which imports the compiler:
    a quarter of the time that ``import acon_mm`` takes beside PyTorch."""
    vars(function)['_dynamo_marked_constant'] = True
    return function


def is_autocast(x: Tensor) -> bool:
    """Whether operators on ``x``'s device choose half types themselves."""
    if x.is_meta:
        return False
    if VERSION >= (2, 4):
        return torch.is_autocast_enabled(x.device.type)
    return (torch.is_autocast_enabled() if x.is_cuda else
            torch.is_autocast_cpu_enabled())


def is_batched(x: Tensor) -> bool:
    """Whether ``x`` stands for several tensors and has no memory."""
    functorch = torch._C._functorch
    if hasattr(functorch, 'is_legacy_batchedtensor'):
        return (functorch.is_legacy_batchedtensor(x)
                or functorch.is_batchedtensor(x))
    return 'Batched' in repr(torch._C._dispatch_keys(x))


def sigmoid(x: Tensor) -> Tensor:
    """``x.sigmoid()``, which the CPU of PyTorch 2.1 has not in float16."""
    if x.dtype == torch.float16 and x.is_cpu:
        return x.float().sigmoid().to(x.dtype)
    return x.sigmoid()
