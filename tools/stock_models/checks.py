"""The four checks of one stock model under the override."""
import contextlib
import gc
import os
import resource
import signal
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import torch
from cpu_torchvision import make_importable
from mmengine.logging import MMLogger
from torch import nn

from acon_mm.benchmark.measure import environment
from acon_mm.check.build import (
    build_stock,
    build_with_acon,
    compared_part,
    with_override,
)
from acon_mm.check.compare import check_outputs, first_run
from acon_mm.check.limit import acon_modules
from acon_mm.check.subject import StockModel, reason, shrink, text
from acon_mm.check.training import check_training_step
from acon_mm.check.watch import Watch
from acon_mm.check.weights import kept, on_sound_weights
from acon_mm.installed import distribution_of
from acon_mm.override.registered import is_activation
from acon_mm.starts import Start
from stock_models.configs import WHOLE, config_root, working_in
from stock_models.libraries import LIBRARIES, register_libraries

PLACEMENTS = ('paper', 'all')
# a model of more takes memory that two of them side by side may not have
MOST_PARAMETERS = 400_000_000
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
    gc.collect()  # the model before, whose tensors may be gigabytes
    row = describe(stock_model) | dict(
        start_beta=f'{Start().beta:g}', commit=environment('cpu')['commit'])
    if stock_model.model is None:
        return row | dict(stock=stock_model.error)
    stock_model = stock_model._replace(model=shrink(stock_model.model))
    library = stock_model.package in LIBRARIES
    # some models read 'configs/...' for a teacher
    with contextlib.nullcontext() if library else working_in(
            config_root(stock_model.package).parent):
        try:
            with _limited(timeout):
                _require_memory(stock_model)
                stock = build_stock(stock_model.package, stock_model.model)
                row |= dict(parameters=sum(
                    p.numel() for p in stock.parameters()))
                if stock_model.package not in WHOLE:
                    _require_activations(stock)
        except Exception as error:
            return row | dict(stock=reason(error))
        row |= dict(stock='pass')
        for placement in placements:
            try:
                with _limited(timeout):
                    row |= check_placement(stock_model, stock, placement)
                row[placement] = 'pass'
            except Exception as error:
                row[placement] = reason(error)
    return row


def _require_memory(stock_model: StockModel) -> None:
    """Count the parameters before there are any."""
    if stock_model.package in WHOLE:
        return
    try:
        with torch.device('meta'):
            model = build_stock(stock_model.package, stock_model.model)
    except Exception:
        return  # some read a number of a tensor when building
    count = sum(p.numel() for p in model.parameters())
    if count > MOST_PARAMETERS:
        raise MemoryError(f'{count / 1e6:.0f} million parameters')


def _require_activations(stock: nn.Module) -> None:
    """Run a stock module, and refuse it if nothing could be swapped."""
    training, feed, _ = on_sound_weights(
        lambda: first_run(stock), stock, stock, stock)[0]
    with torch.no_grad(), kept(stock), Watch(stock) as watch:
        stock.train(training)
        stock(*feed.arguments(next(stock.parameters()).dtype))
    # MMCV's Swish is made of operators that are no activations
    if not watch.ran and not any(map(is_activation, stock.modules())):
        raise NotImplementedError('no activation runs in it')


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
    package = stock_model.package
    whole = package in WHOLE
    return dict(
        package=package, version=version(distribution_of(package)),
        config=stock_model.configs[0], configs=len(stock_model.configs),
        model=cfg.get('type', ''),
        backbone=next(_types(cfg, 'backbone'), '') if whole
        else cfg.get('type', ''),
        parts=' '.join(sorted(set(_types(cfg)))) if whole
        else cfg.get('type', ''))


def check_placement(stock_model: StockModel, stock: nn.Module,
                    placement: str) -> dict[str, object]:
    """All four checks of one placement.

    Raises:
        AssertionError: One does not hold; the message says which.
    """
    model = build_with_acon(  # (1)
        stock_model.package,
        with_override(stock_model.model, placement, stock_model.package),
        stock)
    assert acon_modules(model), '(1) nothing is swapped'
    with kept(stock):  # the norms' statistics
        deviation, own_backbone = _check_outputs(  # (2)
            stock_model, stock, model)
        step, own_step = on_sound_weights(  # (3), (4)
            lambda: check_training_step(stock_model, stock, model),
            stock, model)
    own = ' '.join(['(2)'] * own_backbone + ['(3)'] * own_step)
    return {f'{placement}_swapped': len(acon_modules(model)),
            f'{placement}_deviation': deviation,
            f'{placement}_step': step + (f', own start at {own}' if own
                                         else '')}


def _check_outputs(stock_model: StockModel, stock: nn.Module,
                   model: nn.Module) -> tuple[str, bool]:
    part = compared_part(stock)
    key = (type(part), text(stock_model.model.get('backbone')), *(
        (path, repr(act), str(act.start))
        for path, act in acon_modules(compared_part(model) or model).items()))
    if key in _compared:
        return _compared[key], False
    deviation, own = on_sound_weights(
        lambda: check_outputs(stock, model), stock, model, part)
    shown = '' if deviation is None else f'{deviation.start:.2g}'
    if not own and 'backbone' in stock_model.model:
        _compared[key] = shown
    return shown, own


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


def prepare_process(jobs: int = 1) -> None:
    """One thread, no chatter, and the libraries that are installed.

    Args:
        jobs (int): Processes that share three quarters of the memory: a
            model that needs more than a process's part gets its row, and
            the others go on.
    """
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    memory = memory * 3 // 4 // jobs
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        memory = min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, hard))
    make_importable()
    register_libraries()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel('ERROR')
