"""What the members of the ACON family share."""
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from acon_mm.act_cfg import check_keys
from acon_mm.counted_keys import count_new_keys
from acon_mm.functional.net import Norm
from acon_mm.functional.norm import joined
from acon_mm.functional.tracing import is_symbolic, is_traced
from acon_mm.own_stream import draws_apart, seed_of_stream
from acon_mm.starts import INITS, NAMED, Start, check_init, check_start

# MMEngine's record of an initialization, and what it says of a parameter
INIT_RECORD = '_params_init_info'
UNCHANGED, CHECKPOINT = 'The value is the same before and', ': load from '


class AconBase(nn.Module):
    """What the members share: the width, the start and the checks.

    Args:
        num_channels (int, optional): Width C of the input. None: learned when
            the layer is registered in a module whose width is known, e.g. as
            the activation of an MMCV ``ConvModule``.
        channel_dim (int): The channels' dimension. Defaults to 1; -1 for
            tokens (N, L, C) and channels-last tensors.
        init (str): 'leaky' (a smooth leaky rectifier: p1 = 1, p2 = 0.25,
            beta = 1), 'paper' (p1, p2 ~ N(0, 1), beta = 1) or 'match' (near
            ReLU, or near the activation that the override replaces).
            Defaults to 'leaky', or 'paper' where the slopes are fixed (AconA)
            or none (AconFReLU): it ended above the paper's start wherever
            that is decided (docs/transfer.md, "From scratch, minus
            AconC:init=paper,lr_mult=100").
        start (dict, optional): Your own numbers for some of p1, p2 and beta
            in place of those of ``init``.

    Keys that MMCV or a base config merges in (``inplace`` and the like, see
    :data:`acon_mm.act_cfg.INHERITED`) are accepted and ignored.

    Attributes:
        instead (Callable, optional): What an override has replaced, for
            inputs of another width than it has seen.

    Raises:
        ValueError: ``num_channels`` not positive, an unknown ``init`` or
            key, a wrong ``start`` when building; another number of channels
            in the input when running.
    """

    # the starts it has, and the slopes that it cannot choose
    inits = INITS
    fixed: dict[str, float] = {}
    # whether forward also takes the scale and shift of a norm in front
    takes_affine = False
    # code that ran activations asks them for it
    inplace = False

    def __init__(self,
                 num_channels: int | None = None,
                 channel_dim: int = 1,
                 init: str = 'leaky',
                 start: dict | None = None,
                 **ignored: Any) -> None:
        super().__init__()
        check_keys(type(self), ignored)
        check_init(init, type(self).__name__, self.inits)
        check_channel_dim(channel_dim, type(self).__name__)
        self.num_channels: int | None = None
        self.instead: Callable[[Tensor], Tensor] | None = None
        self.channel_dim = channel_dim
        self.init = init
        self.given_start = check_start(start, type(self).__name__)
        self.start = Start()
        self.stream = seed_of_stream()
        self.register_load_state_dict_post_hook(count_new_keys)
        self.check_slopes()
        if num_channels is not None:
            self.bind(num_channels)

    @draws_apart
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

    @draws_apart
    def apply(self, fn: Callable[[nn.Module], None]) -> nn.Module:
        """As of ``nn.Module``; an ``init_cfg`` draws for the beta net."""
        return super().apply(fn)

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

    def first(self, name: str) -> float | Tensor | None:
        """The value that p1, p2 or beta begins with; None: N(0, 1)."""
        if name in self.given_start:
            return self.given_start[name]
        if self.init == 'match':
            return getattr(self.start, name)
        return NAMED[self.init][name]

    def check_slopes(self) -> None:
        """Refuse a start whose slopes this member of the family has fixed."""
        for name, value in self.fixed.items():
            first = self.first(name)
            if first is not None and not bool(
                    (torch.as_tensor(first) == value).all()):
                raise ValueError(
                    f'{type(self).__name__} cannot start with {name}={first}, '
                    f"it is {value} there: use AconC or init='paper'.")

    def after_norm(self, x: Tensor, norm: Norm) -> Tensor | None:
        """The activation of what a batch norm in training makes of ``x``,
        in one op; None, and nothing done, where each runs by itself."""
        slopes = self.slopes()
        if slopes is None:
            return None
        self.check_input(x)
        p1, p2, beta = slopes
        return joined(x, p1, p2, beta, norm, self.channel_dim)

    def slopes(self) -> tuple[Tensor | float, ...] | None:
        """p1, p2 and beta of the op; None where it does more."""
        return None

    def start_like(self, start: Start) -> None:
        """Begin as the activation that ``start`` describes."""
        self.start = start
        if self.num_channels is not None:
            self.init_weights()

    @torch.jit.unused
    def of_other(self, x: Tensor) -> Tensor | None:
        """The output of a nested tensor, which PyTorch's encoder makes of
        padding, and of what :attr:`instead` is for; None of any other input,
        which is checked.

        Raises:
            ValueError: As :meth:`check_input`.
        """
        if not is_symbolic(x) and x.is_nested:
            return torch.nested.as_nested_tensor(
                [self(part[None])[0] for part in x.unbind()],
                layout=x.layout)
        if self.instead is None:
            self.check_input(x)
        elif self.refusal(x):
            # (C,) or (C, H, W): a sample without a batch
            alone = x.dim() in (1, 3) and self.channel_dim in (1, -x.dim())
            return self(x[None])[0] if alone and (
                x.size(0) == self.num_channels) else of_unseen(self, x)
        return None

    @torch.jit.unused
    def check_input(self, x: Tensor) -> None:
        """Refuse an input of another width."""
        reason = self.refusal(x)
        if reason is not None:
            raise ValueError(reason)

    @torch.jit.unused
    def refusal(self, x: Tensor) -> str | None:
        """Why it does not take an input, in a sentence; None if it does."""
        name = type(self).__name__
        if is_symbolic(x) or x.is_nested:
            return None
        if self.num_channels is None:
            return (f'{name} does not know its width: build it with '
                    'num_channels=C.')
        if x.dim() < 2:
            return (f'{name} got an input of shape {tuple(x.shape)}: give at '
                    'least two dimensions, (N, C).')
        if not -x.dim() <= self.channel_dim < x.dim():
            return (f'{name} with channel_dim={self.channel_dim} got an input '
                    f'of shape {tuple(x.shape)}, which has no such dimension: '
                    'set channel_dim.')
        if self.channel_dim % x.dim() == 0:
            return (f'{name} with channel_dim={self.channel_dim} got an input '
                    f'of shape {tuple(x.shape)}, whose first dimension is '
                    'that of the samples: add it with x[None].')
        if x.size(self.channel_dim) != self.num_channels:
            return (f'{name} of {self.num_channels} channels got an input of '
                    f'shape {tuple(x.shape)} with {x.size(self.channel_dim)} '
                    f'channels in dimension {self.channel_dim}: set '
                    'num_channels or channel_dim.')
        return None

    def extra_repr(self) -> str:
        dim = '' if self.channel_dim == 1 else (
            f', channel_dim={self.channel_dim}')
        start = f', start={self.given_start}' if self.given_start else ''
        return f'{self.num_channels}{dim}, init={self.init!r}{start}'


