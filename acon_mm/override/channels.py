"""In which dimension of an input the channels are."""
import itertools
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from acon_mm.override.calls import Calls
from acon_mm.width import Features

# dimensions behind the channels in what a layer returns
_SPATIAL = {
    F.conv1d: 1, F.conv2d: 2, F.conv3d: 3, F.conv_transpose1d: 1,
    F.conv_transpose2d: 2, F.conv_transpose3d: 3, F.linear: 0}
_NORMS = (F.batch_norm, F.group_norm, F.instance_norm)
_SHUFFLES = (F.pixel_shuffle, F.pixel_unshuffle)
_PRODUCTS = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm,
             Tensor.mm)


def channels_of_layer(function: Callable, args: tuple,
                      out: Tensor) -> int | None:
    """Dimension of the channels in what a layer returns, None of others."""
    if function in _SPATIAL:
        return out.dim() - 1 - _SPATIAL[function]
    if function in _NORMS and out.dim() > 1:
        return 1
    if function in _SHUFFLES:
        return out.dim() - 3
    if function in _PRODUCTS and len(args) > 1 and _is_weight(
            args[1]) and args[1].dim() == 2 and out.dim() > 1:
        return out.dim() - 1
    if function is F.layer_norm and len(args) > 1 and len(args[1]) == 1:
        return out.dim() - 1
    return None


def _is_weight(factor: Tensor) -> bool:
    """Whether it is a parameter, or one that is turned."""
    return isinstance(factor, nn.Parameter) or isinstance(
        factor._base, nn.Parameter)


def find_channel_dim(value: Tensor, recent: Sequence[tuple[Tensor, int]],
                     ) -> int | None:
    """Dimension of the channels of an activation's input.

    A layer's own output has them where the layer puts them. Elsewhere, if
    gradients are recorded, the channels are the dimension of which one slice
    depends on one channel of a layer before; or else they are where such a
    layer of the same shape has them.

    Args:
        value (Tensor): The input, of any shape.
        recent (sequence): Outputs of the last layers, the latest last, each
            with its dimension of channels.

    Returns:
        int, optional: None if it is not to be seen, 0 if there is none: one
        channel was squeezed away.
    """
    for out, dim in recent:
        if out is value:
            return dim
    recent = [pair for pair in recent if not pair[0].is_nested]
    for out, dim in itertools.islice(reversed(recent), 1):
        if out.size(dim) == 1 and value.dim() < out.dim() and (
                value.numel() == out.numel()):
            return 0
    if not (torch.is_grad_enabled() and value.requires_grad):
        return None
    for out, dim in reversed(recent):
        if out.requires_grad and out.size(dim) > 1:
            found = [d for d in range(1, value.dim())
                     if _follows_channels(value, d, out, dim)]
            if len(found) == 1:
                return found[0]
    # a norm over the channels makes each depend on all, and keeps the shape
    return next((dim for out, dim in reversed(recent)
                 if out.requires_grad and out.shape == value.shape
                 and out.shape[1:].count(out.size(dim)) == 1
                 and _channels_behind(value, out, dim)), None)


def _follows_channels(value: Tensor, d: int, out: Tensor, dim: int) -> bool:
    """Whether slices depend on one channel each, and not all on the same."""
    last = value.size(d) - 1
    # two of them at least are of one half, of channels put together
    slices = dict.fromkeys(last * i // 4 for i in range(5))
    sources = [_channels_behind(value.select(d, i), out, dim) for i in slices]
    # what another layer has given, beside it, depends on none
    own = [channels for channels in sources if channels]
    return bool(own) and all(len(channels) == 1 for channels in own) and (
        len({*itertools.chain(*own)}) == len(own) > (len(slices) > 1))


def _channels_behind(part: Tensor, out: Tensor, dim: int) -> list[int]:
    with torch.enable_grad():
        grad, = torch.autograd.grad(
            part.sum(), out, retain_graph=True, allow_unused=True)
    if grad is None:
        return []
    return grad.transpose(0, dim).flatten(1).ne(0).any(1).nonzero(
        ).flatten().tolist()


def features_of(group: Iterable[Calls]) -> set[Features]:
    """Channels of all inputs of an activation.

    What a layer did not tell, the images do: they differ from run to run in
    everything but the channels.

    Args:
        group (iterable of Calls): From each place that calls it.

    Returns:
        set[Features]: None if they are not to be seen.
    """
    found: dict[int, set[int]] = {}
    vectors: set[int] = set()  # (N, C), whichever dimension others name
    unclear: list[torch.Size] = []
    for calls in group:
        for seen in itertools.zip_longest(*calls.inputs):
            # one image may have lost its batch by squeeze()
            most = max(len(one[0]) for one in seen if one is not None)
            seen = tuple(one if one and len(one[0]) == most else None
                         for one in seen)
            shapes = [one[0] for one in seen if one is not None]
            shape = shapes[0]
            # by a layer, then by the gradients of a third run
            plain, traced = (
                next((one[1] for one in part if one and one[1] is not None),
                     None) for part in (seen[:2], seen[2:]))
            dim = traced if plain is None else plain
            if dim is None or plain is None and not _is_constant(dim, shapes):
                dim = _constant_dim(shapes, calls.batch_varies)
            # an image without a batch, or a layer that gives no channels
            if dim == 0 or dim is not None and shape[dim] == 0:
                return set()
            if dim is None:
                unclear.append(shape)
            elif len(shape) == 2 and dim == 1:
                vectors.add(shape[1])
            else:
                found.setdefault(_signed(dim, shape), set()).add(shape[dim])
    for shape in unclear:  # as the others of the activation
        dim = next(iter(found), 0)
        if len(found) != 1 or len(shape) <= dim or (
                shape[dim] not in found[dim]):
            return set()
    if len(found) > 1:
        return set()
    for dim, widths in found.items():
        return {Features(width, dim) for width in widths | vectors}
    return {Features(width, -1) for width in vectors}


def _is_constant(dim: int, shapes: list[torch.Size]) -> bool:
    return len({shape[dim:dim + 1] for shape in shapes}) == 1


def _constant_dim(shapes: list[torch.Size],
                  batch_varies: bool) -> int | None:
    """The one dimension behind the batch's that all images share.

    What keeps the size of its batch where batches differ, a weight, has
    none; nor has what is as long as the batch.
    """
    first = shapes[0]
    if any(len(shape) != len(first) for shape in shapes) or not first:
        return None
    if batch_varies and len(shapes) > 1 and len(
            {shape[0] for shape in shapes}) == 1:
        return None
    if len(first) == 2 and len({shape[1] for shape in shapes}) == 1:
        # what never varied, a score of each of N nodes for each, tells none
        return 1 if len(set(shapes)) > 1 or len(shapes) == 1 else None
    same = [d for d in range(1, len(first))
            if len({shape[d] for shape in shapes}) == 1]
    # what was pooled to one pixel is one long in every image
    if len(set(shapes)) > 1:
        same = [d for d in same if first[d] > 1] or same[:1]
    return same[0] if len(same) == 1 else None


def _signed(dim: int, shape: torch.Size) -> int:
    """As ``channel_dim`` names it: -1 of the last."""
    return -1 if dim == len(shape) - 1 else dim
