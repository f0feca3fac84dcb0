"""The runs of a study: a task, an activation and a seed each."""
import hashlib
import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from acon_mm.config_files import read_config
from acon_mm.study.arms import Arm, put
from acon_mm.study.training import RESULT

# what is compared where the config's evaluator gives it, by its importance
METRICS = ('coco/segm_mAP', 'coco/bbox_mAP', 'mIoU', 'accuracy/top1')
PARTS = 5
SETTINGS = 'settings.txt'
# between a task's name and that of the base that it goes on from
FROM = '_from-'


@dataclass(frozen=True)
class Task:
    """A config that is trained with every activation.

    Attributes:
        name (str): The config's, for people and paths.
        config (Config): Without an activation of ours.
        metric (str): What the evaluator calls the value that is compared.
        placement (str): Where a stock backbone gets the activations.
        settings (str): Changes if anything of the config does.
    """
    name: str
    config: Config = field(repr=False, compare=False)
    metric: str
    placement: str
    settings: str


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        task (Task): What is trained.
        arm (Arm): The activation.
        seed (int): Of everything that is drawn.
        folder (Path): For all that it writes.
        base (Run, optional): The training whose weights it begins with.
    """
    task: Task
    arm: Arm = field(compare=False)
    seed: int
    folder: Path
    base: 'Run | None' = None

    def __str__(self) -> str:
        return f'{self.task.name}, {self.arm.name}, seed {self.seed}'

    @property
    def key(self) -> tuple[str, str, str]:
        """Names it among the rows of a table."""
        return self.task.name, self.arm.name, str(self.seed)

    @property
    def steps(self) -> int:
        """Epochs or iterations, as the config counts."""
        return _length(self.task.config)

    def check_folder(self) -> None:
        """Refuse a folder in which the run was begun otherwise.

        Raises:
            ValueError: Its settings are not these.
        """
        path = self.folder / SETTINGS
        before = path.read_text() if path.exists() else self.task.settings
        if before != self.task.settings:
            raise ValueError(
                f'{self.folder} was begun with other settings ({before}, now '
                f'{self.task.settings}): give another folder with '
                '--work-dir.')

    def result(self) -> dict[str, Any] | None:
        """What the training has written, None before its end."""
        path = self.folder / RESULT
        return json.loads(path.read_text()) if path.exists() else None

    def write_config(self, data: str) -> Path:
        """The config that :mod:`acon_mm.study.training` trains.

        Args:
            data (str): The folder that ``data/`` in a config stands for.

        Raises:
            FileNotFoundError: The base has no checkpoint.
        """
        config = deepcopy(self.task.config)
        if self.base is not None:
            config.load_from = find_latest_checkpoint(self.base.folder)
            if config.load_from is None:
                raise FileNotFoundError(
                    f'{self.base.folder} has no checkpoint to begin with: '
                    'remove it, and it is trained again.')
        put(self.arm, config, self.task.placement)
        config = Config(_move_data(config.to_dict(), data))
        config.merge_from_dict(dict(
            work_dir=str(self.folder.resolve()),
            randomness=dict(seed=self.seed),
            study=dict(metric=self.task.metric,
                       begins_trained=self.base is not None)))
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / SETTINGS).write_text(self.task.settings)
        path = self.folder / 'config.py'
        config.dump(path)
        return path


def load_task(path: Path,
              options: dict | None = None,
              placement: str = 'all',
              metric: str | None = None,
              load_from: Path | None = None) -> Task:
    """A task of a config file.

    Args:
        path (Path): The config.
        options (dict, optional): As of ``--cfg-options``.
        placement (str): Where a stock backbone gets the activations.
        metric (str, optional): What is compared. None: what is known of
            detection, segmentation and classification.
        load_from (Path, optional): Weights to begin with.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read or does not train, or the last
            validation would not be at the end of training.
    """
    if load_from and not load_from.is_file():
        raise FileNotFoundError(f'{load_from} is no file: give its path.')
    config = read_config(path)
    config.merge_from_dict(options or {})
    if load_from:
        config.load_from = str(load_from.resolve())
    text = placement + json.dumps(
        config.to_dict(), sort_keys=True, default=str)
    for key in ('train_cfg', 'val_evaluator'):
        if not config.get(key):
            raise ValueError(f'{path} has no {key}: give the config of a '
                             'model that trains and validates.')
    length, every = _length(config), config.train_cfg.get('val_interval', 1)
    for value in (length, every):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f'{path} trains {length!r} long and validates '
                             f'every {every!r}: give positive integers.')
    if length % every:
        raise ValueError(
            f'{path} trains {length} long and validates every {every}: add '
            f'--cfg-options train_cfg.val_interval={length}, so that the end '
            'is compared.')
    part = max(1, length // PARTS)
    config.merge_from_dict(dict(default_hooks=dict(checkpoint=dict(
        type='CheckpointHook', interval=part, max_keep_ckpts=2,
        by_epoch='max_epochs' in config.train_cfg))))
    return Task(
        name=path.stem,
        config=config,
        metric=metric or _metric(config),
        placement=placement,
        settings=hashlib.sha1(text.encode()).hexdigest()[:8])


def _length(config: Config) -> int:
    loop = config.train_cfg
    return loop.get('max_epochs') or loop.get('max_iters')


def _metric(config: Config) -> str:
    evaluator = config.val_evaluator
    evaluator = evaluator[0] if isinstance(evaluator, list) else evaluator
    kinds = evaluator.get('metric', [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if evaluator.type == 'CocoMetric':
        return METRICS[0 if 'segm' in kinds else 1]
    return METRICS[2] if evaluator.type == 'IoUMetric' else METRICS[3]


def _move_data(value: Any, data: str) -> Any:
    """Paths that begin with ``data/``, below another folder."""
    if isinstance(value, dict):
        return {k: _move_data(v, data) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_move_data(v, data) for v in value)
    if isinstance(value, str) and value.startswith('data/'):
        return str(Path(data).resolve()) + value[len('data'):]
    return value


def plan(tasks: Iterable[Task], arms: Iterable[Arm], seeds: int,
         work_dir: Path) -> list[Run]:
    """All runs, one seed of everything before the next seed."""
    tasks, arms = list(tasks), list(arms)
    return [
        Run(task, arm, seed, work_dir / task.name / arm.folder / str(seed))
        for seed in range(seeds) for task in tasks for arm in arms]


def plan_fine_tuning(task: Task, base: Arm, arms: Iterable[Arm], seeds: int,
                     work_dir: Path) -> list[Run]:
    """For each seed the training of a base, and what goes on from it.

    Args:
        task (Task): It is trained twice, from scratch and from the base.
        base (Arm): The activation that is there before the swap.
        arms (Iterable[Arm]): What takes its place.
        seeds (int): How many.
        work_dir (Path): Where the folders go.
    """
    name = f'{task.name}{FROM}{base.folder}'
    tuned = plan([replace(task, name=name)], arms, seeds, work_dir)
    bases = plan([task], [base], seeds, work_dir)
    return [*bases, *(replace(run, base=bases[run.seed]) for run in tuned)]
