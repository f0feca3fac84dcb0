"""The table of a study: a CSV file, a row for each finished run."""
from collections.abc import Iterable
from pathlib import Path

from acon_mm.benchmark.results import read_rows as read_csv
from acon_mm.benchmark.results import write_rows
from acon_mm.study.runs import Run, Task

Rows = list[dict[str, str]]
KEY = ('task', 'activation', 'seed')
COPIED = ('iterations', 'starts', 'parameters', 'machine', 'cores', 'torch',
          'commit')


def read_rows(path: Path) -> Rows:
    """All rows; none if there is no file yet."""
    if not path.exists():
        return []
    return read_csv(path, (*KEY, 'settings', *COPIED))


def check_rows(rows: Rows, tasks: Iterable[Task], path: Path) -> None:
    """Refuse to go on with a table whose runs were trained otherwise.

    Raises:
        ValueError: A row has a task's name and other settings.
    """
    settings = {task.name: task.settings for task in tasks}
    for row in rows:
        now = settings.get(row['task'], row['settings'])
        if row['settings'] != now:
            raise ValueError(
                f'{path} has runs of {row["task"]} with other settings '
                f'({row["settings"]}, now {now}): give another file with '
                '--out and another folder with --work-dir.')


def add_run(path: Path, run: Run, result: dict) -> None:
    """Add a finished run; the file is replaced whole."""
    row = dict(zip(KEY, run.key)) | dict(
        metric=run.task.metric,
        value=f'{result["value"]:.4f}',
        seconds=f'{result["seconds"]:.1f}',
        ms_per_iteration=f'{result["ms_per_iteration"]:.1f}',
        peak_mb=f'{result["peak_mb"]:.0f}',
        settings=run.task.settings)
    row |= {name: str(result[name]) for name in COPIED}
    for name in ('p1', 'p2', 'beta', 'function'):
        row[name] = ' '.join(map(str, result.get(name, [])))
    row['curve'] = ' '.join(f'{at}:{value:.4f}'
                            for at, value in result['curve'])
    rows = read_rows(path)
    write_rows([*rows, row], path)


def numbers(text: str) -> list[float]:
    """A cell with numbers in it."""
    return [float(word) for word in text.split()]


def curve(row: dict[str, str]) -> list[tuple[int, float]]:
    """Iteration and metric of each validation of a row."""
    pairs = (point.split(':') for point in row['curve'].split())
    return [(int(at), float(value)) for at, value in pairs]
