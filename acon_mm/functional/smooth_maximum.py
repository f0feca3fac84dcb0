"""The smooth maximum of any number of functions."""
import torch
from torch import Tensor


def smooth_maximum(*inputs: Tensor, beta: Tensor | float) -> Tensor:
    r"""Differentiable maximum of several functions, Sec. 3.1 of the paper.

    .. math:: S_\beta(x_1, ..., x_n) =
        \frac{\sum_i x_i e^{\beta x_i}}{\sum_i e^{\beta x_i}}

    It is the maximum for beta to infinity, the mean for beta = 0, and the
    minimum for beta to minus infinity. With two linear inputs it is
    :func:`acon`, which is faster there.

    Args:
        *inputs (Tensor): Values of the functions, of shapes that broadcast.
        beta (Tensor or float): The switch, broadcast with the inputs.

    Returns:
        Tensor: The broadcast shape, in the inputs' dtype; the arithmetic of
        half types is in float32.

    Raises:
        ValueError: No input is given.
    """
    if not inputs:
        raise ValueError('smooth_maximum() got no inputs: give at least one.')
    stacked = torch.stack(torch.broadcast_tensors(*inputs))
    double = stacked.dtype == torch.float64
    values = stacked.to(torch.float64 if double else torch.float32)
    weights = torch.softmax(beta * values, dim=0)
    return (weights * values).sum(0).to(stacked.dtype)
