"""Stock models, as they are and with the override."""
import contextlib
from collections.abc import Iterator

import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from acon_mm import backbones
from acon_mm.check.limit import acon_modules
from acon_mm.check.weights import fill, open_branches

# no initializer gives a parameter of this size
UNLIKELY = 1e4


def build_stock(package: str, model_cfg: dict) -> nn.Module:
    """The model of a stock config, with PyTorch's own random weights."""
    init_default_scope(package)
    torch.manual_seed(0)
    with _quick_init():
        model = MODELS.build(ConfigDict(model_cfg))
    for parameter in model.parameters():
        # memory that only a checkpoint fills (CLIP's text encoder)
        if not (parameter.abs() < UNLIKELY).all():
            fill(parameter, 0.02)
    part = compared_part(model)
    if part is not None:
        open_branches(part)
    return model


def with_override(model_cfg: dict, placement: str,
                  package: str = '') -> dict:
    """The config of a model of ``package`` with the one-line override."""
    name = model_cfg['type']
    if name in backbones.__all__:  # which are of acon_mm itself
        name = f'{package}.{name}'
    return model_cfg | dict(type=f'acon_mm.{name}', placement=placement)


def build_with_acon(package: str, model_cfg: dict,
                    stock: nn.Module) -> nn.Module:
    """A model with the override, on the weights of ``stock``.

    Raises:
        AssertionError: A tensor of ``stock`` has no partner of its name and
            shape, or a tensor that is no activation's is new.
    """
    init_default_scope(package)
    torch.manual_seed(0)  # a model may hide weights from `state_dict` (LoRA)
    with _quick_init():  # the override runs the model to see what it does
        model = MODELS.build(ConfigDict(model_cfg))
    ours = {id(t) for act in acon_modules(model).values()
            for t in act.state_dict(keep_vars=True).values()}
    old, new = stock.state_dict(), model.state_dict(keep_vars=True)
    extra = [name for name, tensor in new.items()
             if id(tensor) not in ours and name not in old]
    assert not extra, f'(1) new tensors outside activations: {extra[:3]}'
    slopes = {f'{name}.weight' for name, module in stock.named_modules()
              if isinstance(module, nn.PReLU)}
    lost = old.keys() - new.keys() - slopes
    assert not lost, f'(1) lost tensors of the stock model: {sorted(lost)[:3]}'
    # of another shape, say, if an activation took the name of a layer
    model.load_state_dict(old, strict=False)
    for act in acon_modules(model).values():
        act.init_weights()  # their nets began in the pool
    return model


def compared_part(model: nn.Module) -> nn.Module | None:
    """What of a model is compared: OpenMMLab's models by the backbone."""
    return backbone_of(model) if isinstance(model, BaseModel) else model


def backbone_of(model: nn.Module) -> nn.Module | None:
    """The first module called ``backbone``, the outermost."""
    for name, module in model.named_modules():
        if name.rpartition('.')[2] == 'backbone':
            return module
    return None


def _quick_kaiming_uniform(tensor: Tensor, *args, **kwargs) -> Tensor:
    """What layers start with, from a pool of random numbers."""
    fan_in = nn.init._calculate_correct_fan(tensor, 'fan_in')
    return fill(tensor, fan_in**-0.5)


@contextlib.contextmanager
def _quick_init() -> Iterator[None]:
    saved = nn.init.kaiming_uniform_
    nn.init.kaiming_uniform_ = _quick_kaiming_uniform
    try:
        yield
    finally:
        nn.init.kaiming_uniform_ = saved
