"""Stock models, as they are and with the override."""
import contextlib
from collections.abc import Iterator

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from acon_mm.activations import AconBase


def build_stock(package: str, model_cfg: dict) -> nn.Module:
    """The model of a stock config, with PyTorch's own random weights."""
    init_default_scope(package)
    torch.manual_seed(0)
    return MODELS.build(ConfigDict(model_cfg))


def build_with_acon(package: str, model_cfg: dict, placement: str,
                    stock: nn.Module) -> nn.Module:
    """The model with the one-line override, on the weights of ``stock``.

    Raises:
        AssertionError: A tensor of ``stock`` has no partner of its name and
            shape, or a tensor that is no activation's is new.
    """
    cfg = ConfigDict(model_cfg)
    cfg['type'] = f'acon_mm.{cfg["type"]}'
    cfg['placement'] = placement
    init_default_scope(package)
    with _no_random_weights():
        model = MODELS.build(cfg)
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
        act.init_weights()
    return model


def acon_modules(model: nn.Module) -> dict[str, AconBase]:
    """Activations of the ACON family by their paths."""
    return {name: module for name, module in model.named_modules()
            if isinstance(module, AconBase)}


def backbone_of(model: nn.Module) -> nn.Module | None:
    """The first module called ``backbone``, the outermost."""
    for name, module in model.named_modules():
        if name.rpartition('.')[2] == 'backbone':
            return module
    return None


@contextlib.contextmanager
def _no_random_weights() -> Iterator[None]:
    """Build quickly: the weights are loaded afterwards."""
    names = [name for name in vars(nn.init)
             if name.endswith('_') and not name.startswith('_')]
    saved = {name: getattr(nn.init, name) for name in names}
    for name in names:
        setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
    try:
        yield
    finally:
        for name, function in saved.items():
            setattr(nn.init, name, function)
