"""The ACON family as MMCV activation layers.

Every member is the smooth maximum of two linear functions of its input,
Eq. 2-5 of "Activate or Not: Learning Customized Activation" (CVPR 2021,
https://arxiv.org/abs/2009.04759); :func:`acon_mm.functional.acon` computes it.
"""
from typing import NamedTuple, Optional

import torch
import torch.nn as nn
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor

from acon_mm import functional
from acon_mm.registry import MODELS

# MMEngine's record of an initialization, and what it says of a parameter
INIT_RECORD = '_params_init_info'
UNCHANGED, CHECKPOINT = 'The value is the same before and', ': load from '


class Start(NamedTuple):
    """Values that ``init='match'`` begins with; the default is near ReLU.

    ``x * sigmoid(beta * x)`` is at most ``0.2785 / beta`` away from ReLU.
    """
    p1: float | Tensor = 1.0
    p2: float | Tensor = 0.0
    beta: float = 30.0


class AconBase(nn.Module):
    """What the members share: the width, the start and the checks.

    Args:
        num_channels (int, optional): Width C of the input. None: learned when
            the layer is registered in a module whose width is known, e.g. as
            the activation of an MMCV ``ConvModule``.
        channel_dim (int): The channels' dimension. Defaults to 1; -1 for
            tokens (N, L, C) and channels-last tensors.
        init (str): 'paper' (p1, p2 ~ N(0, 1), beta = 1) or 'match' (near
            ReLU, or near the activation that the override replaces).

    Keys that MMCV or a base config merges in (``inplace`` and the like) are
    accepted and ignored.

    Raises:
        ValueError: ``num_channels`` not positive or unknown ``init`` when
            building; another number of channels in the input when running.
    """

    # whether forward also takes the scale and shift of a norm in front
    takes_affine = False

    def __init__(self,
                 num_channels: int | None = None,
                 channel_dim: int = 1,
                 init: str = 'paper',
                 **ignored) -> None:
        super().__init__()
        if init not in ('paper', 'match'):
            raise ValueError(
                f"init={init!r} is unknown: choose 'paper' or 'match'.")
        self.num_channels: int | None = None
        self.channel_dim = channel_dim
        self.init = init
        self.start = Start()
        if num_channels is not None:
            self.bind(num_channels)

    def bind(self, num_channels: int) -> None:
        """Fix the width and create the parameters."""
        name = type(self).__name__
        if isinstance(num_channels, bool) or not isinstance(
                num_channels, int) or num_channels < 1:
            raise ValueError(f'num_channels={num_channels!r} of {name} must be'
                             " a positive integer: give the input's width.")
        if self.num_channels not in (None, num_channels):
            raise ValueError(
                f'{name} of {self.num_channels} channels cannot serve a layer '
                f'of {num_channels}: leave num_channels out, or build one '
                'activation for each layer.')
        if self.num_channels is None:
            self.num_channels = num_channels
            self.build_parameters(num_channels)
            self.init_weights()

    def build_parameters(self, num_channels: int) -> None:
        """Create the parameters, each of shape (C,)."""
        raise NotImplementedError

    def init_weights(self) -> None:
        """Set the start; MMEngine calls it after the parent's own."""
        raise NotImplementedError

    def __delattr__(self, name: str) -> None:
        """Begin as what was replaced, after ``init_weights`` of the model.

        ``init_cfg`` of a parent and a head's loop over its convolutions
        and norms change the beta net as well: with ``init='paper'`` that is
        how a model trains from scratch, with 'match' the start is lost.
        MMEngine keeps a record of what set each parameter and takes it away
        at the end.
        """
        record = vars(self).get(name) if name == INIT_RECORD else None
        super().__delattr__(name)
        if record is None or self.init != 'match':
            return
        sources = [record[p]['init_info'] for p in self.parameters()
                   if p in record]
        if not all(s.startswith(UNCHANGED) for s in sources) and not any(
                CHECKPOINT in s for s in sources):
            self.init_weights()

    def start_like(self, start: Start) -> None:
        """Begin as the activation that ``start`` describes."""
        self.start = start
        if self.num_channels is not None:
            self.init_weights()

    @torch.jit.unused
    def check_input(self, x: Tensor) -> None:
        """Refuse an input of another width."""
        if self.num_channels is None:
            raise ValueError(
                f'{type(self).__name__} does not know its width: build it '
                'with num_channels=C.')
        if x.dim() < 2:
            raise ValueError(
                f'{type(self).__name__} got an input of shape '
                f'{tuple(x.shape)}: give at least two dimensions, (N, C).')
        if x.size(self.channel_dim) != self.num_channels:
            raise ValueError(
                f'{type(self).__name__} of {self.num_channels} channels got '
                f'an input of shape {tuple(x.shape)} with '
                f'{x.size(self.channel_dim)} channels in dimension '
                f'{self.channel_dim}: set num_channels or channel_dim.')

    def extra_repr(self) -> str:
        dim = '' if self.channel_dim == 1 else (
            f', channel_dim={self.channel_dim}')
        return f'{self.num_channels}{dim}, init={self.init!r}'


