"""The mean that a beta net begins with."""
import torch
from torch import Tensor

from .tracing import is_traced


def channel_mean(x: Tensor, channel_dim: int = 1) -> Tensor:
    """Mean of each channel of each sample, as ``x.mean`` over the rest.

    Its gradient is one value for a whole channel and stays one: autograd
    adds it in place to the activation's, where ``mean`` would fill another
    tensor as large as ``x`` first.

    Args:
        x (Tensor): (N, C, *) or, with ``channel_dim=-1``, (N, \\*, C).
        channel_dim (int): Dimension of the channels. Defaults to 1.

    Returns:
        Tensor: (N, C), in ``x``'s dtype; half types are summed in float32.
    """
    dim = channel_dim % x.dim()
    # neither TorchScript nor an old Dynamo reads more than this
    dims = list(range(1, dim)) + list(range(dim + 1, x.dim()))
    if len(dims) == 0:
        return x
    if torch.jit.is_scripting():
        return x.mean(dims)
    else:
        return x.mean(dims) if is_traced(x) else _ChannelMean.apply(x, dims)


class _ChannelMean(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x, dims):
        ctx.shape, ctx.dims = x.shape, dims
        return x.mean(dims)

    @staticmethod
    def backward(ctx, grad):
        shape = [1 if d in ctx.dims else n for d, n in enumerate(ctx.shape)]
        count = ctx.shape.numel() // max(grad.numel(), 1)
        return (grad / max(count, 1)).view(shape).expand(ctx.shape), None
