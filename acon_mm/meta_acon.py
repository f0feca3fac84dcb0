"""Meta-ACON: ACON-C whose switch is computed from the input."""
from typing import Any, Optional

import torch
import torch.nn as nn
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor
from torch.nn.modules.instancenorm import _InstanceNorm

from acon_mm.base import AconBase, init_slopes, new_parameter
from acon_mm.beta_net import (
    OnePixelConv2d,
    beta_net,
    plain_net,
    takes_one_pixel,
)
from acon_mm.functional import acon, channel_mean, meta
from acon_mm.functional.net import Norm
from acon_mm.functional.norm import apply, kernels_for
from acon_mm.functional.torch_versions import sigmoid
from acon_mm.functional.tracing import is_symbolic
from acon_mm.norms import build_norm
from acon_mm.own_stream import draws_apart
from acon_mm.registry import MODELS
from acon_mm.starts import is_number

for _name in ('acon', 'channel_mean', 'sigmoid'):
    torch.fx.wrap(_name)  # a symbolic trace has them, not what is inside

LEVELS = ('channel', 'layer', 'pixel')


@ROOT_MODELS.register_module()
@MODELS.register_module()
class MetaAconC(AconBase):
    """Meta-ACON-C: :class:`AconC` with ``beta = G(x)`` (Sec. 3.3, Tab. 2).

    The design space of G in the paper, by ``level``:

    - 'channel' (the paper's choice): ``sigmoid(W2 W1 mean_hw(x))`` with a
      norm after each 1x1 convolution and nothing between the two;
    - 'layer': ``sigmoid(sum_chw(x))``, one beta a sample;
    - 'pixel': ``sigmoid(x)``, one beta an element.

    Args:
        num_channels (int, optional): As in :class:`AconBase`.
        r (int): Reduction of the beta net; its hidden width is
            ``max(r, C // r)``. Defaults to 16.
        level (str): 'channel', 'layer' or 'pixel'. Defaults to 'channel'.
        norm_cfg (dict, optional): Norm of the beta net, which sees one value
            a channel and image; None for no norm. Defaults to
            ``dict(type='BN')``.
        beta_scale (float, optional): ``beta = beta_scale * sigmoid(...)``.
            None: 1, the paper's; with ``init='match'`` twice the beta of the
            activation to match, with a beta in ``start`` twice that, since a
            sigmoid starts at one half.
        channel_dim (int): As in :class:`AconBase`.
        init (str): As in :class:`AconBase`; 'match' also starts the net's
            last layer at zero, so that beta starts the same for every image.
        start (dict, optional): As in :class:`AconBase`; its beta is positive.

    Shape:
        As :class:`AconA`.

    Attributes:
        p1, p2 (nn.Parameter): (C,).
        fc1, bn1, fc2, bn2 (nn.Module): The beta net of level 'channel'.

    Raises:
        ValueError: ``r`` or ``beta_scale`` not positive, an unknown
            ``level``, a norm that does not take images of one pixel, a beta
            in ``start`` that is not positive or beside ``beta_scale``.

    ``beta_scale`` is also an attribute, the factor in force.

    A training batch of one image has no batch statistics; it is normalized
    by the running ones, and inference never depends on the batch.
    """

    __jit_unused_properties__ = ['takes_affine']

    def __init__(self,
                 num_channels: int | None = None,
                 r: int = 16,
                 level: str = 'channel',
                 norm_cfg: dict | None = dict(type='BN'),
                 beta_scale: float | None = None,
                 **kwargs: Any) -> None:
        if isinstance(r, bool) or not isinstance(r, int) or r < 1:
            raise ValueError(f'r={r!r} of MetaAconC must be a positive '
                             'integer: the paper uses 16.')
        if level not in LEVELS:
            raise ValueError(f'level={level!r} of MetaAconC is unknown: '
                             f'choose one of {", ".join(LEVELS)}.')
        if beta_scale is not None and (
                not is_number(beta_scale) or beta_scale <= 0):
            raise ValueError(
                f'beta_scale={beta_scale!r} of MetaAconC must be a positive '
                "number: leave it out for the paper's 1.")
        # before nn.Module.__init__, which builds the net if C is given
        self.r = r
        self.level = level
        self.norm_cfg = norm_cfg
        self.given_scale = beta_scale
        self.beta_scale = beta_scale or 1.
        super().__init__(num_channels, **kwargs)
        beta = self.given_start.get('beta')
        if beta is not None and (beta <= 0 or beta_scale is not None):
            raise ValueError(
                f'start of MetaAconC has beta={beta!r}: give a positive one, '
                'and no beta_scale beside it.')

    def build_parameters(self, num_channels: int) -> None:
        self.p1 = new_parameter(num_channels)
        self.p2 = new_parameter(num_channels)
        if self.level != 'channel':
            return
        hidden = max(self.r, num_channels // self.r)
        # conv-norm-conv-norm is the order that mmcv's fuse_conv_bn folds
        self.fc1 = OnePixelConv2d(num_channels, hidden, 1)
        self.bn1 = self._build_norm(hidden)
        self.fc2 = OnePixelConv2d(hidden, num_channels, 1)
        self.bn2 = self._build_norm(num_channels)

    def _build_norm(self, width: int) -> nn.Module:
        if self.norm_cfg is None:
            return nn.Identity()
        norm = build_norm(self.norm_cfg, width, 'MetaAconC')
        if isinstance(norm, _InstanceNorm):
            raise ValueError(
                f'norm_cfg={self.norm_cfg} of MetaAconC needs more than the '
                'one pixel that its beta net sees: use BN, GN, LN or None.')
        if not takes_one_pixel(norm, width):
            raise ValueError(
                f'norm_cfg={self.norm_cfg} of MetaAconC cannot take the '
                f'(N, {width}, 1, 1) of its beta net: use BN, GN, LN or '
                'None.')
        return norm

    @draws_apart
    def init_weights(self) -> None:
        init_slopes(self)
        if self.given_scale is None:
            # a sigmoid starts at one half; the paper has no scale
            beta = self.given_start.get(
                'beta', self.start.beta if self.init == 'match' else .5)
            if isinstance(beta, Tensor):
                raise ValueError(
                    'MetaAconC has one beta_scale for all channels and '
                    'cannot start like a PReLU with slopes on both sides of '
                    "1: use AconC or init='paper'.")
            self.beta_scale = 2. * beta
        if self.level != 'channel':
            return
        for conv in (self.fc1, self.fc2):
            conv.reset_parameters()
        for norm in (self.bn1, self.bn2):
            if hasattr(norm, 'reset_parameters'):
                norm.reset_parameters()
        if self.init == 'match':
            last = self.fc2 if isinstance(self.bn2, nn.Identity) else self.bn2
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def train(self, mode: bool = True) -> 'MetaAconC':
        """Also leave the statistics of a net that is frozen as they are."""
        super().train(mode)
        if not any(p.requires_grad for p in self.parameters()):
            for module in self.children():
                module.eval()
        return self

    @property
    def takes_affine(self) -> bool:  # type: ignore[override]
        """Whether beta can be told without a norm's output."""
        return self.level == 'channel'

    @torch.jit.unused
    def _net(self) -> tuple[nn.Module, ...]:
        """Modules of the beta net of level 'channel', in their order."""
        own = self._modules  # asking for attributes takes longer
        return own['fc1'], own['bn1'], own['fc2'], own['bn2']

    def forward(self,
                x: Tensor,
                scale: Optional[Tensor] = None,
                shift: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            y = self.of_other(x)
            if y is not None:
                return y
            if self.level == 'channel' and not is_symbolic(x):
                parameters = (self.p1, self.p2, scale, shift)
                kernels = meta.kernels_for(x)
                net = None if kernels is None else plain_net(
                    x, self.channel_dim, parameters, self._net(),
                    self.beta_scale)
                if kernels is not None and net is not None:
                    return meta.acon(kernels, x, *parameters, net,
                                     self.channel_dim)
        return acon(x, self.p1, self.p2, self.compute_beta(x, scale, shift),
                    self.channel_dim, scale, shift)

    def after_norm(self, x: Tensor, norm: Norm) -> Tensor | None:
        if self.level != 'channel':
            return None
        self.check_input(x)
        net = plain_net(x, self.channel_dim, (self.p1, self.p2, None, None),
                        self._net(), self.beta_scale)
        kernels = net and kernels_for(x, norm, net, self.channel_dim)
        return kernels and apply(kernels, x, self.p1, self.p2, None, norm,
                                 net, self.channel_dim)

    def compute_beta(self,
                     x: Tensor,
                     scale: Optional[Tensor] = None,
                     shift: Optional[Tensor] = None) -> Tensor:
        """Switch of an input: (N, C), (N, 1) or x's shape, by ``level``."""
        if self.level == 'pixel':
            return self.beta_scale * sigmoid(x)
        if self.level == 'layer':
            total = x.flatten(1).sum(1, keepdim=True)
            return self.beta_scale * sigmoid(total)
        mean = channel_mean(x, self.channel_dim)
        if scale is not None and shift is not None:
            mean = (mean * scale + shift).to(x.dtype)
        if torch.jit.is_scripting():
            # the other levels, which returned above, have no net to script
            if hasattr(self, 'fc1'):
                mean = mean.unsqueeze(-1).unsqueeze(-1)
                mean = self.bn2(self.fc2(self.bn1(self.fc1(mean)))).flatten(1)
            return self.beta_scale * sigmoid(mean)
        else:
            return beta_net(mean, self._net(), self.beta_scale)

    def extra_repr(self) -> str:
        return (f'{super().extra_repr()}, level={self.level!r}, r={self.r}, '
                f'beta_scale={self.beta_scale:g}')
