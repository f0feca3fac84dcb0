"""The four checks of one stock model under the override."""
import contextlib
import signal
import warnings
from collections.abc import Iterator, Sequence

import torch
from cpu_torchvision import make_importable
from mmengine.logging import MMLogger
from torch import nn

from stock_models.build import (
    acon_modules,
    backbone_of,
    build_stock,
    build_with_acon,
)
from stock_models.compare import check_backbone, check_training_step
from stock_models.configs import (
    StockModel,
    config_root,
    reason,
    shrink,
    text,
)
from stock_models.weights import kept, on_sound_weights

PLACEMENTS = ('paper', 'all')
# deviations of backbones of the same class, config and new activations,
# which many models share; those on the own initialization are not kept
_compared: dict[tuple, str] = {}


class _OutOfTime(BaseException):
    """No ``except Exception`` of a model or of a check may stop it."""


def check_model(stock_model: StockModel, timeout: int,
                placements: Sequence[str] = PLACEMENTS) -> dict[str, object]:
    """Build a stock model with and without the override and compare.

    Args:
        stock_model (StockModel): The model.
        timeout (int): Seconds that each placement may take.
        placements (sequence of str): Those to check. Defaults to both.

    Returns:
        dict: A row of the table: 'pass' or the reason for each placement.
    """
    row = describe(stock_model)
    if stock_model.model is None:
        return row | dict(stock=stock_model.error)
    stock_model = stock_model._replace(model=shrink(stock_model.model))
    # some models read 'configs/...' for a teacher
    with contextlib.chdir(config_root(stock_model.package).parent):
        try:
            with _limited(timeout):
                stock = build_stock(stock_model.package, stock_model.model)
        except Exception as error:
            return row | dict(stock=reason(error))
        row |= dict(stock='pass', parameters=sum(
            p.numel() for p in stock.parameters()))
        for placement in placements:
            try:
                with _limited(timeout):
                    row |= check_placement(stock_model, stock, placement)
                row[placement] = 'pass'
            except Exception as error:
                row[placement] = reason(error)
    return row


def check_group(group: list[StockModel],
                timeout: int) -> list[dict[str, object]]:
    """Rows of models of the same layers: the first stands for all."""
    checked = check_model(group[0], timeout)
    results = {name: value for name, value in checked.items()
               if name not in describe(group[0])}
    return [checked] + [
        describe(model) | results | dict(same_as=group[0].configs[0])
        for model in group[1:]]


def describe(stock_model: StockModel) -> dict[str, object]:
    """The columns that name a model."""
    cfg = stock_model.model or {}
    return dict(
        package=stock_model.package, config=stock_model.configs[0],
        configs=len(stock_model.configs), model=cfg.get('type', ''),
        backbone=next(_types(cfg, 'backbone'), ''),
        parts=' '.join(sorted(set(_types(cfg)))))


def check_placement(stock_model: StockModel, stock: nn.Module,
                    placement: str) -> dict[str, object]:
    """All four checks of one placement.

    Raises:
        AssertionError: One does not hold; the message says which.
    """
    model = build_with_acon(  # (1)
        stock_model.package, stock_model.model, placement, stock)
    with kept(stock):  # the norms' statistics
        deviation, own_backbone = _check_backbone(  # (2)
            stock_model, stock, model)
        step, own_step = on_sound_weights(  # (3), (4)
            lambda: check_training_step(stock_model, stock, model),
            stock, model)
    own = ' '.join(['(2)'] * own_backbone + ['(3)'] * own_step)
    return {f'{placement}_swapped': len(acon_modules(model)),
            f'{placement}_deviation': deviation,
            f'{placement}_step': step + (f', own start at {own}' if own
                                         else '')}


def _check_backbone(stock_model: StockModel, stock: nn.Module,
                    model: nn.Module) -> tuple[str, bool]:
    backbone = backbone_of(stock)
    key = (type(backbone), text(stock_model.model.get('backbone')), *(
        (path, repr(act), str(act.start))
        for path, act in acon_modules(backbone_of(model) or model).items()))
    if key in _compared:
        return _compared[key], False
    deviation, own = on_sound_weights(
        lambda: check_backbone(stock, model), stock, model, backbone)
    if not own and 'backbone' in stock_model.model:
        _compared[key] = deviation
    return deviation, own


def _types(cfg, *kinds: str) -> Iterator[str]:
    """Types of the parts of a model: by default backbone, neck and heads."""
    if not isinstance(cfg, dict):
        return
    kinds = kinds or ('backbone', 'neck', 'head')
    for key, value in cfg.items():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(part, dict):
                if any(kind in key for kind in kinds) and isinstance(
                        part.get('type'), str):
                    yield part['type']
                yield from _types(part, *kinds)


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(*_):
        raise _OutOfTime

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        try:
            yield
        finally:
            signal.alarm(0)
    except _OutOfTime:
        raise TimeoutError(f'took more than {seconds} s') from None


def prepare_process() -> None:
    """One thread, no chatter, and mmpretrain where it is installed."""
    make_importable()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel('ERROR')
