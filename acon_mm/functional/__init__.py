"""The smooth maximum behind every ACON (arXiv 2009.04759, Sec. 3.1).

:func:`acon` is the only place that computes it. It has several
implementations, which :func:`set_implementation` chooses between. Files here
are what all of them share, and may import PyTorch alone; only those that
choose (``dispatch.py``, ``meta.py``) import the rooms ``cpu`` and ``cuda``.
"""
from .channel_mean import channel_mean
from .dispatch import acon, get_implementation, set_implementation
from .smooth_maximum import smooth_maximum

__all__ = [
    'acon', 'channel_mean', 'get_implementation', 'set_implementation',
    'smooth_maximum'
]
