"""Which sizes are worth a try, by what was said of others."""
import itertools
import math
import re
from collections import Counter
from collections.abc import Hashable

from torch import Tensor

from acon_mm.probe.inputs import Feed

# sizes at which a kind of feed may fail in the same words
REFUSED = 3
# sides that are asked for, and the largest
ASKED, LARGEST_SIDE = 8, 512
# what a classifier says of maps of another size than its own
FLATTENED = re.compile(r'shapes cannot be multiplied \(\d+x(\d+) and (\d+)x')
# and a sum, of as many positions as it knows
POSITIONS = re.compile(r'size of tensor a \((\d+)\) must match the size of '
                       r'tensor b \((\d+)\)')
# numbers in what an operator gives: a GiB in float32
LARGEST_RESULT = 2**28
# operators, by where their two factors begin
PRODUCTS = {'mm': 0, 'bmm': 0, 'addmm': 1, 'baddbmm': 1}
POINTWISE = ('add', 'sub', 'mul', 'div')


class Sizes:
    """What the feeds that failed tell of those to come.

    Attributes:
        asked (list[int]): Sides of images to try next; it grows.
    """

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._refusals: Counter[tuple[Hashable, str]] = Counter()
        self._numbers: dict[Hashable, list[tuple[int, int]]] = {}
        # the kind of feed that came as far as a classifier
        self._classified: Hashable = None

    def are_hopeless(self, feed: Feed) -> bool:
        """Whether feeds of this kind fail whatever their size."""
        return any(count >= REFUSED for (kind, _), count
                   in self._refusals.items() if kind == feed.kind)

    def note(self, feed: Feed, error: Exception) -> None:
        """Learn from what was said of a feed."""
        text = str(error)
        # alike but for the numbers in it, it is not about the size
        words = feed.kind, re.sub(r'\d+', '', text)
        flat, positions = FLATTENED.search(text), POSITIONS.search(text)
        if positions:
            if not self._ask(feed, *map(int, positions.groups())):
                self._refusals[words] += 1
        elif not flat:
            self._refusals[words] += 1
        elif self._classified in (None, feed.kind) and self._is_new(
                feed, int(flat[1])):
            self._classified = feed.kind
            self._ask(feed, *map(int, flat.groups()))
        else:  # larger ones of another kind would take seconds each
            self._refusals[words] = REFUSED

    def _is_new(self, feed: Feed, number: int) -> bool:
        """Whether no feed of another size has come to this number, or to
        nothing."""
        return number == 0 or all(
            number != one for one, _ in self._numbers.get(feed.kind, ()))

    def _ask(self, feed: Feed, number: int, wanted: int) -> bool:
        """Try the side next that would give as many as wanted; whether there
        is one. Of two numbers the one that stays is the wanted."""
        before = self._numbers.setdefault(feed.kind, [])
        before.append((number, wanted))
        if any(one == number and other != wanted for one, other in before):
            number, wanted = wanted, number
        better = feed.side and round(
            feed.side * math.sqrt(wanted / max(1, number)))
        if not better or better in (feed.side, *self.asked) or (
                better > LARGEST_SIDE or len(self.asked) == ASKED):
            return False
        self.asked.append(better)
        return True


def refuse_large(name: str, args: tuple) -> None:
    """Refuse an operator that would take the memory of a machine.

    So does attention from each pixel to each, or a sum of all pairs.

    Raises:
        ValueError: It would give more than :data:`LARGEST_RESULT` numbers.
    """
    shape: tuple[int, ...] = ()
    if name in PRODUCTS:
        left, right = args[PRODUCTS[name]:][:2]
        shape = *left.shape[:-1], right.size(-1)
    elif name.startswith('_scaled_dot_product'):
        shape = *args[0].shape[:-1], args[1].size(-2)
    elif name in POINTWISE and isinstance(args[1], Tensor) and (
            args[0].shape != args[1].shape):
        shape = tuple(map(max, itertools.zip_longest(*(
            reversed(one.shape) for one in args[:2]), fillvalue=1)))[::-1]
    if math.prod(shape) > LARGEST_RESULT:
        raise ValueError(f'A result of shape {tuple(shape)} is too large to '
                         'try.')
