"""The committed tables of the benchmarks as one readable page."""
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from acon_mm.whole_files import whole

Rows = list[dict[str, str]]
# what a page of tables begins and ends with
BEGIN = '<!-- made by `python tools/benchmark.py summary` -->\n'
END = '<!-- end -->\n'


def summarize(folder: Path, page: Path) -> None:
    """Write the tables of ``folder`` between the two marks of ``page``.

    Args:
        folder (Path): Holds CSV files of :func:`write_rows`.
        page (Path): A Markdown file with :data:`BEGIN` and :data:`END`.

    Raises:
        ValueError: A mark is missing.
    """
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f'{page} has no place for tables: put the lines '
                         f'{BEGIN.strip()!r} and {END.strip()!r} in it.')
    before, rest = text.split(BEGIN, 1)
    tables = [_section(path) for path in sorted(folder.glob('*.csv'))]
    with whole(page) as draft:
        draft.write_text(before + BEGIN + ''.join(tables) + END +
                         rest.split(END, 1)[1])


def _section(path: Path) -> str:
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    lines = (_op_table if 'function' in rows[0] else _model_table)(rows)
    where = rows[0]
    return '\n'.join([
        f'\n### {path.stem}\n', *lines, '',
        f'{where["machine"]}, {where["cores"]} cores, torch {where["torch"]}, '
        f'commit {where["commit"]}, medians of {where["repeats"]}; '
        f'[table]({path.name}).\n'])


def _op_table(rows: Rows) -> Iterator[str]:
    """Forward and backward pass, a function a row, a shape a column."""
    shapes = list(dict.fromkeys(row['shape'] for row in rows))
    yield from _head(['time, SiLU = 1', *shapes, 'kept, input = 1'])
    both = [row for row in rows if row['phase'] == 'both']
    for name in dict.fromkeys(row['function'] for row in both):
        own = {row['shape']: row for row in both if row['function'] == name}
        first = own[shapes[0]]
        kept = int(first['saved_bytes']) / int(first['input_bytes'])
        yield _line([name, *(f'{float(own[shape]["over_silu"]):.2f}'
                             for shape in shapes), f'{kept:.3f}'])


def _model_table(rows: Rows) -> Iterator[str]:
    """Models' steps or builds, an activation a row."""
    columns = {
        'ms': 'ms', 'spread_ms': 'spread', 'over_relu': 'time, ReLU = 1',
        'saved_over_relu': 'kept, ReLU = 1', 'added_ms': 'more than ReLU, ms',
        'peak_over_relu': 'peak memory, ReLU = 1',
        'record_ms': 'more at a record, ms',
        'picture_ms': 'more at a picture, ms',
        'percent': 'of the training time at the default, %'}
    keys = [key for key in columns if key in rows[0]]
    for number, model in enumerate(dict.fromkeys(r['model'] for r in rows)):
        yield from [''] * (number > 0)
        yield from _head([model, *(columns[key] for key in keys)])
        for row in rows:
            if row['model'] == model:
                yield _line([row['activation'], *(row[key] for key in keys)])


def _head(cells: list[str]) -> Iterator[str]:
    yield _line(cells)
    yield _line(['---'] * len(cells))


def _line(cells: Iterable[str]) -> str:
    return f'| {" | ".join(cells)} |'
