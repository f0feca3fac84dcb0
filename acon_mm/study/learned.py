"""What the activations of a trained model have become."""
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from acon_mm import functional
from acon_mm.activations import AconA, AconB, AconC
from acon_mm.learned.record import beta_of_images, slopes_of
from acon_mm.meta_acon import MetaAconC

GRID = torch.linspace(-4, 4, 17)
QUANTILES = (.1, .5, .9)


class Betas:
    """The mean of each MetaAconC's beta over the images that pass."""

    def __init__(self, model: nn.Module) -> None:
        self.seen: dict[str, list[Tensor]] = defaultdict(list)
        self.handles = [
            module.register_forward_pre_hook(self._record(name))
            for name, module in model.named_modules()
            if isinstance(module, MetaAconC)]

    def _record(self, name: str):

        def hook(module: MetaAconC, inputs: tuple) -> None:
            beta = beta_of_images(module, inputs[0]).detach().float()
            self.seen[name].append(beta.mean(0).cpu())

        return hook

    def close(self) -> dict[str, Tensor]:
        """Stop; (C,) by the module's name."""
        for handle in self.handles:
            handle.remove()
        return {name: torch.stack(means).mean(0)
                for name, means in self.seen.items()}


def describe(model: nn.Module,
             betas: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Learned parameters and functions over all channels of all layers.

    Args:
        model (nn.Module): A trained model.
        betas (Mapping[str, Tensor]): Of :meth:`Betas.close`.

    Returns:
        dict: ``p1``, ``p2`` and ``beta``: mean and standard deviation;
        ``function``: the values at :data:`GRID`, one row after the other for
        each of :data:`QUANTILES` of the channels. Empty if nothing is
        learned.
    """
    found = [_parameters(module, betas.get(name))
             for name, module in model.named_modules()]
    found = [p for p in found if p is not None]
    if not found:
        return {}
    p1, p2, beta = (torch.cat(column) for column in zip(*found))
    curves = functional.acon(GRID[:, None].expand(-1, len(p1)), p1, p2, beta)
    rows = np.quantile(curves.numpy(), QUANTILES, axis=1)
    summary = {
        name: [round(v.mean().item(), 4), round(v.std().item(), 4)]
        for name, v in dict(p1=p1, p2=p2, beta=beta).items()}
    return dict(summary, function=rows.round(3).flatten().tolist())


def _parameters(module: nn.Module, beta: Tensor | None
                ) -> tuple[Tensor, Tensor, Tensor] | None:
    """p1, p2 and beta, each (C,)."""
    if isinstance(module, nn.PReLU):
        p2 = module.weight.detach().float().cpu()
        # a slope above 1 makes it the minimum of the two lines
        steep = torch.where(p2 > 1, -SHARP, SHARP)
        return torch.ones_like(p2), p2, steep
    if isinstance(module, (AconA, AconB, AconC)):
        beta = module.beta
    if beta is None:
        return None
    return (*slopes_of(module), beta.detach().float().cpu())


SHARP = 1e4
