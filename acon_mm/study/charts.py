"""The charts of a study, made of its table alone."""
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from acon_mm.palette import COLOURS
from acon_mm.study.findings import activations, difference
from acon_mm.study.learned import GRID, QUANTILES
from acon_mm.study.statistics import percent
from acon_mm.study.table import Rows, curve, numbers

matplotlib.use('Agg')

LINES = ('-', '--', ':')
WIDTH, PANEL = 9., 3.
# letters in a line above a panel
TITLE = 38
# and in one below all panels
LEGEND = 110


def draw_charts(rows: Rows, baseline: str, stem: Path) -> list[Path]:
    """Learning curves, learned functions and differences, as PNG files.

    Args:
        rows (Rows): Of :func:`acon_mm.study.table.read_rows`, at least one.
        baseline (str): Whose metric is taken off.
        stem (Path): ``<stem>-curves.png`` and so on are written.

    Returns:
        list[Path]: The files.
    """
    tasks = list(dict.fromkeys(row['task'] for row in rows))
    return [_save(figure, stem, name) for name, figure in (
        ('curves', _curves(rows, tasks)),
        ('differences', _differences(rows, tasks, baseline)),
        ('functions', _functions(rows, tasks))) if figure is not None]


def _save(figure: plt.Figure, stem: Path, name: str) -> Path:
    path = stem.with_name(f'{stem.name}-{name}.png')
    figure.savefig(path, dpi=110, metadata=dict(Software=None))
    plt.close(figure)
    return path


def _panels(titles: Sequence[str], columns: int, height: float = PANEL,
            **kwargs) -> tuple[plt.Figure, Iterator[plt.Axes]]:
    columns = min(columns, len(titles))
    lines = -(-len(titles) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(WIDTH, height * lines), squeeze=False,
        layout='constrained', **kwargs)
    for axis in axes.flat[len(titles):]:
        axis.axis('off')
    for axis, title in zip(axes.flat, titles):
        axis.set_title('\n'.join(
            textwrap.fill(line, TITLE) for line in title.splitlines()),
            fontsize=9)
    return figure, iter(axes.flat[:len(titles)])


def _styles(rows: Rows) -> dict[str, dict[str, str]]:
    names = dict.fromkeys(row['activation'] for row in rows)
    return {
        name: dict(color=COLOURS[i % len(COLOURS)],
                   linestyle=LINES[i // len(COLOURS) % len(LINES)])
        for i, name in enumerate(names)}


def _curves(rows: Rows, tasks: list[str]) -> plt.Figure:
    """The mean over seeds, from the least to the most as a band."""
    figure, axes = _panels(tasks, 2, 3.6)
    styles = _styles(rows)
    for task, axis in zip(tasks, axes):
        for name in activations(rows, task):
            own = [r for r in rows
                   if (r['task'], r['activation']) == (task, name)]
            at = [point[0] for point in curve(own[0])]
            values = np.array([[percent(r['metric'], v) for _, v in curve(r)]
                               for r in own])
            axis.plot(at, values.mean(0), marker='.', **styles[name])
            axis.fill_between(at, values.min(0), values.max(0), alpha=.12,
                              color=styles[name]['color'], linewidth=0)
        axis.set_xlabel('iteration')
        axis.set_ylabel(f'{own[0]["metric"]}, per cent')
        axis.grid(alpha=.3)
    # once: among many lines there is no room
    figure.legend([plt.Line2D([], [], marker='.', **style)
                   for style in styles.values()], list(styles), fontsize=8,
                  loc='outside lower center', frameon=False,
                  ncols=LEGEND // max(map(len, styles)) or 1)
    return figure


def _differences(rows: Rows, tasks: list[str],
                 baseline: str) -> plt.Figure | None:
    """A dot a seed, the mean with its interval."""
    gaps = {
        task: {name: gap for name in activations(rows, task)
               if name != baseline
               and (gap := difference(rows, task, name, baseline))}
        for task in tasks}
    gaps = {task: found for task, found in gaps.items() if found}
    if not gaps:
        return None
    heights = [1 + .3 * len(found) for found in gaps.values()]
    figure, axes = _panels(list(gaps), 1, sum(heights) / len(heights),
                           gridspec_kw=dict(height_ratios=heights))
    styles = _styles(rows)
    for found, axis in zip(gaps.values(), axes):
        for y, (name, gap) in enumerate(found.items()):
            colour = styles[name]['color']
            axis.plot(gap.each, [y] * len(gap.each), 'o', color=colour,
                      alpha=.4, markersize=4)
            axis.plot(gap.mean, y, 'D', color=colour, markersize=6)
            if len(gap.each) > 1:
                axis.plot([gap.low, gap.high], [y, y], '-', color=colour)
        axis.axvline(0, color='black', linewidth=.8)
        axis.set_yticks(range(len(found)), list(found), fontsize=9)
        axis.invert_yaxis()
        axis.set_ylim(len(found) - .5, -.5)
        axis.set_xlabel(f'points more than {baseline}, 95% interval')
        axis.grid(axis='x', alpha=.3)
    return figure


def _functions(rows: Rows, tasks: list[str]) -> plt.Figure | None:
    """The median over channels, and where the middle 80% of them are."""
    panels = {}
    for task in tasks:
        for name in activations(rows, task):
            own = [numbers(r['function']) for r in rows
                   if (r['task'], r['activation']) == (task, name)
                   and r['function']]
            if own:
                panels[f'{name}\n{task}'] = np.mean(own, 0).reshape(
                    len(QUANTILES), -1)
    if not panels:
        return None
    figure, axes = _panels(list(panels), 3, sharex=True, sharey=True)
    x = GRID.numpy()
    for (low, middle, high), axis in zip(panels.values(), axes):
        axis.plot(x, x.clip(0), color='#999999', linestyle='--',
                  label='ReLU')
        axis.fill_between(x, low, high, color='#56B4E9', alpha=.4,
                          linewidth=0, label='80% of channels')
        axis.plot(x, middle, color='#0072B2', label='median')
        axis.grid(alpha=.3)
    axis.legend(fontsize=8)
    return figure
