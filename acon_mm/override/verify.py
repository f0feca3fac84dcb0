"""The proof of a swap: the model runs again and is asked for gradients."""
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.base import AconBase
from acon_mm.override.install import installed
from acon_mm.override.runs import Run
from acon_mm.override.seats import Seat
from acon_mm.probe.running import call, equal, tensors, undisturbed


def sound(model: nn.Module, run: Run, seats: Sequence[Seat],
          before: Sequence[Seat] = ()) -> tuple[list[Seat], dict[str, str]]:
    """Those of ``seats`` whose swap leaves the model whole.

    With each new activation computing what it replaces, the outputs must be
    those of the stock model and each must run; as themselves, they must get
    gradients. Where that does not hold, the seats are halved until those
    that are to blame stand alone.

    Args:
        model (nn.Module): The model, as it was before the swap.
        run (Run): What was run of it.
        seats (sequence of Seat): Seats of that run with new activations.
        before (sequence of Seat): Those known to be sound.

    Returns:
        tuple: The sound seats, and for the path of each other why.
    """
    if not seats:
        return [], {}
    reasons = _problem(model, run, [*before, *seats], seats)
    if not reasons:
        return list(seats), {}
    if len(seats) == 1:
        return [], {seats[0].path: reasons}
    half = len(seats) // 2
    first, why = sound(model, run, seats[:half], before)
    second, why_too = sound(model, run, seats[half:], [*before, *first])
    return first + second, why | why_too


def _problem(model: nn.Module, run: Run, seats: Sequence[Seat],
             suspects: Sequence[Seat]) -> str | None:
    """What is wrong with the model on these seats; None if nothing is."""
    with installed(seats), undisturbed(model):
        try:
            with _as_stock(seats), _counted(seats) as count, torch.no_grad():
                outputs = tensors(call(
                    run.module, run.feed.first(), training=False))
        except Exception as error:
            return _sentence('fails', error)
        if run.repeats and not equal(outputs, run.outputs):
            problem = ('inplace, and its input is read again'
                       if any(seat.inplace for seat in suspects)
                       else 'the outputs are others')
        elif not all(count[id(seat)] for seat in seats if seat.ran_first):
            return 'its replacement does not run'
        else:
            problem = None
    if problem and not _repeats(model, run):
        return _problem(model, run, seats, suspects)
    return problem or _gradient_problem(model, run, seats)


def _repeats(model: nn.Module, run: Run) -> bool:
    """Whether the stock model computes the same again; asked once."""
    if not run.asked:
        with undisturbed(model), torch.no_grad():
            again = tensors(call(
                run.module, run.feed.first(), training=False))
        run.asked, run.repeats = True, equal(again, run.outputs)
    return run.repeats


def _gradient_problem(model: nn.Module, run: Run,
                      seats: Sequence[Seat]) -> str | None:
    parameters = [(seat, p) for seat in seats for p in seat.new.parameters()
                  if p.requires_grad]
    if not parameters:
        return None
    with torch.enable_grad():
        with installed(seats), undisturbed(model):
            try:
                grads = _gradients(run, [p for _, p in parameters])
            except Exception as error:
                problem = _sentence('no backward pass', error)
            else:
                dead = [seat.path for (seat, _), grad in zip(
                    parameters, grads or ()) if grad is None]
                return 'no gradient reaches it' if dead else None
        try:  # is it the model's own way?
            with undisturbed(model):
                _gradients(run, [p for p in run.module.parameters()
                                 if p.requires_grad])
        except Exception:
            return None
    return problem


def _gradients(run: Run, parameters: list[Tensor]) -> list | None:
    """Of a training pass; None if nothing in it is differentiated."""
    outputs = tensors(call(run.module, run.feed.second(), training=True,
                           grad=True))
    outputs = [out for out in outputs if out.grad_fn is not None]
    if not outputs:
        return None
    try:
        grads = torch.autograd.grad(
            sum(out.sum() for out in outputs), parameters, allow_unused=True)
        if all(grad is not None for grad in grads):
            return grads
    except RuntimeError as error:
        if 'checkpoint' not in str(error):
            raise
    return _gradients_by_backward(run, parameters)


def _gradients_by_backward(run: Run, parameters: list[Tensor]) -> list:
    """The same where a checkpoint hides parameters from ``autograd.grad``."""
    saved = [(p, p.grad) for p in [*run.module.parameters(), *parameters]]
    try:
        for parameter, _ in saved:
            parameter.grad = None
        outputs = tensors(call(run.module, run.feed.second(), training=True,
                               grad=True))
        sum(out.sum() for out in outputs
            if out.grad_fn is not None).backward()
        return [p.grad for p in parameters]
    finally:
        for parameter, grad in saved:
            parameter.grad = grad


@contextlib.contextmanager
def _as_stock(seats: Sequence[Seat]) -> Iterator[None]:
    """The new activations compute what those did that they replace.

    Nothing is done in place, as ACON does nothing in place.
    """
    acts = [(act, seat) for seat in seats for act in _singles(seat.new)]
    for act, seat in acts:
        vars(act)['forward'] = _stand_in(act, seat.stock)
    try:
        yield
    finally:
        for act, _ in acts:
            del vars(act)['forward']


def _singles(new: nn.Module) -> list[nn.Module]:
    own = [act for act in new.modules() if isinstance(act, AconBase)]
    return own or [new]


def _stand_in(act: nn.Module, stock: Callable) -> Callable:
    def forward(x: Tensor) -> Tensor:
        if isinstance(act, AconBase):
            act.check_input(x)
        return stock(x)

    return forward


@contextlib.contextmanager
def _counted(seats: Sequence[Seat]) -> Iterator[Counter]:
    count: Counter = Counter()
    handles = [seat.new.register_forward_pre_hook(
        lambda *_, seat=seat: count.update([id(seat)])) for seat in seats]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()


def _sentence(what: str, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f'{what}: {lines[0] if lines else type(error).__name__}'
