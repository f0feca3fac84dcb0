"""What ``tools/benchmark.py`` measures: the op, whole models, their
build, the statistics of a training."""
from .build import measure_builds
from .hook import measure_hook
from .model import measure_models
from .op import measure_op
from .results import draw, write_rows
from .summary import summarize

__all__ = [
    'draw', 'measure_builds', 'measure_hook', 'measure_models', 'measure_op',
    'summarize', 'write_rows'
]