def new_parameter(num_channels: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(num_channels))


def _set(parameter: nn.Parameter, value: float | Tensor) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(value))


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

    def build_parameters(self, num_channels: int) -> None:
        self.beta = new_parameter(num_channels)

    def init_weights(self) -> None:
        if self.init == 'match':
            require_slopes(self, p1=1., p2=0.)
        _set(self.beta, self.start.beta if self.init == 'match' else 1.)

    def forward(self,
                x: Tensor,
                scale: Optional[Tensor] = None,
                shift: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            self.check_input(x)
        return functional.acon(x, 1., 0., self.beta, self.channel_dim, scale,
                               shift)


@ROOT_MODELS.register_module()
@MODELS.register_module()
class AconB(AconBase):
    """ACON-B, ``(1 - p) x * sigmoid(beta (1 - p) x) + p x`` (Eq. 4).

    Shape:
        As :class:`AconA`.

    Attributes:
        p (nn.Parameter): Slope of the lower branch, (C,).
        beta (nn.Parameter): (C,).

    See :class:`AconBase` for the arguments.
    """

    takes_affine = True

    def build_parameters(self, num_channels: int) -> None:
        self.p = new_parameter(num_channels)
        self.beta = new_parameter(num_channels)

    def init_weights(self) -> None:
        if self.init == 'match':
            require_slopes(self, p1=1.)
            _set(self.p, self.start.p2)
            _set(self.beta, self.start.beta)
        else:
            nn.init.normal_(self.p)
            _set(self.beta, 1.)

    def forward(self,
                x: Tensor,
                scale: Optional[Tensor] = None,
                shift: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            self.check_input(x)
        return functional.acon(x, 1., self.p, self.beta, self.channel_dim,
                               scale, shift)


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

    def init_weights(self) -> None:
        init_slopes(self)
        _set(self.beta, self.start.beta if self.init == 'match' else 1.)

    def forward(self,
                x: Tensor,
                scale: Optional[Tensor] = None,
                shift: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            self.check_input(x)
        return functional.acon(x, self.p1, self.p2, self.beta,
                               self.channel_dim, scale, shift)


def init_slopes(act: AconBase) -> None:
    """p1 and p2 of ``act``: the start's, or the paper's N(0, 1)."""
    if act.init == 'match':
        _set(act.p1, act.start.p1)
        _set(act.p2, act.start.p2)
    else:
        nn.init.normal_(act.p1)
        nn.init.normal_(act.p2)


def require_slopes(act: AconBase, **fixed: float) -> None:
    """Refuse a start whose slopes this member of the family has fixed."""
    for name, value in fixed.items():
        start = getattr(act.start, name)
        if not bool((torch.as_tensor(start) == value).all()):
            raise ValueError(
                f'{type(act).__name__} cannot start with {name}={start}, it '
                f"is {value} there: use AconC or init='paper'.")
