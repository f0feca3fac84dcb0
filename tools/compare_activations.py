"""Compare activations: train each for the same budget with the same seeds.

  python tools/compare_activations.py CONFIG --seeds 5 \\
      --activations ReLU PReLU AconC:init=leaky 'AconC:p1=1,p2=0.1,beta=3'
  python tools/compare_activations.py CONFIG --base ReLU
  python tools/compare_activations.py --size small     the built-in study
  python tools/compare_activations.py --size small --report-only

A stopped comparison goes on when the same command is given again. It writes a
table (CSV, a row for each run), a page and charts.
"""
import argparse
import signal
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from rich.console import Console

from acon_mm.config_files import Options
from acon_mm.study.arms import parse_arm
from acon_mm.study.charts import draw_charts
from acon_mm.study.page import write_page
from acon_mm.study.plans import BASELINES, CORE, OPEN, STUDIES
from acon_mm.study.queue import alone_in, train_all
from acon_mm.study.runs import (
    Run,
    Task,
    load_task,
    plan,
    plan_fine_tuning,
)
from acon_mm.study.table import add_run, check_rows, read_rows

CONFIGS = Path('configs')
STUDY_OUT = Path('docs/transfer.csv')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('config', nargs='?', type=Path, help='of a model with a backbone')
    add('--size', choices=STUDIES, help='the built-in study instead')
    add('--activations', nargs='+', default=CORE, metavar='ACT',
        help='TYPE or TYPE:key=value,...; p1, p2 and beta are a start, '
        'lr_mult=30 their learning rate, open=1 OpenSwitchHook, '
        'placement=paper where it goes '
        f'(default: {" ".join(CORE)})')
    add('--baseline', nargs='+', metavar='ACT',
        help='to take differences from (default: the first activation)')
    add('--seeds', type=int, default=3, help='0..N-1 (default: 3)')
    add('--placement', default='all',
        help='where a stock backbone gets them (default: all)')
    add('--metric', help='name of the value to compare')
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument('--load-from', type=Path,
                       help='weights that every run begins with')
    begin.add_argument('--base', metavar='ACT', help='train this first, '
                       'each seed its own, and begin with its weights')
    add('--cfg-options', nargs='+', action=Options, default={})
    add('--data', default='data', help='what data/ of configs is')
    add('--out', type=Path, help='the table; page and charts lie beside it')
    add('--work-dir', type=Path, help='for checkpoints and logs')
    add('--jobs', type=int, default=1,
        help='trainings at a time without a GPU (default: 1)')
    add('--tasks', nargs='+', metavar='TASK',
        help='train these of the study alone, as fnmatch reads them')
    add('--report-only', action='store_true',
        help='train nothing, write page and charts of the table again')
    args = parser.parse_args()
    if (args.config is None) == (args.size is None):
        parser.error('give a config, or --size for the built-in study')
    if args.size and (args.load_from or args.base):
        parser.error('--load-from and --base are for a config; --size has '
                     'its own')
    if args.seeds < 1 or args.jobs < 1:
        parser.error('--seeds and --jobs must be positive')
    return args


def plan_runs(args: argparse.Namespace) -> list[Run]:
    """What the arguments ask for."""
    if args.size is None:
        task = load_task(args.config, args.cfg_options, args.placement,
                         args.metric, args.load_from)
        return plan_task(task, args.activations, args.seeds, args.base,
                         args.work_dir)
    runs = []
    for part in STUDIES[args.size]:
        task = load_task(CONFIGS / part.config, args.cfg_options,
                         args.placement)
        runs += plan_task(task, part.activations, part.seeds, part.base,
                          args.work_dir)
    # one seed of everything before the next, and what two parts share once
    runs = list({run.key: run for run in runs}.values())
    return sorted(runs, key=lambda run: run.seed)


def plan_task(task: Task, activations: Sequence[str], seeds: int,
              base: str | None, work_dir: Path) -> list[Run]:
    """The runs of one task."""
    arms = map(parse_arm, activations)
    if base is None:
        return plan([task], arms, seeds, work_dir)
    return plan_fine_tuning(task, parse_arm(base), arms, seeds, work_dir)


