"""Launching the Triton kernels of ACON."""
from collections.abc import Sequence

import torch
from torch import Tensor

from ..keeps_input import Parameters
from ..rows import Betas, Rows
from .grid import Launch, launch_of


def forward(x: Tensor, parameters: Parameters, dim: int) -> Tensor:
    """The activation.

    Args:
        x (Tensor): As of :func:`acon_mm.functional.acon`.
        parameters (Sequence[Tensor]): p1, p2, beta, scale and shift in dense
            memory, as of :func:`acon_mm.functional.rows.dense_parameters`.
        dim (int): Dimension of the channels, from 0 on.
    """
    from . import op_kernels
    launch, tensors = _launch(x, parameters, dim, False)
    y = launch.rows.new_empty(x)
    with torch.cuda.device_of(x):
        op_kernels.forward[launch.grid](
            y, launch.rows.view(x), *tensors, *launch.sizes,
            **launch.options)
    return y


def backward(dy: Tensor, x: Tensor, parameters: Parameters,
             dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """dx, sums (3 or 5, samples, C) for the parameters, dbeta per element."""
    from . import op_kernels
    launch, tensors = _launch(x, parameters, dim, True)
    rows = launch.rows
    dx, dbeta = rows.new_empty(x), new_dbeta(x, rows)
    sums = launch.new_sums(planes(parameters[3]), x)
    with torch.cuda.device_of(x):
        op_kernels.backward[launch.grid](
            dx, sums, dbeta, rows.view(dy), rows.view(x), *tensors,
            *launch.sizes, **launch.options)
    return dx, add_up(sums), dbeta


def _launch(x: Tensor, parameters: Parameters, dim: int,
            backward: bool) -> tuple[Launch, Parameters]:
    """And the parameters as a kernel reads them."""
    p1, p2, beta, scale, shift = parameters
    launch = launch_of(x, Betas.of(beta, x), scale is not None, dim, backward)
    if launch.rows.betas == Betas.PER_ELEMENT:
        beta = launch.rows.view(beta)
    return launch, (p1, p2, beta, scale, shift)


def gradients(dx: Tensor, sums: Tensor, dbeta: Tensor, x: Tensor,
              beta: Tensor, needs: Sequence[bool]) -> list[Tensor | None]:
    """What :func:`backward` returns, for each of the inputs that need it.

    The sums cost nothing beside dx, so all are made and some dropped.
    """
    totals = sums.sum(1) if sums.size(1) > 1 else sums.squeeze(1)
    grads = [dx, *totals.unbind(), None, None]
    betas = Betas.of(beta, x)
    if betas == Betas.PER_SAMPLE:
        grads[3] = sums[2]
    elif betas == Betas.PER_ELEMENT:
        grads[3] = dbeta
    return [g if need else None for g, need in zip(grads, needs)]


def add_up(sums: Tensor) -> Tensor:
    """(.., samples, C) of what :meth:`Launch.new_sums` had room for."""
    # of one part, where a sum would be another kernel to launch
    alone = sums.size(1) == sums.size(3) == 1
    return sums[:, 0, :, 0] if alone else sums.sum((1, 3))


def planes(scale: Tensor | None) -> int:
    """Parameters that have sums."""
    return 3 if scale is None else 5


def new_dbeta(x: Tensor, rows: Rows) -> Tensor:
    """For the gradient of a beta per element; else empty."""
    if rows.betas != Betas.PER_ELEMENT:
        return x.new_empty(0, dtype=torch.float32)
    return rows.new_empty(x, torch.float32)
