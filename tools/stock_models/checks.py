"""The four checks of one stock model under the override."""
import contextlib
import os
import signal
import warnings
from collections.abc import Iterator

import torch
from cpu_torchvision import make_importable
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from acon_mm.activations import Start
from acon_mm.override import kinds
from stock_models.build import (
    acon_modules,
    backbone_of,
    build_stock,
    build_with_acon,
)
from stock_models.configs import (
    StockModel,
    config_root,
    reason,
    shrink,
)
from stock_models.inputs import images, training_batch

PLACEMENTS = ('paper', 'all')
# images that give every level of a pyramid a pixel; larger where they fail
SIZES = (64, 128, 256, 512)
OPTIM_WRAPPER = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0., flat_decay_mult=0.))
# beta at which ReLU and its relatives are met to within 0.000003
SHARP_BETA = 1e5
# functions that ACON meets less closely, by the beta it starts with
EXACT = {
    kinds.GELU_BETA: nn.functional.gelu,
    kinds.HARDSWISH_BETA: nn.functional.hardswish,
    kinds.MISH_BETA: nn.functional.mish,
}
# how far the backbone's output may then be from the stock one's: mean
# difference over the output's standard deviation
TOLERANCE = 0.01


def check_model(stock_model: StockModel, timeout: int) -> dict[str, object]:
    """Build a stock model with and without the override and compare.

    Args:
        stock_model (StockModel): The model.
        timeout (int): Seconds that each placement may take.

    Returns:
        dict: A row of the table: 'pass' or the reason for each placement.
    """
    _be_quiet()
    row = describe(stock_model)
    try:
        if stock_model.model is None:
            return row | dict(stock=stock_model.error)
        # some models read 'configs/...' for a teacher
        os.chdir(config_root(stock_model.package).parent)
        stock_model = stock_model._replace(model=shrink(stock_model.model))
        with _limited(timeout):
            stock = build_stock(stock_model.package, stock_model.model)
    except Exception as error:
        return row | dict(stock=reason(error))
    row |= dict(stock='pass', parameters=sum(
        p.numel() for p in stock.parameters()))
    for placement in PLACEMENTS:
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
        parts=' '.join(sorted(set(_types(cfg)))))


def check_placement(stock_model: StockModel, stock: nn.Module,
                    placement: str) -> dict[str, object]:
    """All four checks of one placement.

    Raises:
        AssertionError: One does not hold; the message says which.
    """
    model = build_with_acon(  # (1)
        stock_model.package, stock_model.model, placement, stock)
    try:
        deviation, step = _compare(stock_model, stock, model)
    except Exception:
        # some compute nothing sensible with PyTorch's own random weights
        stock.init_weights()
        model.load_state_dict(stock.state_dict(), strict=False)
        deviation, step = _compare(stock_model, stock, model)
    return {f'{placement}_swapped': len(acon_modules(model)),
            f'{placement}_deviation': deviation,
            f'{placement}_step': step}


def _compare(stock_model: StockModel, stock: nn.Module,
             model: nn.Module) -> tuple[str, str]:
    deviation = check_backbone(stock, model)  # (2)
    return deviation, check_training_step(  # (3), (4)
        stock_model, stock, model)


def check_backbone(stock: nn.Module, model: nn.Module) -> str:
    """(2) With ``init='match'`` the backbone computes what the stock does.

    Each new activation runs once more as close as ACON can come to what it
    replaces, or as that itself, which shows that it sits in the right place.

    Returns:
        str: Mean deviation of the default start over the standard deviation
        of the output.
    """
    ours, theirs = backbone_of(model), backbone_of(stock)
    if ours is None or not acon_modules(ours):
        return ''
    training, size, expected = _first_run(theirs)
    default = _deviation(_run(ours, training, size), expected)
    acts = acon_modules(ours).values()
    starts = [act.start for act in acts]
    for act in acts:
        if act.start.beta in EXACT:
            act.forward = EXACT[act.start.beta]
        elif act.start.beta == Start().beta:
            act.start_like(act.start._replace(beta=SHARP_BETA))
    sharp = _deviation(_run(ours, training, size), expected)
    for act, start in zip(acts, starts):
        act.__dict__.pop('forward', None)
        act.start_like(start)
    assert sharp <= TOLERANCE, (
        f'(2) backbone deviates by {sharp:.2g}')
    return f'{default:.2g}'