def set_defaults(args: argparse.Namespace) -> None:
    name = args.size or args.config.stem
    args.work_dir = args.work_dir or Path('work_dirs/compare') / name
    if args.size is None:
        args.out = args.out or args.work_dir / f'{name}.csv'
        args.baseline = args.baseline or [args.activations[0]]
        return
    default = STUDY_OUT if args.size == 'small' else (
        STUDY_OUT.with_name(f'{STUDY_OUT.stem}-{args.size}.csv'))
    args.out = args.out or default
    args.baseline = args.baseline or BASELINES


def report(args: argparse.Namespace, runs: list[Run],
           console: Console) -> None:
    """Page and charts of what is finished."""
    rows = read_rows(args.out)
    if not rows:
        console.print(f'{args.out} has no finished run yet.')
        return
    charts = draw_charts(rows, args.baseline[0], args.out.with_suffix(''))
    page = args.out.with_suffix('.md')
    write_page(rows, args.baseline, missing(args, runs, rows), charts, page)
    console.print(f'written: {args.out}, {page} and {len(charts)} charts',
                  soft_wrap=True)


def missing(args: argparse.Namespace, runs: list[Run],
            rows: list[dict[str, str]]) -> list[str]:
    """Sentences about the runs without a row, and what is not planned."""
    done = {(row['task'], row['activation'], row['seed']) for row in rows}
    sentences = []
    for task in dict.fromkeys(run.task.name for run in runs):
        own = [run for run in runs if run.task.name == task]
        left = [run.arm.name for run in own if run.key not in done]
        if len(left) == len(own):
            sentences.append(f'{task}: none of {len(own)} runs')
        elif left:
            names = ', '.join(f'{name} ({left.count(name)} seeds)'
                              for name in dict.fromkeys(left))
            sentences.append(f'{task}, {len(left)} of {len(own)} runs: '
                             f'{names}')
    return sentences + list(OPEN if args.size else ())


def chosen(tasks: Sequence[str] | None, runs: list[Run]) -> list[Run]:
    """Those of some tasks, and what they begin with."""
    named = [run for run in runs if tasks is None or any(
        fnmatchcase(run.task.name, task) for task in tasks)]
    keys = {run.key for run in named} | {
        run.base.key for run in named if run.base is not None}
    return [run for run in runs if run.key in keys]


def train(args: argparse.Namespace, runs: list[Run],
          console: Console) -> list[str]:
    """Train what has no row yet; a sentence for each run that failed."""
    done = {(row['task'], row['activation'], row['seed'])
            for row in read_rows(args.out)}
    waiting = []
    for run in chosen(args.tasks, runs):
        if run.key in done:
            continue
        run.check_folder()
        result = run.result()
        if result is None:
            waiting.append(run)
        else:  # finished as this program was interrupted
            add_run(args.out, run, result)
    if not waiting:
        return []
    count = torch.cuda.device_count()
    devices = list(map(str, range(count))) or ['-1'] * args.jobs
    console.print(f'{len(waiting)} of {len(runs)} runs to train, '
                  f'{len(devices)} at a time')

    def finished(run: Run, result: dict) -> None:
        add_run(args.out, run, result)
        console.print(
            f'{run}: {run.task.metric} {result["value"]:.3f} in '
            f'{result["seconds"]:.0f} s', soft_wrap=True)

    return train_all(waiting, devices,
                     lambda run: run.write_config(args.data), finished,
                     console)


def compare(args: argparse.Namespace, console: Console) -> int:
    """Everything; the exit status."""
    runs = plan_runs(args)
    check_rows(read_rows(args.out), {run.task for run in runs}, args.out)
    failures: list[str] = []
    if not args.report_only:
        with alone_in(args.work_dir):
            failures = train(args, runs, console)
    report(args, runs, console)
    return 1 if failures else 0


def stop(signum, frame) -> None:
    """End as by Ctrl-C, which also ends the trainings."""
    raise KeyboardInterrupt


def main() -> None:
    args = parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    MMLogger.get_current_instance().setLevel('WARNING')
    set_defaults(args)
    try:
        sys.exit(compare(args, Console(highlight=False)))
    except KeyboardInterrupt:
        sys.exit('interrupted: the same command goes on from here')
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
