"""The activations that are compared, as a user writes them."""
import ast
from typing import Any, NamedTuple

from mmengine.config import Config

from acon_mm import backbones  # noqa: F401  registers them
from acon_mm.act_cfg import is_default
from acon_mm.lookup import find_stock
from acon_mm.registry import MODELS, SCOPE
from acon_mm.slope_rates import ACT_LR_MULT, SLOPED
from acon_mm.starts import Start, is_number

# of the words of an arm, those that are not the activation's own
OPEN, LR_MULT, PLACEMENT, FIXED = 'open', 'lr_mult', 'placement', 'fixed'


class Arm(NamedTuple):
    """An activation with its start.

    Attributes:
        name (str): As it was written, e.g. 'AconC:init=leaky'.
        act_cfg (dict): What a config needs.
        open (float, optional): Where :class:`acon_mm.OpenSwitchHook` leads
            beta; None without it.
        lr_mult (float, optional): ``act_lr_mult`` of
            :mod:`acon_mm.slope_rates`; None for what that and the config
            say.
        placement (str, optional): Where a stock backbone gets it; None where
            the study says.
        fixed (str, optional): The one of p1, p2 and beta that does not learn.
    """
    name: str
    act_cfg: dict[str, Any]
    open: float | None = None
    lr_mult: float | None = None
    placement: str | None = None
    fixed: str | None = None

    @property
    def folder(self) -> str:
        """The name as part of a path."""
        return ''.join(c if c.isalnum() or c in '.=-' else '_'
                       for c in self.name)


def parse_arm(text: str) -> Arm:
    """``TYPE`` or ``TYPE:key=value,key=value``.

    The keys are those of its config; p1, p2 and beta are a start, ``open=1``
    is OpenSwitchHook with this beta, ``lr_mult=10`` a learning rate,
    ``placement=paper`` where it goes, ``fixed=beta`` what does not learn.

    Raises:
        ValueError: ``text`` is no such thing, or gives slopes a learning
            rate that it does not have, or fixes something else.
    """
    kind, _, rest = text.partition(':')
    act_cfg: dict[str, Any] = dict(type=kind.strip())
    start: dict[str, Any] = {}
    for word in filter(None, rest.split(',')):
        key, sign, value = (part.strip() for part in word.partition('='))
        if not sign or not key.isidentifier() or not act_cfg['type']:
            raise ValueError(
                f'{text!r} is no activation: write TYPE or '
                "TYPE:key=value,key=value, such as 'AconC:init=leaky' or "
                "'AconC:p1=1,p2=0.25,beta=1'.")
        (start if key in Start._fields else act_cfg)[key] = _literal(value)
    if start:
        act_cfg['start'] = start
    arm = Arm(text, act_cfg, act_cfg.pop(OPEN, None),
              act_cfg.pop(LR_MULT, None), act_cfg.pop(PLACEMENT, None),
              act_cfg.pop(FIXED, None))
    if arm.lr_mult is not None:
        _check_lr_mult(arm)
    if arm.fixed not in (None, *Start._fields):
        raise ValueError(f'fixed={arm.fixed!r} of {text!r} must be one of '
                         f'{", ".join(Start._fields)}.')
    return arm


def _check_lr_mult(arm: Arm) -> None:
    kind = MODELS.get(arm.act_cfg['type'])
    if not (isinstance(kind, type) and issubclass(kind, SLOPED)):
        raise ValueError(f'{arm.name!r} has no slopes to learn, whose rate '
                         'lr_mult is: leave it out.')
    if not is_number(arm.lr_mult) or arm.lr_mult <= 0:
        raise ValueError(f'lr_mult={arm.lr_mult!r} of {arm.name!r} must be a '
                         'positive number, such as 30.')


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def put(arm: Arm, config: Config, placement: str) -> None:
    """Give the backbone of a config the activation of an arm, in place.

    A stock backbone becomes the override's, for an arm of ReLU too, unless
    that is its own by default; what is called ``acon_mm.*`` keeps its type.

    Args:
        arm (Arm): The activation.
        config (Config): With ``model.backbone``.
        placement (str): Where it goes in a stock backbone, unless the arm
            says.

    Raises:
        ValueError: The config has no ``model.backbone``, or one of a type
            that is not registered.
    """
    backbone = config.get('model', {}).get('backbone')
    if not backbone:
        raise ValueError(f'{config.filename} has no model.backbone: give the '
                         'config of a model that has one.')
    scope, _, name = backbone['type'].rpartition('.')
    backbone['act_cfg'] = dict(arm.act_cfg)
    if scope != SCOPE or name not in MODELS.module_dict:
        scope = scope.removeprefix(SCOPE).lstrip('.')
        try:
            stock = find_stock(
                name, scope or config.get('default_scope'), None)
        except KeyError as error:
            raise ValueError(error.args[0]) from error
        backbone['type'] = f'{scope}.{name}'.lstrip('.')
        if not is_default(stock, arm.act_cfg):
            backbone['type'] = f'{SCOPE}.{backbone["type"]}'
            backbone['placement'] = arm.placement or placement
    if arm.open is not None:
        config.merge_from_dict({'default_hooks.opening': dict(
            type=f'{SCOPE}.OpenSwitchHook', beta=arm.open)})
    if arm.lr_mult is not None:
        config.merge_from_dict(
            {f'optim_wrapper.paramwise_cfg.{ACT_LR_MULT}': arm.lr_mult})
    if arm.fixed is not None:
        config.merge_from_dict(dict(optim_wrapper=dict(paramwise_cfg=dict(
            custom_keys={f'.{arm.fixed}': dict(lr_mult=0.)}))))
