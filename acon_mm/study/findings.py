"""What a study has found: the tasks beside each other."""
from collections import Counter
from collections.abc import Iterator, Sequence

from acon_mm.study.runs import FROM
from acon_mm.study.statistics import Difference, by_seed, paired
from acon_mm.study.table import Rows

VERDICTS = ('better', 'worse', 'undecided')


def findings(rows: Rows, baselines: Sequence[str]) -> Iterator[str]:
    """Lines of Markdown, a table for each baseline and kind of start.

    Args:
        rows (Rows): Of :func:`acon_mm.study.table.read_rows`.
        baselines (Sequence[str]): Activations to compare with.
    """
    begun: dict[str, list[str]] = {}
    for task in dict.fromkeys(row['task'] for row in rows):
        begun.setdefault(task.partition(FROM)[2], []).append(task)
    for base, tasks in begun.items():
        for baseline in baselines:
            yield from _table(rows, tasks, baseline, (
                f'From {base} weights' if base else 'From scratch'))


def _table(rows: Rows, tasks: list[str], baseline: str,
           title: str) -> Iterator[str]:
    tasks = [task for task in tasks if baseline in activations(rows, task)]
    names = dict.fromkeys(
        name for task in tasks for name in activations(rows, task)
        if name != baseline)
    if not names:
        return
    yield from ('', f'### {title}, minus {baseline}', '')
    yield from table_head(['activation', *VERDICTS, *(
        task.partition(FROM)[0] for task in tasks)])
    for name in names:
        gaps = [difference(rows, task, name, baseline) for task in tasks]
        if any(gaps):
            count = Counter(gap.verdict for gap in gaps if gap)
            yield line([name, *(str(count[verdict]) for verdict in VERDICTS),
                        *map(gap_cell, gaps)])


def activations(rows: Rows, task: str) -> list[str]:
    """In the order of their first runs."""
    return list(dict.fromkeys(
        row['activation'] for row in rows if row['task'] == task))


def difference(rows: Rows, task: str, activation: str,
               baseline: str) -> Difference | None:
    """Of an activation and a baseline, None without a common seed."""
    return paired(by_seed(rows, task, activation),
                  by_seed(rows, task, baseline))


def gap_cell(gap: Difference | None) -> str:
    """A difference with its interval, marked if that excludes 0."""
    if gap is None:
        return ''
    if len(gap.each) == 1:
        return f'{gap.mean:+.1f} (one seed)'
    text = f'{gap.mean:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}]'
    mark = dict(better='**', worse='*', undecided='')[gap.verdict]
    return f'{mark}{text}{mark}'


def table_head(cells: list[str]) -> Iterator[str]:
    """The first two lines of a table."""
    yield line(cells)
    yield line(['---'] * len(cells))


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f'| {" | ".join(cells)} |'
