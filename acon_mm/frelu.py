"""Activations whose second branch looks at the neighbourhood.

FReLU is from "Funnel Activation for Visual Recognition" (ECCV 2020,
https://arxiv.org/abs/2007.11824). AconFReLU makes its maximum smooth, as
"Activate or Not: Learning Customized Activation" does for every maximum
(CVPR 2021, https://arxiv.org/abs/2009.04759, Sec. 3.1 and Tab. 1).
"""

from typing import Any

import torch
import torch.nn as nn
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor

from acon_mm.base import AconBase
from acon_mm.functional import acon
from acon_mm.norms import build_norm
from acon_mm.registry import MODELS


class FunnelBase(AconBase):
    """The funnel condition ``T(x) = BN(depthwise 3x3 (x))`` and its checks.

    Args:
        num_channels (int, optional): As in :class:`AconBase`.
        stride (int): 1, or 2 to halve the resolution: the convolution has
            this stride and x is max-pooled 3x3. Defaults to 1.
        norm_cfg (dict): Norm of the funnel. Defaults to ``dict(type='BN')``.
        init (str): 'paper' or 'match', which starts with T(x) = 0. Defaults
            to 'paper'.

    Raises:
        ValueError: ``stride`` is not 1 or 2, channels are not in dimension
            1, or a ``start`` is given for slopes that it does not have.
    """

    inits = ('paper', 'match')

    def __init__(self,
                 num_channels: int | None = None,
                 stride: int = 1,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs: Any) -> None:
        name = type(self).__name__
        if stride not in (1, 2):
            raise ValueError(f'stride={stride!r} of {name} must be 1 or 2.')
        if kwargs.get('channel_dim', 1) != 1:
            raise ValueError(
                f'channel_dim={kwargs["channel_dim"]!r} of {name} must be 1: '
                'it convolves images of shape (N, C, H, W).')
        if kwargs.get('start') is not None:
            raise ValueError(f'start={kwargs["start"]!r} of {name}: it has no '
                             'p1, p2 and beta, leave it out.')
        # before nn.Module.__init__, which builds the layers if C is given
        self.stride = stride
        self.norm_cfg = norm_cfg
        super().__init__(num_channels, **{'init': 'paper', **kwargs})

    def build_parameters(self, num_channels: int) -> None:
        self.conv = nn.Conv2d(
            num_channels,
            num_channels,
            kernel_size=3,
            stride=self.stride,
            padding=1,
            groups=num_channels,
            bias=False)
        self.bn1 = self.build_norm(num_channels)
        self.maxpool = (
            nn.MaxPool2d(3, stride=2, padding=1)
            if self.stride == 2 else nn.Identity())

    def build_norm(self, num_channels: int) -> nn.Module:
        """A norm of ``norm_cfg``."""
        return build_norm(self.norm_cfg, num_channels, type(self).__name__)

    def init_weights(self) -> None:
        self.conv.reset_parameters()
        self.bn1.reset_parameters()
        if self.init == 'match':
            nn.init.zeros_(self.bn1.weight)

    def funnel(self, x: Tensor) -> Tensor:
        """T(x), (N, C, H / stride, W / stride)."""
        return self.bn1(self.conv(x))


@ROOT_MODELS.register_module()
@MODELS.register_module()
class FReLU(FunnelBase):
    """``max(x, T(x))``, the baseline that :class:`AconFReLU` extends.

    ``init='match'`` starts as ReLU.

    Shape:
        Input (N, C, H, W), floating; output (N, C, H / stride, W / stride),
        rounded up.

    See :class:`FunnelBase` for the arguments.
    """

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return torch.maximum(self.maxpool(x), self.funnel(x))


@ROOT_MODELS.register_module()
@MODELS.register_module()
class AconFReLU(FunnelBase):
    """``BN(S_beta(x, T(x)))`` with beta = 1, the smooth FReLU (Tab. 1).

    ``init='match'`` starts as SiLU under a BN.

    Shape:
        As :class:`FReLU`.

    See :class:`FunnelBase` for the arguments.
    """

    def build_parameters(self, num_channels: int) -> None:
        super().build_parameters(num_channels)
        self.bn2 = self.build_norm(num_channels)

    def init_weights(self) -> None:
        super().init_weights()
        self.bn2.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        lower = self.funnel(x)
        # S(a, b) = S(a - b, 0) + b, and the first is a line through zero
        difference = self.maxpool(x) - lower
        return self.bn2(acon(difference, p1=1., p2=0., beta=1.) + lower)
