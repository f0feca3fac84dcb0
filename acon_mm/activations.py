"""The ACON family as MMCV activation layers.

Every member is the smooth maximum of two linear functions of its input,
Eq. 2-5 of "Activate or Not: Learning Customized Activation" (CVPR 2021,
https://arxiv.org/abs/2009.04759); :func:`acon_mm.functional.acon` computes it.
"""
from typing import Any, Optional

import torch
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor

from acon_mm.base import AconBase, begin, init_slopes, new_parameter
from acon_mm.functional import acon
from acon_mm.own_stream import draws_apart
from acon_mm.registry import MODELS

torch.fx.wrap('acon')  # a symbolic trace has the op, not what is inside


@ROOT_MODELS.register_module()
@MODELS.register_module()
class AconA(AconBase):
    """ACON-A, ``x * sigmoid(beta * x)``: Swish with a learned beta (Eq. 3).

    Shape:
        Input and output (N, C, *), (N, C), or (N, L, C) with
        ``channel_dim=-1``; float16, bfloat16, float32 or float64. With
        ``scale`` and ``shift``, both (C,), of ``scale * x + shift``.

    Attributes:
        beta (nn.Parameter): (C,).

    See :class:`AconBase` for the arguments.
    """

    takes_affine = True
    fixed = dict(p1=1., p2=0.)

    def __init__(self,
                 num_channels: int | None = None,
                 channel_dim: int = 1,
                 init: str = 'paper',
                 start: dict | None = None,
                 **ignored: Any) -> None:
        super().__init__(num_channels, channel_dim, init, start, **ignored)

    def build_parameters(self, num_channels: int) -> None:
        self.beta = new_parameter(num_channels)

    def init_weights(self) -> None:
        self.check_slopes()
        begin(self.beta, self.first('beta'))

    def slopes(self) -> tuple[Tensor | float, ...]:
        return 1., 0., self.beta

    def forward(self,
                x: Tensor,
                scale: Optional[Tensor] = None,
                shift: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            y = self.of_other(x)
            if y is not None:
                return y
        return acon(x, 1., 0., self.beta, self.channel_dim, scale, shift)


@ROOT_MODELS.register_module()
@MODELS.register_module()
class AconB(AconBase):
    """ACON-B, ``(1 - p) x * sigmoid(beta (1 - p) x) + p x`` (Eq. 4).

    Shape:
        As :class:`AconA`.

    Attributes:
        p (nn.Parameter): Slope of the lower branch, (C,); p2 in a start.
        beta (nn.Parameter): (C,).

    See :class:`AconBase` for the arguments.
    """

    takes_affine = True
    fixed = dict(p1=1.)

    def build_parameters(self, num_channels: int) -> None:
        self.p = new_parameter(num_channels)
        self.beta = new_parameter(num_channels)

    @draws_apart
    def init_weights(self) -> None:
        self.check_slopes()
        begin(self.p, self.first('p2'))
        begin(self.beta, self.first('beta'))

    def slopes(self) -> tuple[Tensor | float, ...]:
        return 1., self.p, self.beta

    def forward(self,
                x: Tensor,
                scale: Optional[Tensor] = None,
                shift: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            y = self.of_other(x)
            if y is not None:
                return y
        return acon(x, 1., self.p, self.beta, self.channel_dim, scale,
                    shift)


@ROOT_MODELS.register_module()
@MODELS.register_module()
class AconC(AconBase):
    """ACON-C (Eq. 5): both slopes and the switch are learned.

    ``(p1 - p2) x * sigmoid(beta (p1 - p2) x) + p2 x``

    Shape:
        As :class:`AconA`.

    Attributes:
        p1, p2 (nn.Parameter): Slopes of the two branches, (C,).
        beta (nn.Parameter): The switch, (C,): 0 gives the mean of the two
            branches, infinity their maximum.

    See :class:`AconBase` for the arguments.
    """

    takes_affine = True

    def build_parameters(self, num_channels: int) -> None:
        self.p1 = new_parameter(num_channels)
        self.p2 = new_parameter(num_channels)
        self.beta = new_parameter(num_channels)

    @draws_apart
    def init_weights(self) -> None:
        init_slopes(self)
        begin(self.beta, self.first('beta'))

    def slopes(self) -> tuple[Tensor | float, ...]:
        return self.p1, self.p2, self.beta

    def forward(self,
                x: Tensor,
                scale: Optional[Tensor] = None,
                shift: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            y = self.of_other(x)
            if y is not None:
                return y
        return acon(x, self.p1, self.p2, self.beta, self.channel_dim, scale,
                    shift)
