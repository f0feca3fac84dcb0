"""The demo's pictures: losses, predictions, what was learned."""
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

from acon_mm.browse.compare import compare
from acon_mm.demo.inspection import Inspection
from acon_mm.demo.training import Run, read_records
from acon_mm.learned.pictures import (
    DPI,
    WIDTH,
    draw_betas,
    draw_curves,
    draw_slopes,
    readable,
    save,
)
from acon_mm.palette import BLUE

NUM_IMAGES = 4
LEARNED = dict(curves=(draw_curves, 'learned functions'),
               derivatives=(draw_slopes, 'first derivatives'),
               betas=(draw_betas, 'beta'))


def draw_all(run: Run, inspection: Inspection, folder: Path
             ) -> dict[str, Path]:
    """Write every picture of a run.

    Args:
        run (Run): A trained run.
        inspection (Inspection): Of its model.
        folder (Path): Where the pictures go.

    Returns:
        dict: The files by what they show: 'predictions', 'losses', and where
        activations were learned 'curves', 'derivatives' and 'betas'.
    """
    stem = folder / run.config.stem
    paths = dict(
        predictions=draw_predictions(run, inspection, _named(
            stem, 'predictions')),
        losses=draw_losses(run, _named(stem, 'losses')))
    if inspection.layers:
        for name, (draw, title) in LEARNED.items():
            figure = draw(inspection.layers, f'{run}: {title}',
                          inspection.before)
            paths[name], = save(figure, _named(stem, name), ['png'])
    return paths


def draw_predictions(run: Run, inspection: Inspection, stem: Path) -> Path:
    """Ground truth and prediction of the first images, one below another."""
    rows = [compare({run.activation: sample}, inspection.meta)
            for sample in inspection.samples[:NUM_IMAGES]]
    picture = _below(rows)
    path = stem.with_name(f'{stem.name}.png')
    picture.save(path)
    return path


def _below(rows: Sequence[Image.Image]) -> Image.Image:
    picture = Image.new('RGB', (max(row.width for row in rows),
                                sum(row.height for row in rows)), 'white')
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height
    return picture


@readable
def draw_losses(run: Run, stem: Path) -> Path:
    """The loss at each record of the training."""
    records = [r for r in read_records(run.work_dir) if 'loss' in r]
    figure, axis = plt.subplots(figsize=(WIDTH / 2, 2.6), dpi=DPI)
    axis.plot([r['step'] for r in records], [r['loss'] for r in records],
              color=BLUE)
    axis.set(xlabel='iteration', ylabel='loss', title=str(run))
    axis.set_ylim(bottom=0)
    axis.grid(alpha=.3)
    path, = save(figure, stem, ['png'])
    return path


def _named(stem: Path, kind: str) -> Path:
    return stem.with_name(f'{stem.name}_{kind}')
