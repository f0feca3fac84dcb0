"""The weights that a stock model and its partner are compared on."""
import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from acon_mm.probe.state import undisturbed

# random numbers in (-1, 1), a prime number of them so that no row repeats
POOL = torch.rand(
    1000003, generator=torch.Generator().manual_seed(0)) * 2 - 1
# scales of a branch that are set no higher hide what is in it: 1e-6 of
# ConvNeXt, 1e-2 of SegNeXt, 0.1 of BEiT
SMALL_SCALE = 0.1
Result = TypeVar('Result')


def on_sound_weights(check: Callable[[], Result], stock: nn.Module,
                     model: nn.Module,
                     opened: nn.Module | None = None) -> tuple[Result, bool]:
    """Run a check; once more where random weights compute no number.

    The second run is on the stock model's own initialization. Both models
    then get back the weights that they had. A check that does not hold is
    never tried again.

    Args:
        check (callable): The check.
        stock (nn.Module): The stock model.
        model (nn.Module): Its partner, which has the same weights.
        opened (nn.Module, optional): Part of ``stock`` each branch of which
            must carry a signal.

    Returns:
        tuple: What ``check`` returns, and whether it took the own
        initialization.
    """
    try:
        return check(), False
    except Exception as error:
        if not is_by_the_weights(error):
            raise
        with kept(stock, parameters=True):
            try:
                _initialize(stock)
            except Exception:
                raise error from None
            if opened is not None:
                open_branches(opened)
            model.load_state_dict(stock.state_dict(), strict=False)
            result = check()
    model.load_state_dict(stock.state_dict(), strict=False)
    return result, True


def is_by_the_weights(error: Exception) -> bool:
    """Whether a value, or a region that MMCV pools, is not a number."""
    return isinstance(error, FloatingPointError) or (
        'INTERNAL ASSERT FAILED' in str(error))


@contextlib.contextmanager
def kept(module: nn.Module, parameters: bool = False) -> Iterator[None]:
    """Take back what runs change in a module.

    Its parameters only if asked for: a copy of them is as large as the
    model.
    """
    saved = [(p, p.detach().clone())
             for p in (module.parameters() if parameters else ())]
    with undisturbed(module):
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in saved:
                    parameter.copy_(value)


def open_branches(module: nn.Module) -> None:
    """Give each branch a signal that its initial weights take from it.

    A last norm or convolution of zeros (``zero_init_residual``, GCNet) and
    a small scale of a branch (LayerScale) hide the activations before it.
    """
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if name == 'bias' or parameter.numel() < 2:
                continue
            first = parameter.flatten()[0]
            if abs(first) > SMALL_SCALE or (parameter != first).any():
                continue
            if parameter.squeeze().dim() < 2:
                if name == 'weight' or first != 0:  # no table of positions
                    nn.init.ones_(parameter)
            elif name == 'weight':
                fill(parameter, (len(parameter) / parameter.numel())**0.5)


def fill(tensor: Tensor, bound: float) -> Tensor:
    """Numbers in ``(-bound, bound)``."""
    values = POOL.repeat(tensor.numel() // len(POOL) + 1)[:tensor.numel()]
    with torch.no_grad():
        return tensor.copy_(values.view_as(tensor).mul_(bound))


def _initialize(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, BaseModule):
            module.is_init = False  # or the second time does nothing
    torch.manual_seed(0)
    model.init_weights()
