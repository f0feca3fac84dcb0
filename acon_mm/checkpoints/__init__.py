"""Checkpoints: the authors' released weights, safe loading, folding."""
from acon_mm.checkpoints.converter import Conversion, convert
from acon_mm.checkpoints.files import load_released, save_converted
from acon_mm.checkpoints.fold import Folding, fold

__all__ = [
    'Conversion', 'Folding', 'convert', 'fold', 'load_released',
    'save_converted'
]
