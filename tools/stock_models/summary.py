"""The page that says what the table of the sweep holds."""
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from acon_mm.check.compare import TOLERANCE
from acon_mm.check.limit import SHARP_BETA
from acon_mm.installed import PACKAGES
from acon_mm.starts import Start
from acon_mm.whole_files import whole
from stock_models.checks import PLACEMENTS
from stock_models.configs import WHOLE
from stock_models.libraries import LIBRARIES
from stock_models.table import Row, read_rows

HEAD = """\
# The override on every stock model

<!-- Made by `python tools/check_stock_configs.py --summary`. -->

Each distinct model of the configs that MMDetection and MMSegmentation ship,
each distinct backbone of those that other packages of OpenMMLab ship, and one
small model or more of each family in timm and torchvision, is built as it is
and, where that works on a CPU with the installed packages, again with
`type='acon_mm.<model>'` (MetaAconC, the default) at `placement='paper'` and
`'all'`. A model passes if

1. nothing but activations changed: all other tensors keep name and shape;
2. with `init='match'` the outputs (of a detector or segmentor its
   backbone's) are within {tolerance:.0%} of the stock ones (mean difference
   over standard deviation, the same weights), each activation as close as
   ACON comes to what it replaces: ReLU, LeakyReLU and PReLU at
   beta = {beta:.0e}, SiLU as it is, ReLU6, GELU, Hardswish and Mish by their
   own formulas; the channels are those of the layer in front, what still
   runs is in the report, and a deep copy computes the same;
3. after one training step on a small batch every new parameter that is not
   frozen has a finite gradient, so DDP finds no unused ones (the mean of the
   outputs is the loss of a backbone, and of a model that has none on a CPU);
4. the optimizer builds with `paramwise_cfg`.

The weights are PyTorch's own random ones. Where they compute no number, a
check runs on the model's own initialization; the table says so in the columns
`paper_step` and `all_step`.

Models that differ only in classes, pretrained weights, testing, data
preprocessor, `align_corners` or drop rates have the same layers and are
checked once. Each of the {checked} models checked, with the reason where it
fails, has a row in [`stock_models.csv`](stock_models.csv);
`python tools/check_stock_configs.py PACKAGE ...` checks those that have none.
A backbone in which no activation runs counts as one that does not build.
A sweep takes one model of each type of backbone, neck and head first; what
it has not reached yet has no row. The override changes: a row names the
commit that it was checked at, here {commits}.
"""


def write_summary(table: Path, page: Path) -> None:
    """Write the page of a table.

    Raises:
        SystemExit: The table has no rows.
    """
    rows = read_rows(table)
    if not rows:
        raise SystemExit(f'{table} has no rows: run the check first.')
    commits = Counter(row['commit'] for row in rows)
    parts = [
        HEAD.format(tolerance=TOLERANCE, beta=SHARP_BETA, checked=len(rows),
                    commits=', '.join(f'{commit} ({count} of them)'
                                      for commit, count in commits.items())),
        '\n'.join(_counts(rows)), '\n'.join(_failures(rows)),
        '\n'.join(_deviations(rows)), '\n'.join(_not_built(rows))]
    with whole(page) as draft:
        draft.write_text('\n'.join(parts))


def _counts(rows: list[Row]) -> Iterator[str]:
    yield ('| package | configs | distinct models | build here | '
           + ' | '.join(f"pass at `'{p}'`" for p in PLACEMENTS) + ' |')
    yield '|---' * (4 + len(PLACEMENTS)) + '|'
    packages = Counter(row['package'] for row in rows)
    for package in sorted(packages, key=lambda p: (
            p not in WHOLE, p in LIBRARIES, p)):
        own = [row for row in rows if row['package'] == package]
        built = [row for row in own if row['stock'] == 'pass']
        versions = dict.fromkeys(row['version'] for row in own)
        cells = [' '.join([PACKAGES.get(package, package), *versions]),
                 sum(int(row['configs']) for row in own), len(own),
                 len(built)]
        for placement in PLACEMENTS:
            count = sum(row[placement] == 'pass' for row in built)
            cells.append(f'{count} ({count / max(1, len(built)):.1%})')
        yield _line(cells)
    yield ''


def _failures(rows: list[Row]) -> Iterator[str]:
    yield '## What fails\n'
    failed = [(row['config'], placement, row[placement]) for row in rows
              if row['stock'] == 'pass' for placement in PLACEMENTS
              if row[placement] != 'pass']
    if not failed:
        yield 'Nothing.\n'
        return
    yield '| reason | models | the first of them | placement |'
    yield '|---|---|---|---|'
    grouped: dict[tuple[str, str], list[str]] = {}
    for config, placement, reason in failed:
        grouped.setdefault((reason, placement), []).append(config)
    for (reason, placement), configs in sorted(
            grouped.items(), key=lambda item: -len(item[1])):
        yield _line([_cell(reason), len(configs), f'`{configs[0]}`',
                     f"`'{placement}'`"])
    yield ''


def _deviations(rows: list[Row]) -> Iterator[str]:
    yield '## How near the default start is\n'
    yield (f'ReLU starts at beta = {Start().beta:g}, at most 0.2785 / beta '
           'away at each activation. How far\nthe outputs of the whole '
           'backbone are then from the stock ones depends on its depth;\n'
           'these are medians over the detectors and segmentors of a '
           'backbone with random weights\nand norms by batch statistics, '
           'which amplify a difference, and with the beta that was\nthe '
           'start when they were checked.\n')
    yield "| backbone | beta | models | at `'paper'` | at `'all'` |"
    yield '|---|---|---|---|---|'
    by_type: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row['package'] not in WHOLE:
            continue
        if row['paper_deviation'] and row['all_deviation']:
            by_type.setdefault(
                (row['backbone'], row['start_beta']), []).append(row)
    for (backbone, beta), own in sorted(by_type.items()):
        yield _line([backbone, beta, len(own)] + [
            f'{median(float(r[f"{p}_deviation"]) for r in own):.2g}'
            for p in PLACEMENTS])
    yield ''


def _not_built(rows: list[Row]) -> Iterator[str]:
    yield '## What does not build as it is\n'
    reasons = Counter(row['stock'] for row in rows if row['stock'] != 'pass')
    if not reasons:
        yield 'Nothing.\n'
        return
    yield '| reason | models |'
    yield '|---|---|'
    for reason, count in reasons.most_common():
        yield _line([_cell(reason), count])


def _cell(text: str) -> str:
    return text.replace('|', '\\|')


def _line(cells: Iterable[object]) -> str:
    return '| ' + ' | '.join(str(cell) for cell in cells) + ' |'
