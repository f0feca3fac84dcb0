"""The proof of a swap: the model runs again and is asked for gradients."""
import contextlib
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.override.install import installed
from acon_mm.override.runs import Run, first_line
from acon_mm.override.seats import Seat
from acon_mm.override.stand_ins import as_stock, counted, leaking
from acon_mm.probe.running import call, differing, tensors
from acon_mm.probe.state import parameters_of, undisturbed

# training passes, of which each may drop other layers
PASSES = 4


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
    broken = None
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(installed(seats))
        except Exception as error:  # code that no rewriting fits
            return f'cannot be put there: {first_line(error)}'
        stack.enter_context(undisturbed(model, run.written))
        count = stack.enter_context(counted(seats))
        try:
            with as_stock(seats), torch.no_grad():
                problem = _first_problem(run, seats, suspects, count)
        except Exception as error:
            return f'fails: {first_line(error)}'
        alike = problem is not None
        if not alike:
            try:
                with as_stock(seats, traced=True), torch.enable_grad():
                    problem, alike = _training_problem(run, seats)
            except Exception as error:
                broken = f'no backward pass: {first_line(error)}'
    if problem is None and not alike:
        problem = _second_problem(model, run, seats, suspects)
    if problem and not run.asked and not _repeats(model, run):
        return _problem(model, run, seats, suspects)
    if broken and not _has_backward(model, run):  # it is the model's own way
        broken = None
    return problem or broken or _refusal(model, run, seats) or (
        _root_problem(model, run, seats))


def _first_problem(run: Run, seats: Sequence[Seat], suspects: Sequence[Seat],
                   count: Counter) -> str | None:
    """In eval mode: other outputs, or calls that are more or none."""
    if not run.alike(0, run.first()):
        return _other(suspects)
    for seat in seats:
        times = count[id(seat)]
        if seat.first_calls and not times:
            return 'its replacement does not run'
        if run.unsteady[0] == set() and seat.first_calls not in (0, times):
            why = ('its module runs all that is in it'
                   if times > seat.first_calls
                   else 'what it replaces is also called otherwise')
            return (f'its replacement runs {times} times, not '
                    f'{seat.first_calls}: {why}')
    return None


def _other(suspects: Sequence[Seat]) -> str:
    return ('inplace, and its input is read again'
            if any(seat.inplace for seat in suspects)
            else 'the outputs are others')


def _training_problem(run: Run,
                      seats: Sequence[Seat]) -> tuple[str | None, bool]:
    """In training: a parameter without gradient; whether outputs are alike,
    but for the rounding of a sum, which norms of few pixels enlarge."""
    parameters = [p for seat in seats for p in seat.new.parameters()
                  if p.requires_grad]
    if not parameters:
        return None, False
    outputs: list[Tensor] = []
    for seed in range(PASSES):
        if not parameters:  # another width may be drawn
            call(run.module, run.feed.second(), training=True, seed=seed)
            continue
        seen, grads = _gradients(run, parameters, seed)
        outputs = outputs or seen
        parameters = [p for p, grad in zip(parameters, grads or ())
                      if grad is None]
        if not (_has_drawn if parameters else _has_chosen)(seed):
            break
    alike = not run.trains or run.alike(1, outputs)
    return 'no gradient reaches it' if parameters else None, alike


def _second_problem(model: nn.Module, run: Run, seats: Sequence[Seat],
                    suspects: Sequence[Seat]) -> str | None:
    """In training mode: other outputs, exactly."""
    if not run.trains:
        return None
    with installed(seats), undisturbed(model, run.written), counted(seats), (
            as_stock(seats)), torch.no_grad():
        try:
            run.first()  # as before, for what is kept
            alike = run.alike(1, run.second())
        except Exception as error:
            return f'fails: {first_line(error)}'
    return None if alike else _other(suspects)


def _repeats(model: nn.Module, run: Run) -> bool:
    """Whether the stock model computes the same again; asked once."""
    with undisturbed(model, run.written), torch.no_grad():
        run.unsteady[0] = differing(run.first(), run.outputs[0])
        if run.trains:
            run.unsteady[1] = differing(run.second(), run.outputs[1])
    run.asked = True
    return run.unsteady == [set(), set()]


def _refusal(model: nn.Module, run: Run, seats: Sequence[Seat]) -> str | None:
    """What is said of ACON's numbers by what wants no negative ones."""
    if not run.observer.demands:
        return None
    with installed(seats), undisturbed(model, run.written), torch.no_grad():
        try:
            run.first()
            with leaking(seats):
                run.first()
                if run.trains:
                    run.second()
        except Exception as error:
            return f'fails on what ACON gives: {first_line(error)}'
    return None


def _root_problem(model: nn.Module, run: Run,
                  seats: Sequence[Seat]) -> str | None:
    """Whether a root or a logarithm gets ACON's small negative numbers."""
    if not (run.observer.has_roots or run.observer.has_infinite):
        return None
    with installed(seats), undisturbed(model, run.written), torch.no_grad():
        ours = run.first()
    # counted, since there may be more detections in one than in the other
    lost = any(own.isfinite().logical_not().sum()
               > theirs.isfinite().logical_not().sum()
               for own, theirs in zip(ours, run.outputs[0]))
    if not lost:
        return None
    return ('infinite numbers come to it' if run.observer.has_infinite
            else 'a root or a logarithm wants its output positive')


def _has_backward(model: nn.Module, run: Run) -> bool:
    """Whether the stock model has a backward pass."""
    try:
        with torch.enable_grad(), undisturbed(model, run.written):
            _gradients(run, [p for p in parameters_of(run.module)
                             if p.requires_grad])
    except Exception:
        return False
    return True


def _has_drawn(seed: int) -> bool:
    """Whether numbers were drawn since they were seeded."""
    fresh = torch.Generator().manual_seed(seed).get_state()
    return not torch.equal(
        torch.get_rng_state(), fresh) or _has_chosen(seed)


def _has_chosen(seed: int) -> bool:
    """The same of the numbers by which branches and widths are chosen."""
    numpys = np.random.RandomState(seed).get_state(legacy=False)
    now = np.random.get_state(legacy=False)
    return random.getstate() != random.Random(seed).getstate() or (
        now['state']['pos'] != numpys['state']['pos'])


def _gradients(run: Run, parameters: list[Tensor],
               seed: int = 0) -> tuple[list[Tensor], list | None]:
    """Outputs of a training pass and gradients; None if it has none."""
    given = call(run.module, run.feed.second(), training=True, grad=True,
                 seed=seed)
    seen = run.given(given)
    outputs = [out for out in tensors(given) if out.grad_fn is not None]
    if not outputs:
        return seen, None
    try:
        grads = torch.autograd.grad(
            sum(out.sum() for out in outputs), parameters, allow_unused=True)
        if all(grad is not None for grad in grads):
            return seen, list(grads)
    except RuntimeError as error:
        if 'checkpoint' not in str(error):
            raise
    return seen, _gradients_by_backward(run, parameters, seed)


def _gradients_by_backward(run: Run, parameters: list[Tensor],
                           seed: int) -> list:
    """The same where a checkpoint hides parameters from ``autograd.grad``."""
    saved = [(p, p.grad) for p in [*parameters_of(run.module), *parameters]]
    try:
        for parameter, _ in saved:
            parameter.grad = None
        outputs = tensors(call(run.module, run.feed.second(), training=True,
                               grad=True, seed=seed))
        sum(out.sum() for out in outputs
            if out.grad_fn is not None).backward()
        return [p.grad for p in parameters]
    finally:
        for parameter, grad in saved:
            parameter.grad = grad
