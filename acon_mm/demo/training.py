"""Training one of the demo's models through ``mim train``."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from acon_mm.installed import distribution_of

METRICS = {
    'coco/bbox_mAP': 'box AP',
    'coco/segm_mAP': 'mask AP',
    'mIoU': 'mIoU',
}
LINE_EVERY = 40


@dataclass
class Run:
    """One model of the demo with one activation.

    Attributes:
        model (str): The model's name for people.
        activation (str): 'meta-ACON' or 'ReLU'.
        package (str): Module of the codebase, 'mmdet' or 'mmseg'.
        config (Path): Its config.
        required (dict[str, float]): Metrics and what they must exceed.
        work_dir (Path): Where mim writes.
        metrics (dict[str, float]): What the stock metrics gave, 0 to 1.
        seconds (float): Time per iteration, the median.
    """
    model: str
    activation: str
    package: str
    config: Path
    required: dict
    work_dir: Path
    metrics: dict = field(default_factory=dict)
    seconds: float = float('nan')

    def __str__(self):
        return f'{self.model}, {self.activation}'

    @property
    def command(self):
        """The command line that trains it."""
        return [
            'mim', 'train', distribution_of(self.package),
            str(self.config), '--work-dir',
            str(self.work_dir)
        ]

    @property
    def checkpoint(self):
        """The weights after the last iteration."""
        return Path((self.work_dir / 'last_checkpoint').read_text())

    def failures(self):
        """Sentences about the metrics that are not as required."""
        return [
            f'{self}: {METRICS[name]} is {self.metrics.get(name, 0):.3f} and '
            f'must exceed {least}' for name, least in self.required.items()
            if not self.metrics.get(name, 0) > least
        ]


class TrainingError(RuntimeError):
    """``mim train`` ended with an error."""


def train(run, console):
    """Train with ``mim train``, show the progress, fill in the results.

    Args:
        run (Run): What to train; gets ``metrics`` and ``seconds``.
        console (rich.console.Console): Where to report.

    Raises:
        TrainingError: If mim fails; it names the log.
    """
    iterations = Config.fromfile(run.config).train_cfg.max_iters
    run.work_dir.mkdir(parents=True)
    log_path = run.work_dir / 'mim.log'
    console.print(f'\n[bold]{run}[/]\n{" ".join(run.command)}', soft_wrap=True)
    columns = (TextColumn('{task.description}'), BarColumn(),
               MofNCompleteColumn(), TimeRemainingColumn())
    with log_path.open('w') as log, \
            Progress(*columns, console=console, transient=True) as progress:
        process = subprocess.Popen(
            [sys.executable, '-m', *run.command],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True)
        try:
            _follow(run, process, progress, iterations)
        except BaseException:
            # mim has started the training as a process of its own
            os.killpg(process.pid, signal.SIGTERM)
            raise
    records = read_records(run.work_dir)
    if process.returncode or not records:
        raise TrainingError(f'{run} did not train: {_last_error(log_path)}; '
                            f'the log is {log_path}')
    run.seconds = median(r['time'] for r in records if 'loss' in r)
    run.metrics = as_fractions(records[-1])
    console.print(f'{run}: ' + ', '.join(
        f'{METRICS[name]} {value:.3f}' for name, value in run.metrics.items()))


def _environment():
    if torch.cuda.is_available():
        return dict(os.environ)
    # mim gives no device without a launcher; mmengine then takes the CPU.
    return dict(os.environ, CUDA_VISIBLE_DEVICES='-1')


def _last_error(log_path):
    """The training's last error message, not mim's about its process."""
    errors = [
        line for line in log_path.read_text().splitlines()
        if re.match(r'[\w.]*(Error|Exception)\b', line)
        and 'CalledProcessError' not in line
    ]
    return errors[-1] if errors else 'no result'


def _follow(run, process, progress, iterations):
    task = progress.add_task('Starting', total=iterations)
    printed = 0
    while process.poll() is None:
        time.sleep(0.5)
        steps = [r for r in read_records(run.work_dir) if 'loss' in r]
        if not steps:
            continue
        last = steps[-1]
        progress.update(
            task,
            completed=last['step'],
            description=('Evaluating' if last['step'] == iterations else
                         f'Loss {last["loss"]:.3f}'))
        if last['step'] - printed >= LINE_EVERY:
            printed = last['step']
            progress.console.print(
                f'  iteration {printed:3d} of {iterations}: loss '
                f'{last["loss"]:.3f}, {last["time"]:.2f} s per iteration')


def read_records(work_dir):
    """What mmengine's logger has written so far, one dict a line."""
    records = []
    for path in work_dir.glob('*/vis_data/scalars.json'):
        for line in path.read_text().splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:  # a line that is being written
                break
    return records


def as_fractions(record):
    """The stock metrics of a record, 0 to 1; mmseg reports per cent."""
    return {
        name: record[name] / (100 if name == 'mIoU' else 1)
        for name in METRICS if name in record
    }
