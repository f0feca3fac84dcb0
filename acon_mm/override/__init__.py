"""The override: stock models with ACON where their activations were.

``swap`` finds the activations of a built model, chooses among them by
``placement``, puts new ones on their seats and says in a ``report`` what it
did. Nothing is concluded that can be seen: ``runs`` runs the model on small
inputs (:mod:`acon_mm.probe`), ``observe`` notes the ``calls`` of activations,
of the ``kinds`` that there are and ``registered`` or not, ``channels`` tells
where their channels are, ``source`` where in the code a call is. From that
``find`` makes ``seats``. ``install`` puts activations there: ``seated`` gives
each call one of its own by ``rewriting`` the method, with the ``joined_norm``
in front of it; ``per_width`` each width of one call. ``verify`` runs the
result again, with ``stand_ins`` on the seats.
"""
from acon_mm.override.placement import NothingToSwap
from acon_mm.override.report import SwapReport
from acon_mm.override.swap import swap_activations

__all__ = ['NothingToSwap', 'SwapReport', 'swap_activations']
