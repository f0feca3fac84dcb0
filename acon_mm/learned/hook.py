"""Seeing in a training what the activations learn."""
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.runner import Runner

from acon_mm.learned.record import Recorder, activations_of
from acon_mm.learned.statistics import scalars
from acon_mm.registry import HOOKS


@ROOT_HOOKS.register_module()
@HOOKS.register_module()
class AconStatsHook(Hook):
    """Sends what the activations have become to the visualizer.

    At each ``interval`` the statistics of
    :func:`acon_mm.learned.statistics.summarize` go to every backend that the
    config has, as ``acon/<stage or path>/<name>``; at each
    ``image_interval``, and at the last iteration, so does a picture
    ``acon_beta`` with the distributions of beta, p1 and p2. A beta that is
    computed from the image is told as inference would compute it.

    One process of several looks, at one iteration in ``interval``. It is
    switched on by ``default_hooks.acon.type=acon_mm.AconStatsHook`` in
    ``--cfg-options``.

    Args:
        interval (int): Iterations between two records. Defaults to 100.
        image_interval (int): Iterations between two pictures; 0 for none at
            all. Defaults to 5000.
        per_layer (bool): Whether each activation has statistics of its own
            beside those of its stage. Defaults to True.

    Raises:
        ValueError: ``interval`` not positive, ``image_interval`` negative.
    """

    priority = 'LOW'

    def __init__(self,
                 interval: int = 100,
                 image_interval: int = 5000,
                 per_layer: bool = True) -> None:
        for name, value, least in (('interval', interval, 1),
                                   ('image_interval', image_interval, 0)):
            if isinstance(value, bool) or not isinstance(
                    value, int) or value < least:
                raise ValueError(f'{name}={value!r} of AconStatsHook must be '
                                 f'an integer from {least}: iterations.')
        self.interval = interval
        self.image_interval = image_interval
        self.per_layer = per_layer
        self.looks = False
        self.recorder: Recorder | None = None

    def before_train(self, runner: Runner) -> None:
        self.looks = is_main_process() and bool(
            activations_of(_bare(runner.model)))
        if is_main_process() and not self.looks:
            print_log(
                'AconStatsHook found no AconA, AconB, AconC or MetaAconC in '
                'the model, and has nothing to tell.', logger='current')

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: Any = None) -> None:
        if self.looks and (self._due(runner, self.interval)
                           or self._draws(runner)):
            self.recorder = Recorder(_bare(runner.model))

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        if self.recorder is None:
            return
        layers, self.recorder = self.recorder.close(), None
        step = runner.iter + 1
        runner.visualizer.add_scalars(
            scalars(layers, self.per_layer), step=step)
        if self._draws(runner):
            # only here, since matplotlib takes a while to import
            from acon_mm.learned.pictures import picture_of
            runner.visualizer.add_image(
                'acon_beta', picture_of(layers, f'iteration {step}'),
                step=step)

    def _due(self, runner: Runner, interval: int) -> bool:
        step = runner.iter + 1
        return step % interval == 0 or step == runner.max_iters

    def _draws(self, runner: Runner) -> bool:
        return self.image_interval > 0 and self._due(runner,
                                                     self.image_interval)


def _bare(model):
    return model.module if is_model_wrapper(model) else model
