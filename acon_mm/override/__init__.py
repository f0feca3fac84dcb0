"""The override: stock models with ACON where their activations were.

``swap`` walks the ``seats`` of a built model (``call_sites`` tells several
calls of one module apart, ``kinds`` which activations count), takes those
that the ``placement`` chooses, and says in a ``report`` what it did.
"""
from acon_mm.override.report import SwapReport
from acon_mm.override.swap import swap_activations

__all__ = ['SwapReport', 'swap_activations']
