"""One config's override beside its stock model: what the sweep looks at."""
from dataclasses import dataclass, field

import torch
from mmengine.registry import init_default_scope
from torch import nn

from acon_mm.check.build import build_stock, build_with_acon, compared_part
from acon_mm.check.compare import TOLERANCE, Deviation, check_outputs
from acon_mm.check.config import without_override
from acon_mm.check.limit import acon_modules, at_the_limit
from acon_mm.check.subject import StockModel, reason
from acon_mm.check.training import (
    check_training_step,
    loss_of,
    milliseconds,
    without_gradient,
)
from acon_mm.check.weights import kept, on_sound_weights


@dataclass
class Finding:
    """What came out.

    Attributes:
        swapped (list): Path, what was there, what is, and its width.
        left (list): Path, what is there, and why it stayed.
        outputs (Deviation, optional): Of the backbone or the whole model.
        losses (tuple[float, float], optional): Of the stock model and of
            the other at the limit.
        step (str): How the loss of a training step was computed.
        dead (list[str]): New parameters without a gradient.
        milliseconds (list[float]): A training step, stock and with ACON.
        problems (list[str]): Why the check fails; none if it passes.
    """
    swapped: list[tuple[str, str, str, int | None]]
    left: list[tuple[str, str, str]]
    outputs: Deviation | None = None
    losses: tuple[float, float] | None = None
    step: str = ''
    dead: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_override(overridden: StockModel) -> Finding:
    """Build a model with and without its override and compare.

    Args:
        overridden (StockModel): With the user's config.

    Raises:
        ValueError: The config has no ACON, or one of the two models does
            not build; the message says why.
        KeyError: It overrides what is not registered.
    """
    init_default_scope(overridden.package)
    stock_cfg = without_override(overridden.model)
    if stock_cfg == overridden.model:
        raise ValueError(
            f'{overridden.configs[0]} has no override: add --cfg-options '
            'model.backbone.type=acon_mm.X for the backbone X.')
    try:
        stock = build_stock(overridden.package, stock_cfg)
    except Exception as error:
        raise ValueError('The stock model does not build: '
                         f'{reason(error)}') from error
    if acon_modules(stock):
        raise ValueError(
            f'{overridden.configs[0]} has ACON where no stock model is: '
            f'{next(iter(acon_modules(stock)))}.')
    try:
        model = build_with_acon(overridden.package, overridden.model, stock)
    except AssertionError as error:
        return Finding([], [], problems=[str(error)])
    except Exception as error:
        raise ValueError('The model with the override does not build: '
                         f'{reason(error)}') from error
    finding = Finding(_swapped(model), _left(model))
    subject = overridden._replace(model=stock_cfg)
    with kept(stock):
        for check in (_outputs, _losses, _gradients, _time):
            try:
                check(finding, subject, stock, model)
            except AssertionError as error:
                finding.problems.append(str(error))
            except Exception as error:
                finding.problems.append(
                    f'{check.__name__[1:]} not checked: {reason(error)}')
    return finding


def _swapped(model: nn.Module) -> list[tuple[str, str, str, int | None]]:
    """Path, what was there, what is and its width; ReLU of an act_cfg."""
    known, rows = set(), []
    for prefix, module in model.named_modules():
        report = getattr(module, 'swap_report', None)
        for entry in report.swapped if report else ():
            path = f'{prefix}.{entry.path}'.strip('.')
            known.add(path)
            rows.append((path, entry.old, entry.new, entry.width))
    return rows + [
        (path, 'act_cfg', type(act).__name__, act.num_channels)
        for path, act in acon_modules(model).items()
        if not any(f'{path}.'.startswith(f'{seat}.') for seat in known)]


def _left(model: nn.Module) -> list[tuple[str, str, str]]:
    rows = []
    for prefix, module in model.named_modules():
        report = getattr(module, 'swap_report', None)
        if report is None:
            continue
        rows += [(f'{prefix}.{entry.path}'.strip('.'), entry.old,
                  entry.reason) for entry in report.left]
        rows += [(f'{prefix}.{method}'.strip('.'), call,
                  'called as a function')
                 for method, call in report.functional]
    return rows


def _outputs(finding: Finding, subject: StockModel, stock: nn.Module,
             model: nn.Module) -> None:
    finding.outputs = on_sound_weights(
        lambda: check_outputs(stock, model), stock, model,
        compared_part(stock))[0]


def _losses(finding: Finding, subject: StockModel, stock: nn.Module,
            model: nn.Module) -> None:
    """All parts of a model at once, which its loss is made of."""
    def losses() -> tuple[float, float]:
        with torch.no_grad(), kept(stock), kept(model):
            theirs = loss_of(subject, stock, stock.train())
            with at_the_limit(model):
                return float(theirs), float(
                    loss_of(subject, stock, model.train()))

    finding.losses = on_sound_weights(losses, stock, model)[0]
    theirs, ours = finding.losses
    assert abs(ours - theirs) <= TOLERANCE * abs(theirs), (
        f'(2) the loss is {ours:.6g} instead of {theirs:.6g}')


def _gradients(finding: Finding, subject: StockModel, stock: nn.Module,
               model: nn.Module) -> None:
    try:
        finding.step = on_sound_weights(
            lambda: check_training_step(subject, stock, model),
            stock, model)[0]
    except AssertionError:
        finding.dead = without_gradient(subject, stock, model)
        raise


def _time(finding: Finding, subject: StockModel, stock: nn.Module,
          model: nn.Module) -> None:
    finding.milliseconds = milliseconds(subject, stock, [stock, model])
