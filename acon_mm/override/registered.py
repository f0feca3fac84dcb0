"""Which activations are registered in a model, and which of them are ours."""
from collections.abc import Iterator

import torch.nn as nn

from acon_mm.base import AconBase
from acon_mm.override.kinds import start_of
from acon_mm.override.per_width import ActPerWidth

# what an override puts on a seat
PLACED = (AconBase, ActPerWidth)


def is_activation(module: nn.Module | None) -> bool:
    """Whether the override could replace it, or has put it there."""
    return isinstance(module, PLACED) or start_of(module) is not None


def activations(model: nn.Module) -> Iterator[
        tuple[str, nn.Module, str, nn.Module]]:
    """Path, owner, name and object of each registered activation.

    What an override has placed counts, what is inside of that does not.
    """
    placed = placed_parts(model)
    for path, owner in model.named_modules():
        if id(owner) in placed:
            continue
        for name, act in owner._modules.items():
            if is_activation(act):
                yield f'{path}.{name}'.lstrip('.'), owner, name, act


def placed_parts(model: nn.Module) -> set[int]:
    """``id`` of each module of what an override has put into ``model``."""
    return {id(part) for module in model.modules()
            if isinstance(module, PLACED) for part in module.modules()}
