"""The op beside what it replaces and what it could be made of."""
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acon_mm.activations import AconC
from acon_mm.meta_acon import MetaAconC

from .measure import clock, environment, interleave, peak_bytes, saved_bytes

# tensors that are read or written, as large as x
PASSES = dict(forward=2, backward=3, both=5, host=0)

# calls of a small op that are timed together
MOST_CALLS = 100
ELEMENTS = 1 << 20


class AuthorsAconC(nn.Module):
    """AconC as the authors wrote it: parameters (1, C, 1, 1), no kernel."""

    def __init__(self, num_channels: int, dims: int) -> None:
        super().__init__()
        shape = (1, num_channels, *[1] * (dims - 2))
        self.p1 = nn.Parameter(torch.randn(shape))
        self.p2 = nn.Parameter(torch.randn(shape))
        self.beta = nn.Parameter(torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        return authors_formula(x, self.p1, self.p2, self.beta)


def authors_formula(x: Tensor, p1: Tensor, p2: Tensor,
                    beta: Tensor) -> Tensor:
    """The formula of the paper's first release."""
    return (p1 * x - p2 * x) * torch.sigmoid(
        beta * (p1 * x - p2 * x)) + p2 * x


def functions(x: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """What is compared, by name."""
    channels = x.size(1)
    authors = AuthorsAconC(channels, x.dim()).to(x.device)
    return {
        'ReLU': F.relu,
        'SiLU': F.silu,
        'authors': authors,
        'torch.compile': torch.compile(authors, dynamic=False),
        'AconC': AconC(channels).to(x.device),
        'MetaAconC': MetaAconC(channels).to(x.device),
    }


def measure_op(shapes: Sequence[tuple[int, ...]], dtype: torch.dtype,
               channels_last: bool, device: str, warmup: int,
               repeats: int) -> Iterator[dict[str, Any]]:
    """Rows of a table, one for each function, shape and phase.

    Args:
        shapes: Of the input, (N, C) or (N, C, H, W).
        dtype (torch.dtype): Of the input.
        channels_last (bool): Whether inputs of four dimensions are.
        device (str): 'cpu' or 'cuda'.
        warmup (int): Rounds that are not counted.
        repeats (int): Rounds that are.
    """
    for shape in shapes:
        last = channels_last and len(shape) == 4
        x = torch.randn(shape, dtype=dtype, device=device)
        if last:
            x = x.contiguous(memory_format=torch.channels_last)
        upstream, target = torch.randn_like(x), torch.empty_like(x)
        x.requires_grad_()
        size = x.numel() * x.element_size()
        # or the second shape would be compiled for every shape
        torch.compiler.reset()
        compared = functions(x)
        runs = {
            name: _run(function, x, upstream, device)
            for name, function in compared.items()
        }
        runs['copy'] = _copy(x.detach(), target, device)
        times = interleave(runs, warmup, repeats)
        memory = {
            name: _memory(function, x, upstream, device)
            for name, function in compared.items()
        }
        for name, phases in times.items():
            for phase, (median, spread) in phases.items():
                silu = times['SiLU'][phase].median
                moved = PASSES[phase] * size
                yield dict(
                    function=name,
                    shape='x'.join(map(str, shape)),
                    dtype=str(dtype).removeprefix('torch.'),
                    channels_last=last,
                    phase=phase,
                    ms=round(median, 5),
                    spread_ms=round(spread, 5),
                    over_silu=round(median / silu, 3),
                    bytes_moved=moved,
                    gb_per_s=round(moved / median / 1e6, 1),
                    **memory.get(name, dict(saved_bytes='', peak_bytes='')),
                    input_bytes=size,
                    repeats=repeats,
                    **environment(device))


def _run(function: Callable[[Tensor], Tensor], x: Tensor, upstream: Tensor,
         device: str) -> Callable[[], dict[str, float]]:
    calls = min(MOST_CALLS, max(1, ELEMENTS // x.numel()))
    inputs = [x, *_parameters(function)]

    def run() -> dict[str, float]:
        # takes over the memory that the function before it has freed
        torch.autograd.grad(
            _call(function, x), inputs, upstream, allow_unused=True)
        total = dict(forward=0., backward=0.)
        for _ in range(calls):
            y, forward = clock(lambda: _call(function, x), device, True)
            _, backward = clock(
                lambda y=y: torch.autograd.grad(
                    y, inputs, upstream, allow_unused=True), device, True)
            total['forward'] += forward / calls
            total['backward'] += backward / calls
        total['both'] = total['forward'] + total['backward']
        if device != 'cpu':
            total['host'] = _host(function, x, inputs, upstream)
        return total

    return run


def _host(function: Callable[[Tensor], Tensor], x: Tensor,
          inputs: Sequence[Tensor], upstream: Tensor) -> float:
    """Milliseconds until the kernels of both passes are launched."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    torch.autograd.grad(_call(function, x), inputs, upstream,
                        allow_unused=True)
    passed = 1e3 * (time.perf_counter() - start)
    torch.cuda.synchronize()
    return passed


def _copy(x: Tensor, target: Tensor,
          device: str) -> Callable[[], dict[str, float]]:
    """The bandwidth that a copy reaches."""
    return lambda: dict(
        forward=clock(lambda: target.copy_(x), device, True)[1])


def _memory(function: Callable[[Tensor], Tensor], x: Tensor, upstream: Tensor,
            device: str) -> dict[str, int]:
    inputs = [x, *_parameters(function)]
    return dict(
        saved_bytes=saved_bytes(lambda: _call(function, x)),
        peak_bytes=peak_bytes(
            lambda: torch.autograd.grad(
                _call(function, x), inputs, upstream, allow_unused=True),
            device))


def _call(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The function as mixed precision runs it, if ``x`` is half."""
    half = x.dtype in (torch.float16, torch.bfloat16)
    with torch.autocast(x.device.type, x.dtype if half else None, half):
        return function(x)


def _parameters(function: Callable) -> list[Tensor]:
    return [*function.parameters()] if isinstance(function, nn.Module) else []
