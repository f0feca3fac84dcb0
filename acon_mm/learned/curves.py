"""The functions that activations have learned, as points to draw."""
from dataclasses import dataclass

import torch
from torch import Tensor

from acon_mm.functional import acon
from acon_mm.learned.record import Layer
from acon_mm.learned.statistics import regimes, sharpness

# of the first derivative: how far it goes beyond the two slopes
# (arXiv 2009.04759, Sec. 3.2)
BEYOND = .099840
# where an activation did not run
UNSEEN = 3.
INPUTS = (.01, .99)


@dataclass
class Curves:
    """Some channels of an activation, K of C, from linear to sharp.

    Attributes:
        x, y, slope (Tensor): Inputs, from the 1% to the 99% quantile of those
            that the channel got, outputs and first derivatives, (K, points).
        regime (list[str]): 'linear', 'rectifier', 'inverted' or 'between' of
            each of the K, for the mean of beta over the images.
        lower, upper (float): What no channel's derivative exceeds, of all C.
    """
    x: Tensor
    y: Tensor
    slope: Tensor
    regime: list[str]
    lower: float
    upper: float


def curves_of(layer: Layer, count: int = 24, points: int = 101) -> Curves:
    """Points on the functions of ``count`` channels.

    Args:
        layer (Layer): Of :meth:`acon_mm.learned.record.Recorder.close`.
        count (int): Most channels, evenly chosen in the order of their
            sharpness.
        points (int): Of each function.
    """
    mean = at_mean(layer)
    order = sharpness(mean)[0].argsort()
    places = torch.linspace(0, len(order) - 1, min(count, len(order)))
    chosen = order[places.round().long()]
    low, high = _range(mean)
    steps = torch.linspace(0, 1, points)
    x = (low + (high - low) * steps[:, None])[:, chosen].requires_grad_()
    p1, p2, beta = (value[chosen]
                    for value in (mean.p1, mean.p2, mean.beta[0]))
    y = acon(x, p1, p2, beta)
    slope, = torch.autograd.grad(y.sum(), x)
    gap, names = mean.p1 - mean.p2, regime_names(mean)
    ends = torch.stack([mean.p1 + BEYOND * gap, mean.p2 - BEYOND * gap])
    return Curves(x.detach().T, y.detach().T, slope.T,
                  [names[i] for i in chosen],
                  ends.min().item(), ends.max().item())


def moved(layer: Layer, before: Layer, points: int = 101) -> Tensor:
    """How far a training moved each channel's output, at most, (C,).

    Args:
        layer (Layer): After the training; its inputs are looked at.
        before (Layer): The same at the start.
        points (int): Of each function.
    """
    mean, start = at_mean(layer), at_mean(before)
    low, high = _range(mean)
    x = low + (high - low) * torch.linspace(0, 1, points)[:, None]
    ends, starts = (acon(x, one.p1, one.p2, one.beta[0])
                    for one in (mean, start))
    return (ends - starts).abs().amax(0)


def at_mean(layer: Layer) -> Layer:
    """The layer with beta's mean over the images, and a range of inputs."""
    beta = layer.beta.mean(0, keepdim=True)
    inputs = layer.inputs
    if not len(inputs):
        inputs = torch.linspace(-UNSEEN, UNSEEN, 101)[:, None].expand(
            -1, len(layer.p1))
    return Layer(layer.p1, layer.p2, beta, inputs)


def regime_names(layer: Layer) -> list[str]:
    """The regime of each channel, for the first image's beta."""
    found = {name: one[0].tolist() for name, one in regimes(layer).items()}
    return [next((name for name in found if found[name][i]), 'between')
            for i in range(len(layer.p1))]


def _range(layer: Layer) -> tuple[Tensor, Tensor]:
    """The quantiles :data:`INPUTS` of each channel, (C,)."""
    low, high = torch.quantile(layer.inputs, torch.tensor(INPUTS), dim=0)
    return low, high
