"""The override: stock models with ACON where their activations were.

``swap`` walks the ``seats`` of a built model, takes those that the
``placement`` chooses, and says in a ``report`` what it did. ``kinds`` says
which activations count. A seat is a call in a module's ``source``:
``call_sites`` finds the calls, ``conditions`` whether they run,
``dataflow`` and ``features`` the channels that arrive there, ``probe`` those
that only a forward pass tells, ``in_place`` what becomes of the input.
``seated`` gives each call an activation of its own by ``rewriting`` the
method, with the ``frozen_norm`` in front of it; ``per_width`` each width of
one call. ``functional_calls`` lists what no swap reaches.
"""
from acon_mm.override.report import SwapReport
from acon_mm.override.swap import swap_activations

__all__ = ['SwapReport', 'swap_activations']
