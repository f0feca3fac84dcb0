"""Training many runs: some at a time, with their progress shown."""
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from acon_mm.demo.training import read_records
from acon_mm.study.runs import Run

LOG = 'log.txt'


class Worker(NamedTuple):
    """A run that trains right now."""
    run: Run
    process: subprocess.Popen
    device: str
    bar: TaskID


def train_all(runs: list[Run], devices: list[str],
              write_config: Callable[[Run], Path],
              finished: Callable[[Run, dict], None],
              console: Console) -> list[str]:
    """Train every run, one for each device at a time.

    An exception, Ctrl-C for one, ends the trainings; what they have saved
    stays.

    Args:
        runs (list[Run]): What is to be trained, in this order.
        devices (list[str]): Values of ``CUDA_VISIBLE_DEVICES``, '-1' for a
            process on the CPU.
        write_config (Callable): Writes a run's config.
        finished (Callable): Gets each finished run and its result.
        console (Console): Where the progress is shown.

    Returns:
        list[str]: A sentence for each run that failed.
    """
    failures: list[str] = []
    columns = (TextColumn('{task.description}'), BarColumn(),
               MofNCompleteColumn(), TimeElapsedColumn())
    waiting, workers, free = list(runs), [], list(devices)
    with Progress(*columns, console=console, transient=True) as progress:
        total = progress.add_task('runs', total=len(runs))
        try:
            while waiting or workers:
                while free and (run := _next(waiting)):
                    waiting.remove(run)
                    workers.append(_start(run, free.pop(), write_config,
                                          progress))
                if not workers:
                    return failures + [
                        f'{run} has no base: {run.base} did not finish'
                        for run in waiting]
                time.sleep(.5)
                for worker in [*workers]:
                    if worker.process.poll() is None:
                        _advance(worker, progress)
                        continue
                    workers.remove(worker)
                    free.append(worker.device)
                    progress.remove_task(worker.bar)
                    progress.advance(total)
                    result = worker.run.result()
                    if result is None:
                        failures.append(_failure(worker.run))
                        console.print(failures[-1], soft_wrap=True)
                    else:
                        finished(worker.run, result)
        finally:
            for worker in workers:
                os.killpg(worker.process.pid, signal.SIGTERM)
            for worker in workers:
                worker.process.wait()
    return failures


def _next(waiting: list[Run]) -> Run | None:
    """The first run whose base, if it needs one, is trained."""
    return next((run for run in waiting
                 if run.base is None or run.base.result()), None)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep a second program out of a folder.

    Raises:
        ValueError: One is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f'another comparison is at work in {folder}: wait for it, or '
                'give another folder with --work-dir.') from None
        yield


def _start(run: Run, device: str, write_config: Callable[[Run], Path],
           progress: Progress) -> Worker:
    config = write_config(run)
    with (run.folder / LOG).open('a') as log:
        process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-m', 'acon_mm.study.training',
             str(config)],
            stdin=subprocess.PIPE,  # it ends when this process does
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, CUDA_VISIBLE_DEVICES=device),
            start_new_session=True)
    bar = progress.add_task(str(run), total=run.steps)
    return Worker(run, process, device, bar)


def _advance(worker: Worker, progress: Progress) -> None:
    steps = [r for r in read_records(worker.run.folder) if 'loss' in r]
    if steps:
        last = steps[-1]
        progress.update(worker.bar,
                        completed=last.get('epoch', last['step']))


def _failure(run: Run) -> str:
    log = run.folder / LOG
    errors = [line for line in log.read_text().splitlines()
              if re.match(r'[\w.]*(Error|Exception|Interrupt)\b', line)]
    reason = errors[-1] if errors else 'its process was ended'
    return f'{run} did not finish: {reason}; the log is {log}'
