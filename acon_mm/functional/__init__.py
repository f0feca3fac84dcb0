"""The smooth maximum behind every ACON (arXiv 2009.04759, Sec. 3.1).

:func:`acon` is the only place that computes it. It has several
implementations, which :func:`set_implementation` chooses between. Files here
are what all share, and may import PyTorch alone; those that choose an
implementation, ``dispatch.py``, ``meta.py`` and ``norm.py``, also the rooms
``cpu`` and ``cuda``.
"""
from .channel_mean import channel_mean
from .dispatch import acon, get_implementation, set_implementation
from .norm import norm_acon
from .smooth_maximum import smooth_maximum

__all__ = [
    'acon', 'channel_mean', 'get_implementation', 'norm_acon',
    'set_implementation', 'smooth_maximum'
]
