"""What AconStatsHook adds to a training, as a share of its time."""
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from mmengine.visualization import Visualizer
from torch import nn

from acon_mm.learned.hook import AconStatsHook

from .measure import clock, environment, interleave
from .model import CONFIGS, Subject, training_step

ACTIVATIONS = ('MetaAconC', 'AconC all')


def measure_hook(subject: Subject, warmup: int,
                 repeats: int) -> Iterator[dict[str, Any]]:
    """Rows of a table, one for each of :data:`ACTIVATIONS`.

    Args:
        subject (Subject): What is trained.
        warmup (int): Steps that are not counted.
        repeats (int): Steps that are.
    """
    default = AconStatsHook()
    for name in ACTIVATIONS:
        model, _, step = training_step(subject, name)
        with TemporaryDirectory() as folder:
            visualizer = Visualizer(save_dir=folder, vis_backends=[
                dict(type='LocalVisBackend'),
                dict(type='TensorboardVisBackend')])
            runs = dict(
                plain=step,
                record=watched(step, model, visualizer, image_interval=0),
                picture=watched(step, model, visualizer, image_interval=1))
            times = {
                kind: phases['step'].median
                for kind, phases in interleave(
                    {kind: lambda run=run: dict(
                        step=clock(run, subject.device)[1])
                     for kind, run in runs.items()},
                    warmup, repeats).items()}
            visualizer.close()
        record = times['record'] - times['plain']
        picture = times['picture'] - times['record']
        added = (record / default.interval
                 + picture / default.image_interval)
        yield dict(
            model=CONFIGS[subject.name].rsplit('/', 1)[1],
            activation=name,
            image='x'.join(map(str, subject.image_size)),
            batch=subject.batch,
            ms=round(times['plain'], 2),
            record_ms=round(record, 2),
            picture_ms=round(picture, 2),
            interval=default.interval,
            image_interval=default.image_interval,
            percent=round(100 * added / times['plain'], 4),
            repeats=repeats,
            **environment(subject.device))


def watched(step: Callable[[], None], model: nn.Module,
            visualizer: Visualizer, image_interval: int
            ) -> Callable[[], None]:
    """``step`` with a hook that looks at each."""
    hook = AconStatsHook(1, image_interval)
    runner = SimpleNamespace(model=model, iter=0, max_iters=0,
                             visualizer=visualizer)

    def run() -> None:
        hook.before_train_iter(runner, runner.iter)
        step()
        hook.after_train_iter(runner, runner.iter)
        runner.iter += 1

    hook.before_train(runner)
    return run
