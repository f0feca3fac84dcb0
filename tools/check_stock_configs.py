"""Put the override on every model that mmdet, mmseg or others ship.

Usage::

    python tools/check_stock_configs.py                # all, or go on
    python tools/check_stock_configs.py mmpose timm    # of other packages
    python tools/check_stock_configs.py --sample       # each type once
    python tools/check_stock_configs.py --retry        # the failed ones again
    python tools/check_stock_configs.py --summary      # write the page

Each distinct model is built as it is and, where that works, with
``type='acon_mm.<model>'`` at ``placement='paper'`` and ``'all'``; see
``stock_models/checks.py`` for what is compared. Of packages other than mmdet
and mmseg it is the backbones of the configs that they ship; timm and
torchvision give one small model of each family. Results go to a CSV file,
a row a model, as soon as they are there: a run that was stopped goes on
where it was.
"""
import argparse
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from stock_models.checks import check_group, describe, prepare_process
from stock_models.configs import (
    WHOLE,
    group_by_layers,
    load_models,
    module_name,
)
from stock_models.summary import write_summary
from stock_models.table import (
    append_rows,
    cover,
    key,
    passed,
    read_rows,
    write_rows,
)

from acon_mm.check.subject import StockModel

DOCS = Path(__file__).resolve().parents[1] / 'docs'
# then fresh processes take over
MODELS_PER_WORKER = 30


def main() -> None:
    args = parse_args()
    table = args.table
    if args.summary:
        try:
            write_summary(table, args.page)
        except ValueError as error:
            raise SystemExit(str(error)) from None
        print(f'wrote {args.page}')
        return
    table.parent.mkdir(parents=True, exist_ok=True)
    if args.retry:
        write_rows(table, [
            row for row in read_rows(table)
            if passed(row) or row['package'] not in args.packages])
    os.environ['OMP_NUM_THREADS'] = '1'
    try:
        check_all(args)
    except BrokenProcessPool:
        raise SystemExit(
            f'One of --jobs {args.jobs} processes was killed, as happens '
            'where memory runs out: start again with --jobs 1, and it goes '
            'on where it was.') from None
    write_rows(table, read_rows(table))
    rows = [row for row in read_rows(table)
            if row['package'] in args.packages]
    built = [row for row in rows if row['stock'] == 'pass']
    print(f'{len(rows)} models, {len(built)} build; ' + ', '.join(
        f'{sum(row[placement] == "pass" for row in built)} pass at '
        f'{placement!r}' for placement in ('paper', 'all')))


def check_all(args) -> None:
    """Check the models that have no row yet; a row each to the table."""
    todo = find_todo(args)
    batch = MODELS_PER_WORKER * args.jobs
    with Progress(TextColumn('{task.description}'), BarColumn(),
                  MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task('models', total=sum(map(len, todo)))
        for start in range(0, len(todo), batch):
            with new_pool(args.jobs) as pool:
                for done in as_completed([
                        pool.submit(check_group, group, args.timeout)
                        for group in todo[start:start + batch]]):
                    rows = done.result()
                    append_rows(args.table, rows)
                    progress.update(task, advance=len(rows),
                                    description=rows[0]['config'][:40])


def find_todo(args) -> list[list[StockModel]]:
    """Groups of which a model has no row."""
    with new_pool(args.jobs) as pool:
        groups = group_by_layers(load_models(args.packages, pool))
    checked = {key(row) for row in read_rows(args.table)}
    heads = [describe(group[0]) for group in groups]
    first = {key(row) for row in cover(heads)}
    # one model of each type first: most that can go wrong shows there
    order = sorted(zip(heads, groups), key=lambda pair: (
        key(pair[0]) not in first))
    return [group for head, group in order
            if not checked.issuperset(key(describe(m)) for m in group)
            and (key(head) in first or not args.sample)][:args.limit]


def new_pool(jobs: int) -> ProcessPoolExecutor:
    """Processes for some models: their end gives memory back.

    ``max_tasks_per_child`` would do that too, but can wait for ever.
    """
    return ProcessPoolExecutor(jobs, get_context('spawn'), prepare_process,
                               (jobs, ))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('packages', nargs='*', type=package, default=WHOLE,
                        help='installed packages of OpenMMLab, timm or '
                        'torchvision')
    parser.add_argument('--table', type=Path, metavar='CSV',
                        default=DOCS / 'stock_models.csv')
    parser.add_argument('--page', type=Path, metavar='MD',
                        default=DOCS / 'stock_models.md')
    parser.add_argument('--jobs', type=positive, default=os.cpu_count(),
                        help='processes')
    parser.add_argument('--timeout', type=positive, default=300,
                        help='seconds that each placement of a model may take')
    parser.add_argument('--limit', type=positive, help='models at most')
    parser.add_argument('--sample', action='store_true',
                        help='each type of backbone, neck and head once')
    parser.add_argument('--retry', action='store_true',
                        help='check again what did not pass')
    parser.add_argument('--summary', action='store_true',
                        help='write the page of the table and check nothing')
    return parser.parse_args()


def package(name: str) -> str:
    """What is imported of an installed package."""
    try:
        return module_name(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(text: str) -> int:
    """An integer of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f'{text!r} must be a whole number of at least 1')
    return int(text)


if __name__ == '__main__':
    main()
