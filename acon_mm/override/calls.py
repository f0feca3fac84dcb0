"""What is noted of an activation that runs."""
import types
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.starts import Start


@dataclass
class Place:
    """Where a call is: an instruction of a method of a module.

    Attributes:
        caller (nn.Module, optional): ``self`` of the method; None if the
            call is in no method of a module of the model.
        method (FunctionType, optional): The method.
        traceback (TracebackType): The frame and the instruction in it.
    """
    caller: nn.Module | None
    method: types.FunctionType | None
    traceback: types.TracebackType

    @property
    def key(self) -> tuple:
        at = self.traceback
        return id(self.caller), at.tb_frame.f_code, at.tb_lasti


@dataclass
class Calls:
    """All calls of one activation from one place.

    Attributes:
        place (Place): Where.
        owner (nn.Module, optional): The module that the activation is
            registered in; None of a function or a module that is nowhere.
        name (str): Its name there, or the function's.
        start (Start, optional): How ACON begins like it; None where it
            cannot.
        stock (callable): What it computes, but not in place.
        act (nn.Module, optional): The activation, None of a function.
        inputs (list): Shape and channels' dimension, if that is known, of
            each input, one list for each run.
        inplace, by_keyword, overwritten (bool): Whether it changes its
            input; the input came by keyword; others change it later.
        batch_varies (bool): Whether two runs had batches of two sizes.
        gates (bool): Whether it bounds ``x + 3``, as a hard sigmoid does.
        layers (list[nn.Module]): Layers that ran before, the last first.
    """
    place: Place
    owner: nn.Module | None
    name: str
    start: Start | None
    stock: Callable[[Tensor], Tensor]
    act: nn.Module | None = None
    inputs: list[list[tuple[torch.Size, int | None]]] = field(
        default_factory=list)
    inplace: bool = False
    by_keyword: bool = False
    overwritten: bool = False
    batch_varies: bool = False
    gates: bool = False
    layers: list[nn.Module] = field(default_factory=list)
    tensors: list[tuple[Tensor, int]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Name of the activation's class, or of the function."""
        return self.name if self.act is None else type(self.act).__name__
