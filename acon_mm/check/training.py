"""A training step reaches every new parameter of a model."""
import contextlib
import time
from collections.abc import Callable, Iterator

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from acon_mm.check.build import compared_part
from acon_mm.check.compare import tensors
from acon_mm.check.inputs import (
    Feed,
    feeds,
    image_channels,
    images,
    sizes,
)
from acon_mm.check.limit import acon_modules
from acon_mm.check.subject import StockModel
from acon_mm.check.weights import is_by_the_weights
from acon_mm.probe.batches import training_batch

OPTIM_WRAPPER = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0., flat_decay_mult=0.))
# how a step is run: a model of OpenMMLab by its mode and the images' size,
# any other module by its arguments
Step = tuple[str, int] | Feed
# the step that a model ran with
_worked: dict[tuple[str, str], Step] = {}


def check_training_step(stock_model: StockModel, stock: nn.Module,
                        model: nn.Module) -> str:
    """(3) a step gives every new parameter a finite gradient; (4) the
    optimizer builds with ``paramwise_cfg``.

    The stock layers get no gradients, which would cost half of the step,
    unless a new parameter has none: then the stock layers beside it must
    have none either (YOLOv3 never reads the last layer of MobileNetV2).

    Returns:
        str: 'loss'; 'tensor' where the loss is the mean of what the model
        returns, since it cannot compute one of its own on the drawn batch,
        'backbone' where only that runs; 'frozen' where nothing new trains;
        'no backward pass of the stock model' (DNLNet's on PyTorch 2.1).
    """
    model.train()
    ours = [p for act in acon_modules(model).values()
            for p in act.parameters() if p.requires_grad]
    if not ours:  # in a frozen backbone (SAN's), as it should be
        return 'frozen'
    try:
        wrapper = build_optim_wrapper(model, OPTIM_WRAPPER)
    except ValueError:
        # layers that the stock model shares between its parts
        assert not _optimizer_builds(stock), '(4) the optimizer fails to build'
        wrapper = build_optim_wrapper(model, OPTIM_WRAPPER | dict(
            paramwise_cfg=dict(OPTIM_WRAPPER['paramwise_cfg'],
                               bypass_duplicate=True)))
    wrapper.zero_grad()
    # RevViT's gradients want those of the stock layers as well
    for trained in (_alone(ours, model), contextlib.nullcontext()):
        with trained:
            step, loss = _loss(stock_model, stock, model)
            if not isinstance(loss, Tensor):
                continue
            try:
                loss.backward()
            except RuntimeError:
                if _runs_backward(stock_model, stock):
                    raise
                return 'no backward pass of the stock model'
            break
    for path, act in acon_modules(model).items():
        for name, parameter in act.named_parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all(
            ), f'(3) gradient of {path}.{name} is not finite'
    dead = without_gradient(stock_model, stock, model)
    assert not dead, f'(3) {dead[0]} has no gradient'
    wrapper.step()
    return step


def without_gradient(stock_model: StockModel, stock: nn.Module,
                     model: nn.Module) -> list[str]:
    """New parameters, one of each activation, that a step did not reach.

    Those of layers that a step of the stock model does not train are none.
    """
    unused = {}
    for path, act in acon_modules(model).items():
        for name, parameter in act.named_parameters():
            if parameter.grad is None and parameter.requires_grad:
                unused.setdefault(path, name)
    if not unused:
        return []
    used = _used_layers(stock_model, stock)
    return [f'{path}.{name}' for path, name in unused.items() if used(path)]


def milliseconds(stock_model: StockModel, stock: nn.Module,
                 models: list[nn.Module], times: int = 3) -> list[float]:
    """The shortest of some training steps of each model, in turns."""
    best = [float('inf')] * len(models)
    for _ in range(times):
        for i, model in enumerate(models):
            model.train()
            start = time.perf_counter()
            _loss(stock_model, stock, model)[1].backward()
            best[i] = min(best[i], (time.perf_counter() - start) * 1e3)
    return best


def loss_of(stock_model: StockModel, stock: nn.Module,
            model: nn.Module) -> Tensor:
    """Of a training step, without taking it."""
    return _loss(stock_model, stock, model)[1]


def _used_layers(stock_model: StockModel,
                 stock: nn.Module) -> Callable[[str], bool]:
    """Whether a step of the stock model trains the layers around a path."""
    stock.train()
    stock.zero_grad()
    _loss(stock_model, stock, stock)[1].backward()
    modules = dict(stock.named_modules())

    def used(path: str) -> bool:
        around = []
        while not around:
            path = path.rpartition('.')[0]
            if path in modules:
                around = list(modules[path].parameters())
        return any(p.grad is not None for p in around)

    return used


def _runs_backward(stock_model: StockModel, stock: nn.Module) -> bool:
    try:
        _loss(stock_model, stock, stock.train())[1].backward()
    except RuntimeError:
        return False
    return True


@contextlib.contextmanager
def _alone(parameters: list[nn.Parameter],
           model: nn.Module) -> Iterator[None]:
    """Train these parameters and no other."""
    trained = {id(p) for p in parameters}
    others = [p for p in model.parameters()
              if p.requires_grad and id(p) not in trained]
    for parameter in others:
        parameter.requires_grad_(False)
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


def _steps(stock_model: StockModel, stock: nn.Module) -> Iterator[Step]:
    """Ways to run a step, the one that worked before first."""
    config = stock_model.package, stock_model.configs[0]
    if config in _worked:  # at the other placement
        yield _worked[config]
    if not isinstance(stock, BaseModel):
        yield from feeds(stock)
        return
    modes = ('loss', 'tensor', 'images') if stock_model.package in (
        'mmdet', 'mmseg') else ('images', )
    for mode in modes:
        for size in sizes(stock):
            yield mode, size
    yield from feeds(compared_part(stock) or stock)


def _loss(stock_model: StockModel, stock: nn.Module,
          model: nn.Module) -> tuple[str, Tensor]:
    """How the loss was computed, and the loss."""
    failure = None
    for step in _steps(stock_model, stock):
        try:
            loss = _forward(stock_model, model, step)
            _worked[stock_model.package, stock_model.configs[0]] = step
            return _name(step, model), loss
        except Exception as error:
            if is_by_the_weights(error):
                raise  # at every size
            failure = failure or error.with_traceback(None)
            try:
                _forward(stock_model, stock.train(), step)
            except Exception:
                continue  # the stock model cannot either
            raise
    raise failure


def _name(step: Step, model: nn.Module) -> str:
    if isinstance(step, Feed):
        return 'backbone' if isinstance(model, BaseModel) else 'tensor'
    return 'loss' if step[0] == 'loss' else 'tensor'


def _forward(stock_model: StockModel, model: nn.Module,
             step: Step) -> Tensor:
    torch.manual_seed(0)
    if isinstance(step, Feed):
        dtype = next(model.parameters()).dtype
        outputs = (compared_part(model) or model)(*step.arguments(dtype))
    elif step[0] == 'images':
        outputs = model(images(step[1], step[1], image_channels(model)),
                        None, mode='tensor')
    else:
        model = getattr(model, 'student', model)  # of semi-supervised ones
        batch = training_batch(model, step[1], torch.device('cpu'))
        MessageHub.get_current_instance().update_info('epoch', 0)  # for TOOD
        outputs = model(**batch, mode=step[0])
    loss = sum(t.mean() for t in tensors(outputs)
               if t.requires_grad or not torch.is_grad_enabled())
    if not torch.as_tensor(loss).isfinite():
        # its gradient would crash the deformable convolutions of the CPU
        raise FloatingPointError(f'the loss is {loss}')
    return loss
