"""Checkpoints: the authors' released weights, and safe loading."""
from acon_mm.checkpoints.converter import Conversion, convert
from acon_mm.checkpoints.files import load_released, save_converted

__all__ = ['Conversion', 'convert', 'load_released', 'save_converted']
