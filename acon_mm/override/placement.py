"""Which seats an override takes: ``placement`` of a config."""
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch.nn as nn

from acon_mm.override.seats import Seat

# what models call their backbone; `image_encoder` is SAN's
BACKBONES = {'backbone', 'image_encoder'}


class NothingToSwap(ValueError):
    """A model has no activation at all."""


class Placement:
    """A rule that chooses among the seats of a model.

    Args:
        rule (str or sequence of str): 'paper', 'all', or patterns of module
            paths (``fnmatch``; one string is a pattern too if it has a dot
            or a wildcard).

    Raises:
        ValueError: Another word, or no pattern.
    """

    def __init__(self, rule: str | Sequence[str]) -> None:
        if isinstance(rule, str) and any(c in rule for c in '.*?['):
            rule = [rule]
        known = rule in ('paper', 'all') if isinstance(rule, str) else (
            isinstance(rule, Sequence) and len(rule) > 0
            and all(isinstance(pattern, str) for pattern in rule))
        if not known:
            raise ValueError(
                f"placement={rule!r} is unknown: choose 'paper', 'all' or a "
                "list of module paths such as ['layer4.*'].")
        self.rule = rule

    def select(self, seats: list[Seat], model: nn.Module, name: str,
               others: int = 0, why_none: str = ': it has none') -> list[Seat]:
        """Seats of ``model`` that the rule takes.

        Args:
            seats (list[Seat]): All of them.
            model (nn.Module): The model.
            name (str): Its name in errors.
            others (int): How many activations run that no swap can reach.
            why_none (str): What is said of a model without seats.

        Raises:
            ValueError: The rule, or one of its patterns, takes none.
        """
        if not seats and others and isinstance(self.rule, str):
            return []
        if self.rule == 'all':
            return _require(seats, self.rule, seats, name, why_none)
        if self.rule == 'paper':
            return _require(_paper(seats, model), self.rule, seats, name,
                            why_none)
        for pattern in self.rule:
            _require([seat for seat in seats
                      if fnmatchcase(seat.path, pattern)],
                     pattern, seats, name, why_none)
        return [seat for seat in seats
                if any(fnmatchcase(seat.path, p) for p in self.rule)]


def _require(chosen: list[Seat], rule: str, seats: list[Seat],
             name: str, why_none: str) -> list[Seat]:
    if chosen:
        return chosen
    said = f'placement={rule!r} matches no pointwise activation of {name}'
    if not seats:
        raise NothingToSwap(f'{said}{why_none}.')
    found = ', '.join(seat.path for seat in seats[:3])
    raise ValueError(f'{said}: its activations are at {found}'
                     f'{" and more" if len(seats) > 3 else ""}.')


def _paper(seats: list[Seat], model: nn.Module) -> list[Seat]:
    """The backbone's: after the 3x3 convolutions of its residual blocks.

    The paper replaces in a Bottleneck the activation after the 3x3
    convolution alone, in a BasicBlock both (Sec. 4.1); a backbone without
    residual blocks gives all.
    """
    if any(BACKBONES & set(path.split('.'))
           for path, _ in model.named_modules()):
        seats = [s for s in seats
                 if BACKBONES & set(s.path.split('.')[:-1])]
    blocks = [seat for seat in seats if seat.in_residual_block]
    return [s for s in blocks if s.follows_spatial_conv] or seats
