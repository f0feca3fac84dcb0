"""The end of the demo: table, pictures, what to look at and try next."""
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from acon_mm.demo.inspection import Inspection, inspect_model
from acon_mm.demo.pictures import draw_all
from acon_mm.demo.training import METRICS, Run
from acon_mm.learned.curves import moved

HEADER = ('Model', 'Activation', *METRICS.values(), 'Per iteration',
          'Parameters')
LOOK_FOR = dict(
    predictions='left what was drawn, right what the model finds: each shape '
    'should have its class, and a box with a high score where there are '
    'boxes.',
    losses='the loss falls fast in the first hundred iterations and goes on '
    'falling.',
    curves='a line is a channel, over the inputs that it gets. Blue ones '
    'rectify, orange ones do not activate (nearly straight), light blue ones '
    'are between; dashed is where all of them began.',
    derivatives='none leaves the dotted bounds, which the learned slopes set; '
    'a constant derivative is a channel that does not activate.',
    betas='dashed is the start; what has moved away from it is learned, and '
    'differs between stages.')
WORTH = 'predictions', 'curves', 'betas'
# of the input's standard deviation: thicker than a line of the picture
NOTICEABLE = .05


class Reported(NamedTuple):
    """A trained run, as the table and the page show it.

    Attributes:
        run (Run): The run.
        cells (list[str]): Its row of the table, under :data:`HEADER`.
        pictures (dict[str, Path]): Its pictures by what they show.
        captions (dict[str, str]): What to look for in each of them.
    """
    run: Run
    cells: list[str]
    pictures: dict[str, Path]
    captions: dict[str, str]


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
    captions = {kind: LOOK_FOR[kind] for kind in pictures}
    if 'curves' in captions:
        captions['curves'] += f' {how_far(inspection)}'
    return Reported(run, cells, pictures, captions)


def how_far(inspection: Inspection) -> str:
    """A sentence that says how far the learned functions moved."""
    layers = inspection.layers.items()
    far = torch.cat([moved(layer, inspection.before[name])
                     for name, layer in layers])
    spread = torch.cat([layer.spread for _, layer in layers])
    share = (far > NOTICEABLE * spread).float().mean().item()
    return (f'The output of a channel moved by up to {far.max():.2f} (median '
            f'{far.median():.3f}); {share:.0%} of the {len(far)} channels '
            f"moved by more than {NOTICEABLE:.0%} of their input's spread.")


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
    return [(learned.pictures[kind], learned.captions[kind])
            for kind in WORTH]
