"""The end of the demo: table, pictures, what to try next."""
from rich.table import Table

from . import pictures
from .inspection import inspect_model
from .training import METRICS

PICTURES = (
    ('predictions', pictures.draw_predictions, 'validation images'),
    ('curves', pictures.draw_curves,
     'every learned activation, a line a channel, at its mean beta'),
    ('betas', pictures.draw_beta_histograms,
     'beta of every channel and validation image'),
)


def report(run, directory, table, console):
    """Add a run to the table and draw its pictures.

    Args:
        run (Run): A trained run.
        directory (Path): Where the pictures go.
        table (rich.table.Table): From :func:`new_table`.
        console (rich.console.Console): Where the paths are printed.
    """
    inspection = inspect_model(run.config, run.checkpoint)
    table.add_row(
        run.model, run.activation, *[
            f'{run.metrics[name]:.3f}' if name in run.metrics else ''
            for name in METRICS
        ], f'{run.seconds:.2f} s', f'{inspection.parameters / 1e6:.2f} M')
    kinds = PICTURES if inspection.activations else PICTURES[:1]
    for kind, draw, title in kinds:
        path = directory / f'{run.config.stem}_{kind}.png'
        draw(inspection, f'{run}: {title}', path)
        console.print(f'  {path}', soft_wrap=True)


def new_table():
    """The table of results, without rows."""
    table = Table(title='On the validation images')
    table.add_column('Model')
    table.add_column('Activation')
    for name in [*METRICS.values(), 'Per iteration', 'Parameters']:
        table.add_column(name, justify='right')
    return table