def of_unseen(act: nn.Module, x: Tensor) -> Tensor:
    """What was there before an override, on an input that none has seen."""
    if not is_traced(x):
        warnings.warn(
            f'{type(act).__name__} got an input of shape {tuple(x.shape)}, '
            'which no pass of swap_activations() has shown: what was there '
            'before runs on it. Give inputs=... that show it.', stacklevel=2)
    return act.instead(x)


def check_channel_dim(channel_dim: Any, name: str) -> None:
    """Refuse what is no dimension that channels can be in.

    Raises:
        ValueError: One sentence with the value.
    """
    if isinstance(channel_dim, bool) or not isinstance(
            channel_dim, int) or channel_dim == 0:
        raise ValueError(
            f'channel_dim={channel_dim!r} of {name} must be an integer other '
            'than 0, where the samples are: 1 for (N, C, *), -1 for '
            '(N, *, C).')


def new_parameter(num_channels: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(num_channels))


def begin(parameter: nn.Parameter, value: float | Tensor | None) -> None:
    """Set what :meth:`AconBase.first` says."""
    if value is None:
        nn.init.normal_(parameter)
        return
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(value))


def init_slopes(act: AconBase) -> None:
    """p1 and p2 of ``act``."""
    begin(act.p1, act.first('p1'))
    begin(act.p2, act.first('p2'))
