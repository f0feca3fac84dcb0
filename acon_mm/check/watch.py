"""What runs in a model: activations that were left, and the channels."""
import contextlib
from collections.abc import Iterator

import torch
import torch.nn as nn
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from acon_mm.base import AconBase

# PyTorch's operators that are activations, with and without `_` at the end
RECTIFIERS = {
    'relu', 'leaky_relu', 'gelu', 'silu', 'hardswish', 'mish',
    'clamp_min', 'hardtanh', '_prelu_kernel', 'rrelu_with_noise',
    '_transformer_encoder_layer_fwd'}


class Watch(TorchDispatchMode):
    """Sees the activations that run in a model while it is entered.

    Args:
        model (nn.Module): The model; what is run may be a part of it.

    Attributes:
        ran (list[str]): Paths of the modules, one for each activation that
            ran and is none of ACON's.
        misplaced (list[str]): Activations of ACON whose channels are not
            those of the convolution or linear layer in front.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.misplaced: list[str] = []
        self._paths = {id(m): name for name, m in model.named_modules()}
        self._stack: list[nn.Module] = []
        self._channels: dict[torch.Size, int] = {}

    def __enter__(self):
        self._exit = contextlib.ExitStack()
        self._exit.enter_context(self._calls())
        return super().__enter__()

    def __exit__(self, *args):
        super().__exit__(*args)
        self._exit.close()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.split('::')[1]
        if name.removesuffix('_') in RECTIFIERS and not any(
                isinstance(m, AconBase) for m in self._stack):
            # a clamp at another number is none: x.norm().clamp_min(eps)
            if not name.startswith(('clamp', 'hardtanh')) or args[1] == 0:
                self.ran.append(self._path())
        return func(*args, **(kwargs or {}))

    def _path(self) -> str:
        """Of the innermost module that has one."""
        return next((self._paths[id(m)] for m in reversed(self._stack)
                     if id(m) in self._paths), '')

    @contextlib.contextmanager
    def _calls(self) -> Iterator[None]:
        """Hooks would change what a module does, so calls are watched."""
        call = nn.Module.__call__

        def watched(module, *args, **kwargs):
            self._stack.append(module)
            try:
                if isinstance(module, AconBase) and args:
                    self._check_channels(module, args[0])
                out = call(module, *args, **kwargs)
            finally:
                self._stack.pop()
            if isinstance(out, Tensor):
                if isinstance(module, nn.Linear):
                    self._channels[out.shape] = out.dim() - 1
                elif isinstance(module, nn.modules.conv._ConvNd):
                    self._channels[out.shape] = 1
            return out

        nn.Module.__call__ = watched
        try:
            yield
        finally:
            nn.Module.__call__ = call

    def _check_channels(self, act: AconBase, x: Tensor) -> None:
        expected = self._channels.get(x.shape)
        found = act.channel_dim % x.dim()
        if expected is not None and expected != found:
            self.misplaced.append(
                f'{self._path()} takes dimension {found} of '
                f'{tuple(x.shape)} for the channels, not {expected}')


def untold(model: nn.Module, ran: list[str]) -> list[str]:
    """Paths in ``ran`` that no report of an override in ``model`` names."""
    left, owners, count = [], set(), 0
    for prefix, module in model.named_modules():
        report = getattr(module, 'swap_report', None)
        if report is None:
            continue
        paths = [f'{prefix}.{entry.path}'.strip('.') for entry in report.left]
        left += [path for path in paths if path]
        # several calls of one module have seats of their own beside it
        owners |= {path.rpartition('.')[0] for path in paths}
        owners |= {f'{prefix}.{method}'.strip('.').rpartition('.')[0]
                   for method, _ in report.functional}
        count += len(report.left) + len(report.functional)
    found = [path for path in ran if not (
        any(f'{path}.'.startswith(f'{told}.') for told in left)
        or path in owners or path.rpartition('.')[0] in owners)]
    return found if len(ran) > count else []
