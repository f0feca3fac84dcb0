"""Batch norm and ACON as one function on CUDA."""
from collections.abc import Sequence

import torch
from torch import Tensor

from ..net import Net, Norm
from ..rows import Betas
from ..tracing import is_traced
from . import grid, launch, meta, op

# channels of a program of the small kernels, and samples that it reads
BLOCK_O = meta.BLOCK_O
BLOCK_S = 16
# what only the op's own kernels are compiled for
OF_THE_OP = ('AFFINE', 'BETAS', 'PTX')


def refuses(x: Tensor, net: Net | None) -> str | None:
    """See :class:`acon_mm.functional.norm.Kernels`."""
    if net is not None:
        return meta.refuses(x)
    # torch.compile does well with the two by themselves
    return ('a graph is captured' if is_traced(x) else
            op.refuses(x) or op.unavailable())


def forward(x: Tensor, inputs: Sequence[Tensor | None], norm: Norm,
            net: Net | None, dim: int) -> tuple[Tensor, list[Tensor]]:
    """See :class:`acon_mm.functional.norm.Kernels`."""
    p1, p2, beta, weight, bias, *_ = inputs
    channels = x.size(dim)
    betas = _betas(x, beta)
    of_sample = betas == Betas.PER_SAMPLE
    means = x.new_empty((len(x) if of_sample else 1, channels),
                        dtype=torch.float32)
    memory = x.new_empty((4, channels), dtype=torch.float32)
    plan = grid.launch_of(x, betas, False, dim, True)
    dense = plan.rows.view(x)
    moments = plan.new_sums(2, x)
    options = {k: v for k, v in plan.options.items() if k not in OF_THE_OP}
    _run('statistics', plan.grid, moments, dense, *plan.sizes, **options)
    _run('finish', _programs(channels), memory, means, launch.add_up(moments),
         dense, weight, bias, norm.mean, norm.variance, *means.shape,
         1 if plan.rows.wide else plan.rows.n, x.numel() / channels,
         norm.momentum, norm.eps, RUNNING=norm.mean is not None,
         BLOCK_S=BLOCK_S, BLOCK_O=BLOCK_O)
    scale, shift = memory[2], memory[3]
    kept = [memory, means]
    if net is not None:
        of_net = meta.run_net(means, scale, shift, net)
        beta = of_net[meta.BETA]
        kept += of_net
    return launch.forward(x, (p1, p2, beta, scale, shift), dim), kept


def backward(dy: Tensor, x: Tensor, inputs: Sequence[Tensor | None],
             norm: Norm, net: Net | None, dim: int,
             kept: Sequence[Tensor]) -> list[Tensor | None]:
    """See :class:`acon_mm.functional.norm.Kernels`."""
    p1, p2, beta, *_ = inputs
    memory, means, *of_net = kept
    if net is not None:
        beta = of_net[meta.BETA]
    betas = _betas(x, beta)
    plan = grid.launch_of(x, betas, False, dim, True)
    dense, upstream = plan.rows.view(x), plan.rows.view(dy)
    parts = plan.new_sums(5, x)
    _run('sums', plan.grid, parts, upstream, dense, p1, p2, beta, memory,
         *plan.sizes, **_without_affine(plan))
    parts = launch.add_up(parts)
    grad, weight, grads = None, None, []
    if net is not None:
        weight = net.layers[0].weight
        grad, grads = meta.run_net_backward(
            parts[2], means, memory[2], memory[3], net, of_net)
    totals = memory.new_empty(5, p1.numel())
    along, level = torch.empty_like(p1), torch.empty_like(means)
    samples = meta.side(len(means)) if net is not None else BLOCK_S
    hidden = 0 if net is None else net.hidden
    _run('coefficients', _programs(p1.numel()), totals, along, level, parts,
         memory, means, grad, weight, *means.shape, hidden,
         x.numel() / p1.numel(), NET=net is not None, BLOCK_S=samples,
         BLOCK_O=BLOCK_O,
         BLOCK_K=min(meta.side(hidden), meta.TILE // samples))
    plan = grid.launch_of(x, betas, False, dim, False)
    dx = plan.rows.new_empty(x)
    _run('inputs', plan.grid, dx, upstream, dense, p1, p2, beta, memory,
         along, level, *plan.sizes, **_without_affine(plan))
    dp1, dp2, dbeta, dweight, dbias = totals.unbind()
    if net is not None:
        dbeta = None
    elif beta.dim() == 2:
        dbeta = parts[2]
    return [dx, dp1, dp2, dbeta, dweight, dbias, *grads]


def _betas(x: Tensor, beta: Tensor | None) -> Betas:
    return Betas.PER_SAMPLE if beta is None else Betas.of(beta, x)


def _without_affine(plan: grid.Launch) -> dict:
    return {k: v for k, v in plan.options.items() if k != 'AFFINE'}


def _programs(channels: int) -> tuple[int]:
    return (-(-channels // BLOCK_O), )


def _run(kernel: str, programs: tuple[int, ...], *args, **options) -> None:
    from . import norm_kernels
    with torch.cuda.device_of(args[0]):
        getattr(norm_kernels, kernel)[programs](*args, **options)
