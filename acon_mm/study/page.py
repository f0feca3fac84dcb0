"""A study as a page to read, made of its table alone."""
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import stdev

from acon_mm.study.findings import (
    activations,
    findings,
    line,
    table_head,
)
from acon_mm.study.statistics import by_seed, paired, percent
from acon_mm.study.table import Rows, curve, numbers
from acon_mm.whole_files import whole

HEAD = """# Which activation is better for the same budget?

<!-- made by `python tools/compare_activations.py`: edits are lost -->

Every activation was trained with the same config, budget and seeds. The
metrics are per cent, the standard deviation is that over seeds. A difference
is the mean over seeds of an activation's metric less the baseline's with the
same seed, with its 95% interval (Student's t); **better** and *worse* mean an
interval that excludes 0, everything else is undecided. p1, p2 and beta are
the mean ± the deviation over all channels of all layers after training. What
begins with trained weights has the metric *before* the first step too, and
what the swap alone has cost of it; each seed has trained a base of its own.
Times are those of a machine that did other work as well: docs/benchmarks
compares speed.
"""


def write_page(rows: Rows, baselines: Sequence[str], missing: Sequence[str],
               charts: Sequence[Path], path: Path) -> None:
    """Write the page of a table.

    Args:
        rows (Rows): Of :func:`acon_mm.study.table.read_rows`.
        baselines (Sequence[str]): Activations to compare with.
        missing (Sequence[str]): Sentences about what was not measured.
        charts (Sequence[Path]): Pictures beside the page.
        path (Path): The Markdown file.
    """
    tasks = list(dict.fromkeys(row['task'] for row in rows))
    lines = [HEAD, '## Found', *findings(rows, baselines)]
    lines += ['', '## Not measured yet', '']
    lines += [f'- {sentence}' for sentence in missing or ['nothing']]
    for task in tasks:
        lines += ['', f'## {task}', '', *_section(rows, task, baselines[0])]
    lines += ['', '## Charts', '']
    for chart in charts:
        lines += [f'![{chart.stem}]({chart.relative_to(path.parent)})', '']
    with whole(path) as draft:
        draft.write_text('\n'.join(lines).rstrip() + '\n')


def _section(rows: Rows, task: str, baseline: str) -> Iterator[str]:
    own = [row for row in rows if row['task'] == task]
    first = own[0]
    before = not curve(first)[0][0]
    names = activations(rows, task)
    base = [row for row in own if row['activation'] == baseline]
    yield (f'{first["metric"]} after {first["iterations"]} iterations. '
           f'{_where(own)}.')
    yield ''
    yield from table_head([
        'activation', 'seeds', *(['before'] if before else []), 'mean',
        'deviation',
        'ms an iteration', 'peak MB', 'p1', 'p2', 'beta'])
    for name in names:
        values = by_seed(rows, task, name)
        mine = [row for row in own if row['activation'] == name]
        yield line([
            name, str(len(values)),
            *([_before(mine, base)] if before else []),
            f'{_mean(values.values()):.1f}',
            _deviation(list(values.values())),
            f'{_mean(float(r["ms_per_iteration"]) for r in mine):.0f}',
            f'{_mean(float(r["peak_mb"]) for r in mine):.0f}',
            *(_learned(mine, key) for key in ('p1', 'p2', 'beta'))])


def _before(rows: Rows, base: Rows) -> str:
    """The mean of the metric at the swap, and of what it has cost."""
    first, theirs = (
        {r['seed']: percent(r['metric'], curve(r)[0][1]) for r in some}
        for some in (rows, base))
    gap = paired(first, theirs)
    cost = '' if gap is None or rows == base else f' ({gap.mean:+.2f})'
    return f'{_mean(first.values()):.2f}{cost}'


def _learned(rows: Rows, key: str) -> str:
    values = [numbers(row[key]) for row in rows if row[key]]
    if not values:
        return ''
    mean, spread = map(_mean, zip(*values))
    if key == 'beta' and abs(mean) > 1000:
        return ''  # a rectifier's is infinite
    return f'{mean:.2f} ± {spread:.2f}'


def _where(rows: Rows) -> str:
    places = dict.fromkeys(
        f'{row["machine"]} (cores a run: {row["cores"]}), torch {row["torch"]}'
        for row in rows)
    commits = dict.fromkeys(row['commit'] for row in rows)
    resumed = sum(row['starts'] != '1' for row in rows)
    text = f'Measured on {"; ".join(places)}, at {", ".join(commits)}'
    return text + (f'; {resumed} runs were interrupted and went on'
                   if resumed else '')


def _mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def _deviation(values: list[float]) -> str:
    return f'{stdev(values):.1f}' if len(values) > 1 else ''
