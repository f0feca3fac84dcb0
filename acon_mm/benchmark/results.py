"""A benchmark's table and chart."""
import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt

from acon_mm.whole_files import whole

matplotlib.use('Agg')


def write_rows(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Write a CSV file, whole or not at all."""
    rows = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft, draft.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a CSV file that one of the tools has written.

    Args:
        path (Path): The file.
        columns (Iterable[str]): Those that it must have.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another file.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} is no file: give a table (CSV).')
    try:
        with path.open(newline='') as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            found = reader.fieldnames or ()
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(f'{path} is no text: give a table (CSV) that this '
                         'tool has written.') from None
    for column in columns:
        if column not in found:
            raise ValueError(f'{path} has no column {column!r}: give a table '
                             'that this tool has written.')
    return rows


def draw(path: Path) -> Path:
    """Draw a CSV file of :func:`write_rows`, as a PNG file beside it."""
    rows = read_rows(path, ('ms', 'machine', 'torch'))
    if not rows:
        raise ValueError(f'{path} has no rows: measure first.')
    figure = (_draw_models if 'model' in rows[0] else _draw_op)(rows)
    figure.suptitle(f'{rows[0]["machine"]}, {rows[0]["cores"]} cores, '
                    f'torch {rows[0]["torch"]}')
    chart = path.with_suffix('.png')
    figure.savefig(chart, dpi=120)
    plt.close(figure)
    return chart


def _draw_op(rows: list[dict[str, str]]) -> plt.Figure:
    rows = [row for row in rows if row['phase'] == 'both']
    shapes = list(dict.fromkeys(row['shape'] for row in rows))
    names = list(dict.fromkeys(row['function'] for row in rows))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 4.5), layout='constrained', width_ratios=(3, 1))
    width = .8 / len(names)
    for i, name in enumerate(names):
        mine = [row for row in rows if row['function'] == name]
        at = [shapes.index(row['shape']) + i * width for row in mine]
        bars = left.bar(at, [float(row['over_silu']) for row in mine], width,
                        label=name)
        left.bar_label(bars, fmt='%.2g', fontsize=6)
    left.set_yscale('log')
    left.axhline(1, color='black', linewidth=.5)
    left.set_xticks([i + .4 for i in range(len(shapes))], shapes, fontsize=8)
    left.set_title(f'time forward + backward, SiLU = 1, {rows[0]["dtype"]}')
    left.legend(fontsize=8, ncols=6, loc='upper center',
                bbox_to_anchor=(0.5, -0.07))
    first = [row for row in rows if row['shape'] == shapes[0]]
    right.barh([row['function'] for row in first],
               [int(row['saved_bytes']) / int(row['input_bytes'])
                for row in first])
    right.invert_yaxis()
    right.set_title(f'kept for backward, x = 1\n{shapes[0]}')
    return figure


def _draw_models(rows: list[dict[str, str]]) -> plt.Figure:
    figure, axes = plt.subplots(
        1, 3, figsize=(11, 1.5 + .3 * len(rows)), layout='constrained',
        sharey=True)
    names = [f'{row["model"].split("_")[0]} {row["activation"]}'
             for row in rows]
    for axis, (key, title) in zip(
            axes, (('over_relu', 'time of a training step'),
                   ('saved_over_relu', 'kept for backward'),
                   ('peak_over_relu', 'peak memory'))):
        bars = axis.barh(names, [float(row[key]) for row in rows])
        axis.bar_label(bars, fmt='%.3f', padding=2)
        axis.margins(x=.2)
        axis.set_title(f'{title}, ReLU = 1')
    axes[0].invert_yaxis()
    axes[0].set_ylabel(f'{rows[0]["image"]}, batch {rows[0]["batch"]}')
    return figure
