"""What ``tools/benchmark.py`` measures: the op, whole models, their
build, the statistics of a training."""
from .build import measure_builds
from .hook import measure_hook
from .model import Subject, measure_models
from .op import measure_op
from .required import judge, show
from .results import draw, write_rows
from .summary import summarize

__all__ = [
    'Subject', 'draw', 'judge', 'measure_builds', 'measure_hook',
    'measure_models', 'measure_op', 'show', 'summarize', 'write_rows'
]
