"""Which seats an override takes: ``placement`` of a config."""
from collections.abc import Sequence
from fnmatch import fnmatchcase

from acon_mm.override.seats import Seat

# what models call their backbone; `image_encoder` is SAN's
BACKBONES = {'backbone', 'image_encoder'}


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
        if (isinstance(rule, str) and rule not in ('paper', 'all')) or (
                not rule) or any(not isinstance(p, str) for p in rule):
            raise ValueError(
                f"placement={rule!r} is unknown: choose 'paper', 'all' or a "
                "list of module paths such as ['layer4.*'].")
        self.rule = rule

    def select(self, seats: list[Seat], name: str) -> list[Seat]:
        """Seats that the rule takes.

        Raises:
            ValueError: None does.
        """
        if self.rule == 'all':
            chosen = seats
        elif self.rule == 'paper':
            chosen = _paper(seats)
        else:
            chosen = [
                seat for seat in seats
                if any(fnmatchcase(seat.path, p) for p in self.rule)
            ]
        if not chosen:
            found = ', '.join(seat.path for seat in seats[:3])
            way_out = (f'its activations are at {found}'
                       f'{" and more" if len(seats) > 3 else ""}' if found else
                       'it has none; give it act_cfg=dict(type='
                       "'acon_mm.AconC') if it takes act_cfg")
            raise ValueError(f'placement={self.rule!r} matches no pointwise '
                             f'activation of {name}: {way_out}.')
        return chosen


def _paper(seats: list[Seat]) -> list[Seat]:
    """The backbone's: after the 3x3 convolutions of its residual blocks.

    The paper replaces in a Bottleneck the activation after the 3x3
    convolution alone, in a BasicBlock both (Sec. 4.1); a backbone without
    residual blocks gives all.
    """
    seats = [s for s in seats
             if BACKBONES & set(s.path.split('.')[:-1])] or seats
    blocks = [seat for seat in seats if seat.in_residual_block]
    return [s for s in blocks if s.follows_spatial_conv] or seats
