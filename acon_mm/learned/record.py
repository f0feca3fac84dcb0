"""What the activations of a running model get and compute."""
import contextlib
import functools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from acon_mm.base import AconBase
from acon_mm.functional import channel_mean
from acon_mm.functional.tracing import is_traced
from acon_mm.meta_acon import MetaAconC

SAMPLES = 256
# the fractional parts of its multiples spread evenly, whatever their number
GOLDEN = (5**.5 - 1) / 2


@dataclass
class Layer:
    """One activation as a :class:`Recorder` found it, in float32 on the CPU.

    Attributes:
        p1, p2 (Tensor): Slopes, (C,); 1 and 0 where they are fixed.
        beta (Tensor): The switch, (images, C), as inference computes it;
            (1, C) where it is a parameter, (0, C) where it is computed and
            the activation did not run.
        inputs (Tensor): Values of the input, (samples, C).
    """
    p1: Tensor
    p2: Tensor
    beta: Tensor
    inputs: Tensor

    @functools.cached_property
    def spread(self) -> Tensor:
        """Standard deviation of each channel's input, (C,)."""
        return spread(self.inputs)


def spread(values: Tensor) -> Tensor:
    """Standard deviation over dimension 0, faster there than Tensor.std."""
    return (values - values.mean(0)).square().mean(0).sqrt()


def activations_of(model: nn.Module) -> dict[str, AconBase]:
    """The activations of ``model`` that have a beta, by their path."""
    return {
        name: module for name, module in model.named_modules()
        if isinstance(module, AconBase) and (
            hasattr(module, 'beta') or hasattr(module, 'compute_beta'))}


class Recorder:
    """Notes what the activations of a model get, until it is closed.

    Nothing that the model computes or keeps changes.

    Args:
        model (nn.Module): It is to run on the batches of interest.
        samples (int): Values kept of each channel at each call.
    """

    def __init__(self, model: nn.Module, samples: int = SAMPLES) -> None:
        self.samples = samples
        self.activations = activations_of(model)
        self._inputs: dict[str, list[Tensor]] = defaultdict(list)
        self._betas: dict[str, list[Tensor]] = defaultdict(list)
        self._handles = [
            act.register_forward_pre_hook(
                functools.partial(self._note, name))
            for name, act in self.activations.items()]

    def _note(self, name: str, act: AconBase, arguments: tuple) -> None:
        if is_traced(arguments[0]):  # a graph keeps nothing of this
            return
        x = arguments[0].detach()
        self._inputs[name].append(
            sample_channels(x, act.channel_dim, self.samples).float())
        if hasattr(act, 'compute_beta'):
            with torch.no_grad(), _at_inference(act):
                self._betas[name].append(beta_of_images(act, x).float())

    def close(self) -> dict[str, Layer]:
        """Stop, and say what was found of each activation."""
        for handle in self._handles:
            handle.remove()
        return {name: self._layer(name, act)
                for name, act in self.activations.items()}

    def _layer(self, name: str, act: AconBase) -> Layer:
        p1, p2 = slopes_of(act)
        nothing = torch.empty(0, len(p1))
        found = self._betas[name]
        if not hasattr(act, 'compute_beta'):
            found = [act.beta.detach().float().expand(1, len(p1))]
        inputs = self._inputs[name]
        return Layer(p1, p2,
                     torch.cat(found).cpu() if found else nothing,
                     torch.cat(inputs).cpu() if inputs else nothing)


def slopes_of(act: AconBase) -> tuple[Tensor, Tensor]:
    """p1 and p2, each (C,)."""
    one = torch.ones(act.num_channels)
    p1 = getattr(act, 'p1', one)
    p2 = getattr(act, 'p2', getattr(act, 'p', 0 * one))
    return p1.detach().float().cpu(), p2.detach().float().cpu()


def sample_channels(x: Tensor, channel_dim: int, count: int) -> Tensor:
    """The channels at up to ``count`` places of all images.

    Args:
        x (Tensor): (N, C, *), C in ``channel_dim``.
        channel_dim (int): Of ``x``.
        count (int): The places are the same for equal shapes.

    Returns:
        Tensor: (places, C).
    """
    x = x.movedim(channel_dim, -1)
    total = x[..., 0].numel()
    places = np.arange(total)
    if total > count:
        places = (np.arange(count) * GOLDEN % 1 * total).astype(np.int64)
    indices = np.unravel_index(places, tuple(x.shape[:-1]))
    return x[tuple(torch.from_numpy(i).to(x.device) for i in indices)]


def beta_of_images(act: MetaAconC, x: Tensor) -> Tensor:
    """Beta of each image of a batch.

    Args:
        act (MetaAconC): Of any level.
        x (Tensor): Its input.

    Returns:
        Tensor: (N, C); the mean over the image where each pixel has its own.
    """
    beta = act.compute_beta(x)
    if beta.dim() > 2 and beta.shape == x.shape:
        beta = channel_mean(beta, act.channel_dim)
    return beta.expand(len(x), act.num_channels)


@contextlib.contextmanager
def _at_inference(act: nn.Module) -> Iterator[None]:
    """Norms take their running statistics and leave them as they are.

    So one process of several can look alone: a synchronized norm that
    trains would wait for the others.
    """
    modes = [(module, module.training) for module in act.modules()]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
