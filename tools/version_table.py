"""Keep docs/versions.csv and the page made of it, docs/versions.md.

``python tools/version_table.py ROW RESULTS`` adds what pytest wrote into
RESULTS (JUnit's XML), with the versions of the Python that runs this, and
exits with 1 where a test failed;
``python tools/version_table.py`` only writes the page anew.
"""
import argparse
import csv
import datetime
import platform
from collections import Counter
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

from version_rows import ROWS

from acon_mm.installed import distribution_of
from acon_mm.whole_files import whole

TABLE = Path(__file__).parents[1] / 'docs/versions.csv'
# the columns by what is imported
MODULES = dict(torch='torch', numpy='numpy', mmengine='mmengine', mmcv='mmcv',
               mmdet='mmdet', mmsegmentation='mmseg')
FORK = 'onedl-'
COUNTS = ('passed', 'failed', 'skipped')
COLUMNS = ('row', 'date', 'python', *MODULES, *COUNTS, 'why skipped')
HEAD = """# Versions

<!-- Made by `python tools/version_table.py` from versions.csv. -->

`make matrix` installs each row into an environment of its own, with
`pip install .` last, and runs the tests that `make test` runs. A version with
`onedl-` is that of the maintained fork. [noxfile.py](../noxfile.py) has the
rows; `ROW=py310-torch21 make matrix` runs one.

"""


def read() -> dict[str, dict[str, str]]:
    """The table's rows by their names."""
    if not TABLE.exists():
        return {}
    with TABLE.open(newline='') as file:
        return {row['row']: row for row in csv.DictReader(file)}


def versions() -> dict[str, str]:
    """What is installed beside this Python; a fork with its name's start."""
    found = dict(python=platform.python_version())
    for package, module in MODULES.items():
        name = distribution_of(module)
        prefix = FORK * name.startswith(FORK)
        found[package] = prefix + metadata.version(name)
    return found


def counts(results: Path) -> dict[str, str]:
    """How many tests passed, failed and were skipped, and why these."""
    outcomes, reasons = Counter(), Counter()
    for case in ElementTree.parse(results).iter('testcase'):
        skipped = case.find('skipped')
        if skipped is not None:
            outcomes['skipped'] += 1
            reasons[skipped.get('message')] += 1
        elif (case.find('failure') is not None
              or case.find('error') is not None):
            outcomes['failed'] += 1
        else:
            outcomes['passed'] += 1
    found = {name: str(outcomes[name]) for name in COUNTS}
    found['why skipped'] = '; '.join(
        f'{count}: {reason}' for reason, count in sorted(reasons.items()))
    return found


def page(rows: dict[str, dict[str, str]]) -> str:
    """The page of a table."""
    lines = [COLUMNS, ['---'] * len(COLUMNS)]
    lines += [[row[name] for name in COLUMNS] for row in rows.values()]
    missing = [name for name in ROWS if name not in rows]
    end = f'\nNot run yet: {", ".join(missing)}.\n' if missing else ''
    return HEAD + ''.join(
        f'| {" | ".join(line)} |\n' for line in lines) + end


def write(rows: dict[str, dict[str, str]]) -> None:
    """Write the table, in the order of its names, and the page."""
    with whole(TABLE) as draft, draft.open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))
    with whole(TABLE.with_suffix('.md')) as draft:
        draft.write_text(page(read()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('row', nargs='?', choices=ROWS)
    parser.add_argument('results', nargs='?', type=Path)
    args = parser.parse_args()
    if args.row and not args.results:
        parser.error(f'{args.row} needs the RESULTS of its tests')
    rows = read()
    if args.results:
        try:
            found = counts(args.results)
        except (OSError, ElementTree.ParseError) as error:
            parser.error(f'{args.results} is no report of pytest ({error}): '
                         'give what --junitxml wrote')
        rows[args.row] = dict(
            row=args.row, date=str(datetime.date.today()), **versions(),
            **found)
    write(rows)
    if args.row and rows[args.row]['failed'] != '0':
        raise SystemExit(f"{rows[args.row]['failed']} tests of {args.row} "
                         f'fail: {args.results} says which.')


if __name__ == '__main__':
    main()
