"""ACON as close as it comes to what it replaced."""
import contextlib
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from acon_mm.activations import AconBase
from acon_mm.override import kinds

# beta at which ReLU and its relatives are met to within rounding
SHARP_BETA = 1e12
# functions that ACON meets less closely, by the beta it starts with
EXACT = {
    kinds.GELU_BETA: F.gelu,
    kinds.HARDSWISH_BETA: F.hardswish,
    kinds.MISH_BETA: F.mish,
}
MET = (1., kinds.QUICK_GELU_BETA)  # the beta of what ACON is itself


def acon_modules(model: nn.Module) -> dict[str, AconBase]:
    """Activations of the ACON family by their paths."""
    return {name: module for name, module in model.named_modules()
            if isinstance(module, AconBase)}


def replaced(model: nn.Module) -> Iterator[tuple[str, object]]:
    """Paths in ``model`` and entries of the reports of its overrides."""
    for prefix, module in model.named_modules():
        report = getattr(module, 'swap_report', None)
        for entry in report.swapped if report else ():
            yield f'{prefix}.{entry.path}'.strip('.'), entry


@contextlib.contextmanager
def at_the_limit(model: nn.Module) -> Iterator[None]:
    """Let the activations of ACON compute what they replaced.

    ReLU, LeakyReLU and PReLU at a beta of 1e12, SiLU as it is; ReLU6, GELU,
    Hardswish and Mish by their own formulas, after ACON's checks.
    """
    olds = {path: entry.old for path, entry in replaced(model)}
    starts = []
    for path, act in acon_modules(model).items():
        starts.append((act, act.init, act.start))
        old = next((old for seat, old in olds.items()
                    if f'{path}.'.startswith(f'{seat}.')), '')
        beta = torch.as_tensor(act.start.beta)
        exact = F.relu6 if '6' in old or 'ardtanh' in old else (
            EXACT.get(act.start.beta) if beta.dim() == 0 else None)
        if exact:
            act.forward = _stand_in(act, exact)
        elif beta.dim() or act.start.beta not in MET:
            act.init = 'match'
            act.start_like(act.start._replace(
                beta=beta.sign() * SHARP_BETA if beta.dim() else
                math.copysign(SHARP_BETA, beta)))
    try:
        yield
    finally:
        for act, init, start in starts:
            vars(act).pop('forward', None)
            act.init = init
            act.start_like(start)


def _stand_in(act: AconBase, exact: Callable) -> Callable:
    def forward(x: Tensor, scale: Tensor | None = None,
                shift: Tensor | None = None) -> Tensor:
        act.check_input(x)
        if scale is not None:
            shape = [1] * x.dim()
            shape[act.channel_dim] = -1
            x = x * scale.view(shape) + shift.view(shape)
        return exact(x)

    return forward
