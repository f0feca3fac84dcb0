"""Pictures of what activations have learned, readable at page width."""
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from acon_mm.learned.curves import Curves, curves_of
from acon_mm.learned.record import Layer
from acon_mm.learned.statistics import by_stage
from acon_mm.palette import BLACK, BLUE, GREY, ORANGE, RED, SKY

Layers = Mapping[str, Layer]
# inches: a page, and panels beside each other
WIDTH, COLUMNS = 9., 4
DPI = 110
# more are drawn on several pages
MOST_PANELS = 24
BINS = 40
REGIMES = dict(linear=ORANGE, between=SKY, rectifier=BLUE, inverted=RED)
readable = matplotlib.rc_context({
    'axes.titlesize': 8, 'axes.labelsize': 8, 'xtick.labelsize': 7,
    'ytick.labelsize': 7, 'legend.fontsize': 8, 'figure.titlesize': 10,
    'figure.constrained_layout.use': True, 'svg.fonttype': 'none'})


@readable
def draw_betas(layers: Layers, title: str,
               before: Layers | None = None) -> Figure:
    """The distribution of beta in each stage, over channels and images.

    Args:
        layers (Mapping[str, Layer]): Of ``Recorder.close``.
        title (str): The picture's.
        before (Mapping[str, Layer], optional): The same before training.
    """
    stages, earlier = by_stage(layers), by_stage(before or {})
    figure, axes = _panels(len(stages), 1.7, sharex=True)
    for axis, (stage, members) in zip(axes, stages.items()):
        _distribution(axis, 'beta', members, earlier.get(stage, ()))
        axis.set_title(f'{_short(stage)}: {axis.get_title()}')
    for axis in axes[-COLUMNS:]:
        axis.set_xlabel('beta')
    if before:
        _legend(figure, {
            'after training': dict(color=BLUE, linewidth=6, alpha=.6),
            'before': dict(color=BLACK, linestyle='--')})
    figure.suptitle(title)
    return figure


@readable
def picture_of(layers: Layers, title: str) -> np.ndarray:
    """Distributions of beta, p1 and p2, a row a stage.

    Returns:
        np.ndarray: RGB, (H, W, 3), uint8.
    """
    stages = by_stage(layers)
    names = 'beta', 'p1', 'p2'
    # a figure of no window, whatever the user's own are drawn by
    height = .7 + 1.4 * len(stages)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout='none')
    rows = figure.subplots(
        len(stages), len(names), squeeze=False, sharex='col',
        # placed by hand: a training waits, and a layout takes half the time
        gridspec_kw=dict(left=.04, right=.99, hspace=.4, wspace=.06,
                         bottom=.3 / height, top=1 - .6 / height))
    for row, (stage, members) in zip(rows, stages.items()):
        for axis, name in zip(row, names):
            _distribution(axis, name, members)
        row[0].set_ylabel(_short(stage))
    figure.suptitle(title)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def draw_curves(layers: Layers, title: str,
                before: Layers | None = None) -> Figure:
    """The learned functions, a panel an activation, a line a channel.

    A line goes as far as the inputs of its channel; grey is how often an
    input occurs.

    Args:
        layers, title, before: As of :func:`draw_betas`.
    """
    return _draw_lines(layers, title, before, 'y', 'output')


def draw_slopes(layers: Layers, title: str,
                before: Layers | None = None) -> Figure:
    """Their first derivatives, and the bounds that these cannot pass.

    Args:
        layers, title, before: As of :func:`draw_betas`.
    """
    return _draw_lines(layers, title, before, 'slope', 'first derivative')


@readable
def save(figure: Figure, stem: Path, formats: Iterable[str]) -> list[Path]:
    """Write ``<stem>.png`` and so on, and close the figure."""
    paths = [stem.with_name(f'{stem.name}.{suffix}') for suffix in formats]
    for path in paths:
        date = dict(Date=None) if path.suffix == '.svg' else {}
        figure.savefig(path, dpi=DPI, metadata=date)
    plt.close(figure)
    return paths


