"""What ``tools/benchmark.py`` measures: the op alone and whole models."""
from .model import measure_models
from .op import measure_op
from .results import draw, write_rows

__all__ = ['draw', 'measure_models', 'measure_op', 'write_rows']
