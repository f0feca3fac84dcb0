"""ACON as close as it comes to what it replaced."""
import contextlib
import math
from collections.abc import Callable, Iterator

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from acon_mm.base import AconBase
from acon_mm.override import kinds

# beta at which ReLU and its relatives are met to within rounding
SHARP_BETA = 1e12
# functions that ACON meets less closely, by the beta it starts with
EXACT = {
    kinds.GELU_BETA: F.gelu,
    kinds.HARDSWISH_BETA: F.hardswish,
    kinds.MISH_BETA: F.mish,
}
# what a user or an override may have chosen
OF_THE_START = ('init', 'start', 'given_start', 'given_scale', 'beta_scale')
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
    before = []
    for path, act in acon_modules(model).items():
        before.append((act, {name: value for name, value in vars(act).items()
                             if name in OF_THE_START}))
        old = next((old for seat, old in olds.items()
                    if f'{path}.'.startswith(f'{seat}.')), '')
        beta = act.start.beta
        exact = F.relu6 if '6' in old or 'ardtanh' in old else (
            None if isinstance(beta, Tensor) else EXACT.get(beta))
        if exact:
            act.forward = _stand_in(act, exact)
            continue
        vars(act).update(init='match', given_start={}, given_scale=None)
        if isinstance(beta, Tensor):
            beta = beta.sign() * SHARP_BETA
        elif beta not in MET:
            beta = math.copysign(SHARP_BETA, beta)
        act.start_like(act.start._replace(beta=beta))
    try:
        yield
    finally:
        for act, values in before:
            vars(act).pop('forward', None)
            vars(act).update(values)
            act.start_like(act.start)


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
