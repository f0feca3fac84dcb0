"""The end of the demo: table, pictures, what to look at and try next."""
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from acon_mm.demo.inspection import inspect_model
from acon_mm.demo.pictures import draw_all
from acon_mm.demo.training import METRICS, Run

HEADER = ('Model', 'Activation', *METRICS.values(), 'Per iteration',
          'Parameters')
LOOK_FOR = dict(
    predictions='left what was drawn, right what the model finds: each shape '
    'should have its class, and a box with a high score where there are '
    'boxes.',
    losses='the loss falls fast in the first hundred iterations and goes on '
    'falling.',
    curves='a line is a channel, over the inputs that it gets. Blue ones '
    'rectify, orange ones learned not to (nearly straight); dashed is where '
    'all of them began, near ReLU, which few leave in so short a training.',
    derivatives='none leaves the dotted bounds, which the learned slopes set; '
    'a constant derivative is a channel that does not activate.',
    betas='dashed is the start, one value for all; what has moved away from '
    'it is learned, and differs between stages.')
WORTH = 'predictions', 'curves', 'betas'


class Reported(NamedTuple):
    """A trained run, as the table and the page show it.

    Attributes:
        run (Run): The run.
        cells (list[str]): Its row of the table, under :data:`HEADER`.
        pictures (dict[str, Path]): Its pictures by what they show.
    """
    run: Run
    cells: list[str]
    pictures: dict[str, Path]


def report(run: Run, directory: Path, console: Console) -> Reported:
    """Inspect a run, and draw its pictures.

    Args:
        run (Run): A trained run.
        directory (Path): Where the pictures go.
        console (rich.console.Console): Where the paths are printed.
    """
    inspection = inspect_model(run.config, run.checkpoint)
    cells = [
        run.model, run.activation, *[
            f'{run.metrics[name]:.3f}' if name in run.metrics else ''
            for name in METRICS
        ], f'{run.seconds:.2f} s', f'{inspection.parameters / 1e6:.2f} M']
    pictures = draw_all(run, inspection, directory)
    for path in pictures.values():
        console.print(f'  {path}', soft_wrap=True)
    return Reported(run, cells, pictures)


def table_of(reports: Sequence[Reported]) -> Table:
    """The results of all runs."""
    table = Table(title='On the validation images')
    for name in HEADER:
        table.add_column(
            name, justify='left' if name in HEADER[:2] else 'right')
    for one in reports:
        table.add_row(*one.cells)
    return table


def worth_opening(reports: Sequence[Reported]) -> list[tuple[Path, str]]:
    """Three pictures, and what to look for in each."""
    learned = next(one for one in reports if 'curves' in one.pictures)
    return [(learned.pictures[kind], LOOK_FOR[kind]) for kind in WORTH]
