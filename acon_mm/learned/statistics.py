"""Numbers that say what activations have become."""
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from acon_mm.learned.record import Layer, spread

QUANTILES = (.1, .5, .9)
# |beta (p1 - p2)| times the spread of the input, which the sigmoid sees one
# deviation from the middle: .44 to .56 is next to a line, beyond .02 and .98
# it is a switch
LINEAR, RECTIFIER = .25, 4.


def sharpness(layer: Layer) -> Tensor:
    """What the switch gets one standard deviation of the input off zero.

    Args:
        layer (Layer): It has run.

    Returns:
        Tensor: ``|beta (p1 - p2)| * std(input)``, (images, C).
    """
    return (layer.beta * (layer.p1 - layer.p2)).abs() * layer.spread


def regimes(layer: Layer) -> dict[str, Tensor]:
    """Which channels are nearly a line, a rectifier or inverted.

    Args:
        layer (Layer): It has run.

    Returns:
        dict: ``linear`` (sharpness below :data:`LINEAR`: the mean of the two
        branches), ``rectifier`` (above :data:`RECTIFIER`: their maximum) and
        ``inverted`` (a negative beta that is not linear: their minimum, if a
        smooth one). Each (images, C), True or False.
    """
    sharp = sharpness(layer)
    linear = sharp < LINEAR
    up = layer.beta > 0
    return dict(linear=linear, rectifier=up & (sharp > RECTIFIER),
                inverted=~up & ~linear)


def summarize(layers: Sequence[Layer]) -> dict[str, float]:
    """Statistics over all channels, and images, of some activations.

    Args:
        layers (Sequence[Layer]): At least one.

    Returns:
        dict: Of beta, p1 and p2 ``<name>_mean``, ``<name>_std`` and the
        quantiles ``<name>_q10`` and so on; ``beta_image_std``, how much a
        channel's beta differs between images, where it is computed of them;
        ``linear``, ``rectifier`` and ``inverted``, the shares of
        :func:`regimes`, where an activation has run.
    """
    found = {}
    for name in ('beta', 'p1', 'p2'):
        values = torch.cat([getattr(layer, name).flatten()
                            for layer in layers])
        if len(values):
            found.update(_describe(name, values))
    several = [layer for layer in layers if len(layer.beta) > 1]
    if several:
        found['beta_image_std'] = torch.cat(
            [spread(layer.beta) for layer in several]).mean().item()
    shares = [regimes(layer) for layer in layers if len(layer.inputs)]
    for name in shares[0] if shares else ():
        found[name] = torch.cat(
            [share[name].flatten() for share in shares]).float().mean().item()
    return found


def _describe(name: str, values: Tensor) -> dict[str, float]:
    quantiles = torch.quantile(values, torch.tensor(QUANTILES))
    return {
        f'{name}_mean': values.mean().item(),
        f'{name}_std': spread(values).item(),
        **{f'{name}_q{100 * q:.0f}': value
           for q, value in zip(QUANTILES, quantiles.tolist())}}


def stage_of(path: str) -> str:
    """``backbone.layer2`` of ``backbone.layer2.0.act1``.

    The first number in the path counts a network's stages, as a rule.
    """
    *parents, _ = path.split('.')
    for depth, part in enumerate(parents, 1):
        if part[-1].isdigit():
            return '.'.join(parents[:depth])
    return '.'.join(parents)


def by_stage(layers: Mapping[str, Layer]) -> dict[str, list[Layer]]:
    """The layers of each stage, in the order of the model."""
    stages: dict[str, list[Layer]] = {}
    for path, layer in layers.items():
        stages.setdefault(stage_of(path), []).append(layer)
    return stages


def scalars(layers: Mapping[str, Layer],
            per_layer: bool = True) -> dict[str, float]:
    """The numbers of each stage, and of each layer, by their tags.

    Args:
        layers (Mapping[str, Layer]): Of :meth:`Recorder.close`.
        per_layer (bool): False for the stages alone. Defaults to True.

    Returns:
        dict: Values by ``acon/<stage or path>/<name>``.
    """
    groups = by_stage(layers)
    if per_layer:
        groups |= {path: [layer] for path, layer in layers.items()}
    return {f'acon/{group}/{name}': value
            for group, members in groups.items()
            for name, value in summarize(members).items()}
