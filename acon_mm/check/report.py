"""The table of :mod:`acon_mm.check.override` for a terminal."""
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from acon_mm.check.override import Finding


def show(name: str, finding: Finding) -> None:
    """Print the seats, what was left, the figures and the verdict."""
    console = Console()
    table = Table(title=name)
    for title in ('seat', 'was', 'is', 'width'):
        table.add_column(title, overflow='fold')
    for path, old, new, width in finding.swapped:
        table.add_row(path, old, new, str(width or ''))
    table.add_section()
    for path, old, why in finding.left:
        table.add_row(path, old, f'left: {why}', '')
    console.print(table)
    for line in _figures(finding):
        console.print(line, highlight=False, soft_wrap=True)
    for problem in finding.problems:
        console.print(f'FAILS {problem}', highlight=False, markup=False,
                      soft_wrap=True)
    if not finding.problems:
        console.print('passes', highlight=False)


def _figures(finding: Finding) -> Iterator[str]:
    yield f'{len(finding.swapped)} swapped, {len(finding.left)} left'
    if finding.outputs:
        yield ('largest difference of the outputs, over their standard '
               f'deviation: {finding.outputs.limit:.2g} at the limit, '
               f'{finding.outputs.start:.2g} at the start')
    if finding.losses:
        yield ('loss at the limit: {:.6g} stock, {:.6g} with ACON'.format(
            *finding.losses))
    if finding.step:
        yield f'a training step ({finding.step}) reaches every new parameter'
    elif finding.dead:
        yield f'without a gradient: {", ".join(finding.dead)}'
    if finding.milliseconds:
        stock, ours = finding.milliseconds
        yield (f'a training step: {stock:.0f} ms stock, {ours:.0f} ms with '
               f'ACON ({ours - stock:+.0f} ms)')