@readable
def _draw_lines(layers: Layers, title: str, before: Layers | None,
                what: str, label: str) -> Figure:
    figure, axes = _panels(len(layers), 2.1)
    shown = set()
    for axis, (path, layer) in zip(axes, layers.items()):
        curves = curves_of(layer)
        shown |= set(curves.regime)
        _lines(axis, curves, what)
        if what == 'slope':
            for bound in (curves.lower, curves.upper):
                axis.axhline(bound, color=BLACK, linewidth=.9, linestyle=':')
        if before:
            old = curves_of(before[path], 8)
            axis.plot(old.x.T, getattr(old, what).T, color=BLACK,
                      linewidth=.9, linestyle='--', alpha=.6)
        _inputs(axis, layer)
        axis.set_title(f'{_short(path)} ({len(layer.p1)})')
    legend = {name: dict(color=colour) for name, colour in REGIMES.items()
              if name in shown}
    if what == 'slope':
        legend['bounds'] = dict(color=BLACK, linestyle=':')
    if before:
        legend['before training'] = dict(color=BLACK, linestyle='--')
    _legend(figure, legend)
    for axis in axes[-COLUMNS:]:
        axis.set_xlabel('input')
    for axis in axes[::COLUMNS]:
        axis.set_ylabel(label)
    figure.suptitle(title)
    return figure


def _lines(axis: plt.Axes, curves: Curves, what: str) -> None:
    axis.axhline(0, color=GREY, linewidth=.6, zorder=0)
    axis.axvline(0, color=GREY, linewidth=.6, zorder=0)
    points = torch.stack([curves.x, getattr(curves, what)], -1).numpy()
    axis.add_collection(LineCollection(
        points, colors=[REGIMES[name] for name in curves.regime],
        linewidths=.9, alpha=.8))
    axis.autoscale()


def _inputs(axis: plt.Axes, layer: Layer) -> None:
    """How often an input occurs, at the panel's foot."""
    if not len(layer.inputs):
        return
    low, high = axis.get_xlim()
    foot = axis.twinx()
    heights, edges = np.histogram(layer.inputs.numpy(), BINS, (low, high))
    foot.stairs(heights, edges, fill=True, color=GREY, alpha=.45, zorder=0)
    foot.set_ylim(0, 4 * foot.get_ylim()[1])
    foot.axis('off')
    axis.set_xlim(low, high)


def _distribution(axis: plt.Axes, name: str, members: Sequence[Layer],
                  before: Sequence[Layer] = ()) -> None:
    values, old = (_values(some, name) for some in (members, before))
    edges = np.histogram_bin_edges(np.concatenate([values, old]), BINS)
    heights, _ = np.histogram(values, edges, density=len(values) > 0)
    if len(values):
        axis.stairs(heights, edges, fill=True, color=BLUE, alpha=.6)
        axis.set_title(f'{name if not len(old) else ""} {values.mean():.2f} '
                       f'± {values.std():.2f}'.strip())
    if len(old):
        # all the same at the start: its bar would hide the others
        first, _ = np.histogram(old, edges, density=True)
        axis.stairs(first.clip(max=1.1 * heights.max()), edges, color=BLACK,
                    linestyle='--')
    axis.set_yticks([])


def _values(members: Sequence[Layer], name: str) -> np.ndarray:
    """Those of all layers; a training that diverged has some not finite."""
    found = [getattr(layer, name).flatten().numpy() for layer in members]
    values = np.concatenate([*found, np.empty(0, np.float32)])
    return values[np.isfinite(values)]


def _panels(count: int, height: float,
            **kwargs) -> tuple[Figure, np.ndarray]:
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, .9 + height * rows), squeeze=False,
        **kwargs)
    for axis in axes.flat[count:]:
        axis.axis('off')
    return figure, axes.flat[:count]


def _legend(figure: Figure, lines: Mapping[str, dict]) -> None:
    figure.legend([Line2D([], [], **style) for style in lines.values()],
                  list(lines), loc='outside lower center',
                  ncols=len(lines), frameon=False)


def _short(path: str) -> str:
    return path.removeprefix('backbone.')
