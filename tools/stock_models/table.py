"""The table of the sweep: one row a model, in a CSV file."""
import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from acon_mm.benchmark.results import read_rows as read_csv
from acon_mm.whole_files import whole

COLUMNS = (
    'package', 'version', 'config', 'configs', 'model', 'backbone', 'parts',
    'parameters', 'stock',
    'paper', 'paper_swapped', 'paper_deviation', 'paper_step', 'all',
    'all_swapped', 'all_deviation', 'all_step', 'same_as', 'start_beta',
    'commit')
Row = Mapping[str, object]
# what any model costs to check, in the time that parameters take
PARAMETERS_OF_A_MODEL = 20_000_000


def key(row: Row) -> tuple[str, str]:
    """What names a model: its package and its first config."""
    return str(row['package']), str(row['config'])


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table, the last of each model; none without a file."""
    if not path.exists():
        return []
    rows = read_csv(path, COLUMNS)
    return list({key(row): row for row in rows}.values())


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Replace the table, in the order of packages and configs."""
    with whole(path) as draft, draft.open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(sorted(rows, key=key))


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add rows in one write; a new file gets its header first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
    if not path.exists():
        writer.writeheader()
    writer.writerows(rows)
    with path.open('ab', buffering=0) as file:
        file.write(text.getvalue().encode())


def passed(row: Row) -> bool:
    """Whether nothing is left to mend."""
    return row['stock'] == row['paper'] == row['all'] == 'pass'


def cover(rows: Iterable[Row]) -> list[Row]:
    """Few small models that have each backbone, neck and head type once.

    Greedy: the most new types for the parameters, over and over.
    """
    candidates = [(set(str(row['parts']).split()), row) for row in rows]
    missing = set().union(*(types for types, _ in candidates))
    chosen = []
    while missing:
        types, row = max(candidates, key=lambda pair: (
            len(pair[0] & missing) / (
                int(pair[1].get('parameters') or 0) + PARAMETERS_OF_A_MODEL)))
        missing -= types
        chosen.append(row)
    return chosen
