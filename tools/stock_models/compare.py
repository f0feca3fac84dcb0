"""What a model with the override must share with the stock one."""
import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from acon_mm.activations import Start
from acon_mm.override import kinds
from stock_models.build import acon_modules, backbone_of
from stock_models.configs import StockModel
from stock_models.inputs import image_channels, images, training_batch
from stock_models.weights import is_by_the_weights, kept

# images that give every level of a pyramid a pixel; larger where they fail
SIZES = (64, 128, 256, 320, 512)
# (height, width) for the backbone: neither side nor the number of pixels is
# that of the training step's 64 x 64, so that an activation which takes one
# of them for the channels cannot fit both
SHAPES = ((96, 128), (128, 256), (256, 384))
OPTIM_WRAPPER = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0., flat_decay_mult=0.))
# beta at which ReLU and its relatives are met to within rounding
SHARP_BETA = 1e12
# functions that ACON meets less closely, by the beta it starts with
EXACT = {
    kinds.GELU_BETA: nn.functional.gelu,
    kinds.HARDSWISH_BETA: nn.functional.hardswish,
    kinds.MISH_BETA: nn.functional.mish,
}
# how far the backbone's output may then be from the stock one's: mean
# difference over the output's standard deviation
TOLERANCE = 0.01
# mode and size that a model ran with
_worked: dict[tuple[str, str], tuple[str, int]] = {}


def check_backbone(stock: nn.Module, model: nn.Module) -> str:
    """(2) With ``init='match'`` the backbone computes what the stock does.

    Each new activation runs once more as close as ACON can come to what it
    replaces, or as that itself, which shows that it sits in the right place.

    Returns:
        str: Mean deviation of the default start over the standard deviation
        of the output.

    Raises:
        AssertionError: The outputs differ.
        FloatingPointError: The stock backbone's tell nothing.
    """
    ours, theirs = backbone_of(model), backbone_of(stock)
    if ours is None or not acon_modules(ours):
        return ''
    default, sharp = _compare_backbones(theirs, ours)
    if not sharp <= TOLERANCE:  # norms of few pixels amplify the rounding
        try:
            sharp = _compare_backbones(theirs.double(), ours.double())[1]
        finally:
            theirs.float(), ours.float()
    assert sharp <= TOLERANCE, f'(2) backbone deviates by {sharp:.2g}'
    assert math.isfinite(default), f'(2) backbone deviates by {default}'
    return f'{default:.2g}'


def _compare_backbones(theirs: nn.Module,
                       ours: nn.Module) -> tuple[float, float]:
    """Deviations at the default start and at the closest."""
    training, shape, expected = _first_run(theirs)
    default = _deviation(_run(ours, training, shape), expected)
    acts = acon_modules(ours).values()
    starts = [act.start for act in acts]
    exact = dict(EXACT)
    if any(isinstance(module, nn.ReLU6) for module in theirs.modules()):
        exact[Start().beta] = nn.functional.relu6  # ACON does not saturate
    for act in acts:
        if act.start.beta in exact:
            act.forward = exact[act.start.beta]
        elif act.start.beta == Start().beta:
            act.start_like(act.start._replace(beta=SHARP_BETA))
    sharp = _deviation(_run(ours, training, shape), expected)
    for act, start in zip(acts, starts):
        act.__dict__.pop('forward', None)
        act.start_like(start)
    return default, sharp


