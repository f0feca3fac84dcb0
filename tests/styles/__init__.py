"""Small modules in ordinary styles of PyTorch code."""

from styles import (  # noqa: F401  they register cases
    calls,
    flow,
    layers,
    methods,
    training,
    wrapped,
)
from styles.case import CASES, Case

__all__ = ['CASES', 'Case']
