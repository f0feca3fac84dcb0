"""Training one run, in a process of its own.

``python -m acon_mm.study.training CONFIG`` trains the config that
:mod:`acon_mm.study.runs` has written, goes on where an earlier process was
interrupted, and writes ``result.json`` beside it.
"""
import json
import os
import resource
import shutil
import stat
import sys
import threading
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint

import acon_mm  # noqa: F401  declares what MMEngine's checkpoints hold
from acon_mm.benchmark.measure import environment
from acon_mm.study.learned import Betas, describe
from acon_mm.whole_files import whole

RESULT = 'result.json'
CURVE, STARTS = 'study/curve', 'study/starts'


class Record(Hook):
    """Notes the metric of each validation and what was learned."""

    def __init__(self, metric: str, begins_trained: bool = False) -> None:
        self.metric = metric
        self.begins_trained = begins_trained
        self.betas: Betas | None = None
        self.means: dict = {}

    def before_train(self, runner: Runner) -> None:
        hub = runner.message_hub
        hub.update_info(STARTS, 1 + (hub.get_info(STARTS) or 0))
        if self.begins_trained and not runner.iter:
            runner.val_loop.run()  # what the swap alone has cost

    def before_val_epoch(self, runner: Runner) -> None:
        self.betas = Betas(runner.model)

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        self.means = self.betas.close()
        if not metrics:  # CocoMetric's answer where nothing was detected
            metrics = {self.metric: 0.}
        if self.metric not in metrics:
            raise ValueError(
                f'{self.metric!r} is no metric of this config: give one of '
                f'{", ".join(metrics)} by --metric.')
        hub = runner.message_hub
        point = runner.iter, float(metrics[self.metric])
        hub.update_info(CURVE, [*(hub.get_info(CURVE) or []), point])


def train(path: Path) -> None:
    """Train and write the result."""
    config = Config.fromfile(path)
    folder = path.parent
    latest = find_latest_checkpoint(folder)
    if latest and Path(latest).is_file():
        config.merge_from_dict(dict(resume=True, load_from=latest))
    else:
        for old in folder.glob('[0-9]*'):  # nothing of it can be resumed
            shutil.rmtree(old)
    runner = Runner.from_cfg(config)
    record = Record(**config.study)
    runner.register_hook(record)
    runner.train()
    _write(folder / RESULT, _result(runner, record))


def _result(runner: Runner, record: Record) -> dict:
    hub = runner.message_hub
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    times = hub.get_scalar('train/time').data[0].tolist()
    curve = hub.get_info(CURVE)
    return dict(
        value=curve[-1][1],
        curve=curve,
        iterations=runner.iter,
        seconds=sum(times),
        ms_per_iteration=1e3 * median(times),
        peak_mb=_peak_mb(device),
        parameters=sum(p.numel() for p in runner.model.parameters()),
        starts=hub.get_info(STARTS),
        **environment(device),
        **describe(runner.model, record.means))


def _peak_mb(device: str) -> float:
    if device == 'cuda':
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _write(path: Path, result: dict) -> None:
    with whole(path) as draft:
        draft.write_text(json.dumps(result))


def end_with_parent() -> None:
    """Exit when the other end of standard input, a pipe, is closed.

    Two trainings in one folder would spoil both: none may outlive the
    program that started it, however that ends.
    """

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # sys.stdin's lock would stop the end
        os._exit(1)

    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        threading.Thread(target=wait, daemon=True).start()


if __name__ == '__main__':
    end_with_parent()
    train(Path(sys.argv[1]))
