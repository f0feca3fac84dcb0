"""What the tables of a GPU must show, and whether they do."""
import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

Row = dict[str, str]
LARGE = 1 << 24  # elements that keep a GPU busy


class Figure(NamedTuple):
    """A number that a table gives.

    Attributes:
        name (str): What it is.
        values (Callable): Takes the rows of all tables, gives the values.
        limit (float): What each must reach, or may be.
        at_least (bool): Whether larger is better.
    """
    name: str
    values: Callable[[list[Row]], Iterable[float]]
    limit: float
    at_least: bool = False


class Verdict(NamedTuple):
    """A figure and the worst of what was measured, None if nothing was."""
    figure: Figure
    value: float | None

    @property
    def result(self) -> str:
        if self.value is None:
            return 'not measured'
        figure = self.figure
        passes = (self.value >= figure.limit if figure.at_least else
                  self.value <= figure.limit)
        return 'pass' if passes else 'falls short'


def judge(folder: Path, training: Path | None = None) -> list[Verdict]:
    """Hold the tables of a GPU against what is required.

    Args:
        folder (Path): Holds CSV files of
            :func:`acon_mm.benchmark.write_rows`; those of a GPU count.
        training (Path, optional): Work folder of a run of MMEngine.
    """
    rows: list[Row] = []
    for path in sorted(folder.glob('*-cuda*.csv')):
        with path.open(newline='') as file:
            rows += csv.DictReader(file)
    verdicts = []
    for figure in FIGURES:
        worst = min if figure.at_least else max
        verdicts.append(
            Verdict(figure, worst(figure.values(rows), default=None)))
    if training is not None:
        verdicts.append(Verdict(TRAINING, _loss_ratio(training)))
    return verdicts


def show(verdicts: list[Verdict]) -> bool:
    """Print a table; whether all pass."""
    table = Table('figure', 'now', 'required', 'result')
    for verdict in verdicts:
        figure, value = verdict.figure, verdict.value
        table.add_row(
            figure.name, '' if value is None else f'{value:.3g}',
            f'{"at least" if figure.at_least else "at most"} {figure.limit}',
            verdict.result)
    Console(width=120).print(table)
    return all(verdict.result == 'pass' for verdict in verdicts)


def _elements(row: Row) -> int:
    elements = 1
    for size in row['shape'].split('x'):
        elements *= int(size)
    return elements


def _pairs(rows: list[Row], function: str, other: str,
           phase: str) -> Iterator[tuple[Row, Row]]:
    """Rows of a function and those of another at the same input."""
    def key(row: Row) -> tuple[str, ...]:
        return tuple(row[k] for k in ('shape', 'dtype', 'channels_last'))

    others = {key(row): row for row in rows if row.get('function') == other
              and row['phase'] == ('forward' if other == 'copy' else phase)}
    for row in rows:
        if (row.get('function') == function and row['phase'] == phase
                and key(row) in others):
            yield row, others[key(row)]


def share(phase: str, channels_last: bool,
          **only: str) -> Callable[[list[Row]], list[float]]:
    """Bandwidths of AconC at large inputs, that of a copy being 1."""
    return lambda rows: [
        float(row['gb_per_s']) / float(copy['gb_per_s'])
        for row, copy in _pairs(rows, 'AconC', 'copy', phase)
        if row['channels_last'] == str(channels_last)
        and _elements(row) >= LARGE
        and all(row[key] == value for key, value in only.items())]


def over_relu(rows: list[Row]) -> list[float]:
    """Times of MetaAconC at large inputs, that of ReLU being 1."""
    return [float(row['ms']) / float(relu['ms'])
            for row, relu in _pairs(rows, 'MetaAconC', 'ReLU', 'both')
            if _elements(row) >= LARGE]


def host(function: str) -> Callable[[list[Row]], list[float]]:
    """Microseconds that a forward and a backward pass take the host."""
    return lambda rows: [
        1e3 * float(row['ms']) for row in rows
        if row.get('function') == function and row['phase'] == 'host']


def step(key: str, activation: str, *models: str
         ) -> Callable[[list[Row]], list[float]]:
    """Ratios to ReLU of models' training steps."""
    return lambda rows: [
        float(row[key]) for row in rows
        if row.get('activation') == activation
        and row['model'].startswith(models)]


def _loss_ratio(work: Path) -> float | None:
    """The last loss of a training over its first."""
    losses = []
    for path in sorted(work.rglob('scalars.json')):
        for line in path.read_text().splitlines():
            scalars = json.loads(line)  # a validation has no loss
            losses += [scalars['loss']] if 'loss' in scalars else []
    return losses[-1] / losses[0] if len(losses) > 1 else None


FIGURES = (
    Figure('AconC backward, channels last, bfloat16, C = 256: share of a '
           "copy's bandwidth",
           share('backward', True, dtype='bfloat16', shape='16x256x128x256'),
           .85, True),
    Figure('AconC forward, contiguous: the same', share('forward', False),
           .93, True),
    Figure('AconC backward, contiguous: the same', share('backward', False),
           .93, True),
    Figure('MetaAconC, large: time, ReLU = 1', over_relu, 1.7),
    Figure('AconC: microseconds of the host', host('AconC'), 60.),
    Figure('MetaAconC: microseconds of the host', host('MetaAconC'), 80.),
    Figure('RetinaNet-R50, MetaAconC: time of a step, ReLU = 1',
           step('over_relu', 'MetaAconC', 'retinanet'), 1.),
    Figure("RetinaNet-R50, AconC at 'all': the same",
           step('over_relu', 'AconC all', 'retinanet'), 1.),
    Figure("RetinaNet-R50, MetaAconC at 'all': the same",
           step('over_relu', 'MetaAconC all', 'retinanet'), 1.1),
    Figure("RetinaNet-R50 and PSPNet, AconC at 'all': peak memory, ReLU = 1",
           step('peak_over_relu', 'AconC all', 'retinanet', 'pspnet'), 1.),
    Figure("RetinaNet-R50 and PSPNet, MetaAconC at 'all': the same",
           step('peak_over_relu', 'MetaAconC all', 'retinanet', 'pspnet'),
           1.),
)
TRAINING = Figure('mim train --amp: the last loss, the first = 1',
                  lambda rows: (), .9)