def check_training_step(stock_model: StockModel, stock: nn.Module,
                        model: nn.Module) -> str:
    """(3) a step gives every new parameter a finite gradient; (4) the
    optimizer builds with ``paramwise_cfg``.

    The stock layers get no gradients, which would cost half of the step,
    unless a new parameter has none: then the stock layers beside it must
    have none either (YOLOv3 never reads the last layer of MobileNetV2).

    Returns:
        str: 'loss'; 'tensor' where the stock model itself cannot compute
        its loss on the drawn batch; 'frozen' where nothing new trains.
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
    ours = [p for act in acon_modules(model).values()
            for p in act.parameters() if p.requires_grad]
    if not ours:  # in a frozen backbone (SAN's), as it should be
        return 'frozen'
    with _alone(ours, model):
        step, loss = _loss(stock_model, stock, model)
        wrapper.zero_grad()
        loss.backward()
    unused = {}
    for path, act in acon_modules(model).items():
        for name, parameter in act.named_parameters():
            if parameter.grad is not None:
                assert parameter.grad.isfinite().all(), (
                    f'(3) gradient of {path}.{name} is not finite')
            elif parameter.requires_grad:
                unused.setdefault(path, name)
    if unused:
        used = _used_layers(stock_model, stock)
        for path, name in unused.items():
            assert not used(path), f'(3) {path}.{name} has no gradient'
    wrapper.step()
    return step


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


def _sizes(model: nn.Module) -> list[int]:
    """Sizes to try; some transformers take images of one size alone."""
    fixed = {getattr(module, 'img_size', None) for module in model.modules()}
    return [*SIZES, *{size[0] for size in fixed if isinstance(size, tuple)},
            *{size for size in fixed if isinstance(size, int)}]


def _loss(stock_model: StockModel, stock: nn.Module,
          model: nn.Module) -> tuple[str, Tensor]:
    """How the loss was computed, and the loss."""
    sizes = _sizes(stock)
    attempts = [(mode, size) for mode in ('loss', 'tensor') for size in sizes]
    config = stock_model.package, stock_model.configs[0]
    if config in _worked:  # at the other placement
        attempts.insert(0, _worked[config])
    failure = None
    for mode, size in attempts:
        try:
            loss = _forward(stock_model, model, mode, size)
            _worked[config] = mode, size
            return mode, loss
        except Exception as error:
            if is_by_the_weights(error):
                raise  # at every size
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
    MessageHub.get_current_instance().update_info('epoch', 0)  # for TOOD
    loss = sum(_scalars(model(**batch, mode=mode)))
    if not torch.as_tensor(loss).isfinite():
        # its gradient would crash the deformable convolutions of the CPU
        raise FloatingPointError(f'the loss is {loss}')
    return loss


def _first_run(
        backbone: nn.Module) -> tuple[bool, tuple[int, int], list[Tensor]]:
    """Mode and shape of image that the backbone runs in, and its outputs.

    Norms by the batch's statistics keep the signal of random weights alive;
    a norm may forbid them (``eps=0`` of NAS-FCOS).
    """
    failures = []
    shapes = [*SHAPES, *((size, size) for size in _sizes(backbone))]
    for training in (True, False):
        for shape in shapes:
            try:
                outputs = _run(backbone, training, shape)
                _require_signal(outputs)
                return training, shape, outputs
            except Exception as error:
                failures.append(error)
                if is_by_the_weights(error):
                    break  # at every shape
    raise next(filter(is_by_the_weights, failures), failures[0])


def _require_signal(outputs: list[Tensor]) -> None:
    if not all(t.isfinite().all() for t in outputs):
        raise FloatingPointError('the stock backbone returns no number')
    if not any(t.std() > 0 for t in outputs):
        raise FloatingPointError('the stock backbone returns a constant')


def _run(backbone: nn.Module, training: bool,
         shape: tuple[int, int]) -> list[Tensor]:
    for module in backbone.modules():
        module.training = training
    torch.manual_seed(0)
    with torch.no_grad(), kept(backbone):  # the norms' statistics
        dtype = next(backbone.parameters()).dtype
        channels = image_channels(backbone)
        return list(_tensors(backbone(images(*shape, channels).to(dtype))))


def _deviation(ours: list[Tensor], theirs: list[Tensor]) -> float:
    assert [t.shape for t in ours] == [t.shape for t in theirs], (
        '(2) the backbone returns other shapes')
    # max() of Python may pass over what is no number
    return torch.stack([_distance(*pair) for pair in zip(ours, theirs)]
                       ).max().item()


def _distance(ours: Tensor, theirs: Tensor) -> Tensor:
    distance = (ours - theirs).abs().mean()
    return distance if distance == 0 else distance / theirs.std()


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
