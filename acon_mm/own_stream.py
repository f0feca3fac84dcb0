"""Random numbers that leave PyTorch's stream where it was.

A model with ACON must start its other layers as its ReLU twin does under the
same seed, so an activation draws from a stream of its own.
"""
import contextlib
import ctypes
import functools
import hashlib
from collections.abc import Callable, Iterator

import torch

_apart = False


def seed_of_stream(salt: int = 0) -> int:
    """A seed that PyTorch's state and ``salt`` decide, in [0, 2**63)."""
    state = torch.get_rng_state()
    # read as memory: a mode may be on that fakes or traces operations
    state = ctypes.string_at(state.data_ptr(), state.numel())
    digest = hashlib.sha256(state + salt.to_bytes(8, 'big')).digest()
    return int.from_bytes(digest[:8], 'big') >> 1


@contextlib.contextmanager
def own_stream(salt: int = 0) -> Iterator[None]:
    """Draw from a stream of one's own; what is inside another goes on in it.

    Args:
        salt (int): What tells two streams apart that begin at the same state
            of PyTorch's, in [0, 2**64).
    """
    global _apart
    if _apart:
        yield
        return
    devices = ([torch.cuda.current_device()] if torch.cuda.is_initialized()
               else [])
    with torch.random.fork_rng(devices):
        # torch.manual_seed would seed every GPU as well
        torch.default_generator.manual_seed(seed_of_stream(salt))
        _apart = True
        try:
            yield
        finally:
            _apart = False


def draws_apart(method: Callable) -> Callable:
    """Let a method of an activation draw from the activation's stream."""

    @functools.wraps(method)
    def draw(self, *args, **kwargs):
        with own_stream(self.stream):
            return method(self, *args, **kwargs)

    return draw