def check_training_step(stock_model: StockModel, stock: nn.Module,
                        model: nn.Module) -> str:
    """(3) a step gives every new parameter a finite gradient; (4) the
    optimizer builds with ``paramwise_cfg``.

    The stock layers get no gradients, which would cost half of the step.

    Returns:
        str: 'loss', or 'tensor' where the stock model itself cannot compute
        its loss on the drawn batch.
    """
    model.train()
    try:
        wrapper = build_optim_wrapper(model, OPTIM_WRAPPER)
    except ValueError:
        # layers that the stock model shares between its parts
        assert not _optimizer_builds(stock), '(4) the optimizer fails to build'
        wrapper = build_optim_wrapper(model, OPTIM_WRAPPER | dict(
            paramwise_cfg=dict(OPTIM_WRAPPER['paramwise_cfg'],
                               bypass_duplicate=True)))
    with _acon_only(model):
        step, loss = _loss(stock_model, stock, model)
        wrapper.zero_grad()
        loss.backward()
        for path, act in acon_modules(model).items():
            for name, parameter in act.named_parameters():
                if not parameter.requires_grad:
                    continue
                assert parameter.grad is not None, (
                    f'(3) {path}.{name} has no gradient')
                assert parameter.grad.isfinite().all(), (
                    f'(3) gradient of {path}.{name} is not finite')
    wrapper.step()
    return step


@contextlib.contextmanager
def _acon_only(model: nn.Module) -> Iterator[None]:
    """Train the activations alone, as far as they are not frozen."""
    ours = {id(p) for act in acon_modules(model).values()
            for p in act.parameters()}
    others = [p for p in model.parameters()
              if p.requires_grad and id(p) not in ours]
    for parameter in others:
        parameter.requires_grad_(False)
    assert any(p.requires_grad for p in model.parameters()), (
        '(3) every new parameter is frozen')
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


def _optimizer_builds(model: nn.Module) -> bool:
    try:
        build_optim_wrapper(model, OPTIM_WRAPPER)
    except ValueError:
        return False
    return True


def _loss(stock_model: StockModel, stock: nn.Module,
          model: nn.Module) -> tuple[str, Tensor]:
    """How the loss was computed, and the loss."""
    failure = None
    for mode in ('loss', 'tensor'):
        for size in SIZES:
            try:
                return mode, _forward(stock_model, model, mode, size)
            except Exception as error:
                failure = failure or error
                try:
                    _forward(stock_model, stock.train(), mode, size)
                except Exception:
                    continue  # the stock model cannot either
                raise
    raise failure


def _forward(stock_model: StockModel, model: nn.Module, mode: str,
             size: int) -> Tensor:
    torch.manual_seed(0)
    model = getattr(model, 'student', model)  # of semi-supervised detectors
    batch = training_batch(
        model, stock_model.model, stock_model.package, size)
    return sum(_scalars(model(**batch, mode=mode)))


def _first_run(backbone: nn.Module) -> tuple[bool, int, list[Tensor]]:
    """Mode and image size that the backbone runs in, and its outputs.

    Norms by the batch's statistics keep the signal of random weights alive;
    a norm may forbid them (``eps=0`` of NAS-FCOS).
    """
    failure = None
    for training in (True, False):
        for size in SIZES:
            try:
                return training, size, _run(backbone, training, size)
            except Exception as error:
                failure = failure or error
    raise failure


def _run(backbone: nn.Module, training: bool, size: int) -> list[Tensor]:
    for module in backbone.modules():
        module.training = training
    torch.manual_seed(0)
    with torch.no_grad():
        return list(_tensors(backbone(images(size))))


def _deviation(ours: list[Tensor], theirs: list[Tensor]) -> float:
    assert [t.shape for t in ours] == [t.shape for t in theirs], (
        '(2) the backbone returns other shapes')
    return max(((a - b).abs().mean() / b.std()).item()
               for a, b in zip(ours, theirs))


def _tensors(value) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _scalars(value) -> Iterator[Tensor]:
    return (t.mean() for t in _tensors(value) if t.requires_grad)


def _types(cfg) -> Iterator[str]:
    """Types of the model and its parts: backbone, neck, heads."""
    if not isinstance(cfg, dict):
        return
    for key, value in cfg.items():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(part, dict) and (
                    'backbone' in key or 'neck' in key or 'head' in key):
                if isinstance(part.get('type'), str):
                    yield part['type']
                yield from _types(part)


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(*_):
        raise TimeoutError(f'took more than {seconds} s')

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _be_quiet() -> None:
    make_importable()  # for mmpretrain
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel('ERROR')
