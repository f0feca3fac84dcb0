"""A learning rate with which the slopes of activations can move."""
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from acon_mm.base import AconBase
from acon_mm.starts import is_number

# docs/transfer.md has trainings with 1, 30 and 100
RATE = 100.
# the largest learning rate that a slope had there
LARGEST = .1
# the word of ``paramwise_cfg`` for another
ACT_LR_MULT = 'act_lr_mult'
# whose own parameters, but for those of the beta net, are slopes
SLOPED = (AconBase, nn.PReLU)


class SlopeRates(DefaultOptimWrapperConstructor):
    """MMEngine's default, where slopes can move.

    Adam and its kin move a parameter by the learning rate a step, whatever
    its gradient. Weights are some hundredths large and slopes are 1: at the
    same rate a training ends with the slopes that it began with, and what
    was ReLU stays ReLU. So p1, p2 and beta of ACON's activations train at
    :data:`RATE` times the rate, :data:`LARGEST` at most, and are not decayed.
    All else gets what MMEngine's default gives it.

    The step of SGD grows with the gradient: there the rate is the config's.
    ``paramwise_cfg.act_lr_mult`` says another factor, for any optimizer, and
    for PReLU's slopes as well. A key of
    ``paramwise_cfg.custom_keys`` that names activations (``act2``, not
    ``backbone``) has the last word.

    It stands for ``DefaultOptimWrapperConstructor`` in MMEngine's registry,
    so that a config with ACON needs no word of it.

    Raises:
        ValueError: ``act_lr_mult`` is no positive number.
    """

    @property
    def given(self) -> float | None:
        """The factor that the config says."""
        return self.paramwise_cfg.get(ACT_LR_MULT)

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        if self.given is not None and not (
                is_number(self.given) and self.given > 0):
            raise ValueError(f'{ACT_LR_MULT}={self.given!r} of paramwise_cfg '
                             'must be a positive number, such as 30.')

    def __call__(self, model: nn.Module) -> OptimWrapper:
        inner = model.module if hasattr(model, 'module') else model
        slopes = self._slopes(inner)
        if slopes:
            print_log(
                f'{len(slopes)} slopes of activations train at '
                f'{self.factor(self.base_lr):g} times the learning rate, and '
                'are not decayed.', logger='current')
        if not slopes or self.paramwise_cfg:
            return super().__call__(model)
        own: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for parameter in inner.parameters():
            (own if id(parameter) in slopes else rest).append(parameter)
        return super().__call__(_Groups([
            dict(params=rest),
            dict(params=own, **self._options(self.base_lr))]))

    def add_params(self, params: list[dict], module: nn.Module,
                   prefix: str = '', *args: Any, **kwargs: Any) -> None:
        begin = len(params)
        super().add_params(params, module, prefix, *args, **kwargs)
        if not isinstance(module, SLOPED):
            return
        slopes = self._slopes(module)
        for group in params[begin:]:
            name = slopes.get(id(group['params'][0]))
            if name and not self._has_own_key(prefix, name):
                group.update(self._options(group.get('lr', self.base_lr)))

    def _slopes(self, model: nn.Module) -> dict[int, str]:
        """Names of the slopes that get a rate, by their ``id``."""
        steps_alike = 'Adam' in str(self.optimizer_cfg['type'])
        if self.base_lr is None or not (self.given or steps_alike):
            return {}
        return {
            id(parameter): name for module in model.modules()
            if isinstance(module, SLOPED if self.given else AconBase)
            for name, parameter in module.named_parameters(recurse=False)
            if parameter.requires_grad}

    def _options(self, lr: Any) -> dict[str, float]:
        decay = {} if self.base_wd is None else dict(weight_decay=0.)
        return dict(lr=self.factor(lr) * lr, **decay)

    def factor(self, lr: float) -> float:
        """By which the slopes' rate is larger than ``lr``."""
        if self.given or not lr:  # nothing moves at a rate of 0
            return self.given or 1.
        return max(1., min(RATE, LARGEST / lr))

    def _has_own_key(self, act: str, slope: str) -> bool:
        """Whether the key that MMEngine takes, the longest, is in more than
        the path of what has the activation."""
        keys = [key for key in self.paramwise_cfg.get('custom_keys', {})
                if key in f'{act}.{slope}']
        return bool(keys) and max(sorted(keys), key=len) not in (
            act.rpartition('.')[0])


class _Groups(list):
    """Groups of parameters, for what asks a model for its parameters."""

    def parameters(self) -> list[dict]:
        return list(self)


def register_slope_rates() -> None:
    """Let MMEngine's default be :class:`SlopeRates`."""
    OPTIM_WRAPPER_CONSTRUCTORS.register_module(
        name='DefaultOptimWrapperConstructor', module=SlopeRates, force=True)
