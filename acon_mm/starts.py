"""Where the family's parameters begin."""
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor


class Start(NamedTuple):
    """Values that ``init='match'`` begins with; the default is near ReLU.

    ``x * sigmoid(beta * x)`` is at most ``0.2785 / beta`` away from ReLU.
    """
    p1: float | Tensor = 1.0
    p2: float | Tensor = 0.0
    beta: float = 100.0


# by the name that ``init`` has; None is drawn from N(0, 1)
NAMED: dict[str, dict[str, float | None]] = {
    'paper': dict(p1=None, p2=None, beta=1.),
    'leaky': dict(p1=1., p2=.25, beta=1.),
}
INITS = (*NAMED, 'match')


def is_number(value: Any) -> bool:
    """Whether a config's value is a finite number, which True is not."""
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value))


def check_init(init: Any, name: str, known: tuple[str, ...] = INITS) -> None:
    """Refuse an ``init`` that the activation ``name`` does not know.

    Raises:
        ValueError: One sentence with the value and the known ones.
    """
    if init not in known:
        names = ', '.join(map(repr, known[:-1]))
        raise ValueError(f'init={init!r} of {name} is unknown: choose '
                         f'{names} or {known[-1]!r}.')


def check_start(start: Any, name: str) -> dict[str, float]:
    """A user's ``start`` of the activation ``name``; None is an empty one.

    Raises:
        ValueError: One sentence with the key or value that is wrong.
    """
    if start is None:
        return {}
    keys = ', '.join(Start._fields)
    if not isinstance(start, Mapping):
        raise ValueError(f'start={start!r} of {name} must be a dict of numbers'
                         f' for some of {keys}.')
    for key, value in start.items():
        if key not in Start._fields:
            raise ValueError(f'start of {name} has no {key!r}: give numbers '
                             f'for some of {keys}.')
        if not is_number(value):
            raise ValueError(f'start of {name} has {key}={value!r}: give a '
                             'finite number, the same for all channels.')
    return dict(start)
