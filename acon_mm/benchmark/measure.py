"""Measuring time and memory, and saying where it was measured."""
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.utils.version_utils import get_git_hash
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

# cycles of a GPU, two or three milliseconds: no function here takes longer to
# launch its kernels
BUSY = 4_000_000


class Times(NamedTuple):
    """Milliseconds of one phase over all repeats.

    ``spread`` is the distance between the quartiles.
    """
    median: float
    spread: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> 'Times':
        if len(samples) < 2:
            return cls(samples[0], 0.)
        low, middle, high = statistics.quantiles(samples, method='inclusive')
        return cls(middle, high - low)


def interleave(runs: Mapping[str, Callable[[], Mapping[str, float]]],
               warmup: int,
               repeats: int) -> dict[str, dict[str, Times]]:
    """Time every run once, then every run again, and so on.

    What slows the machine down for a while then slows all of them.

    Args:
        runs: By name, functions that return milliseconds of each phase.
        warmup (int): Rounds that are not counted.
        repeats (int): Rounds that are.

    Returns:
        dict: ``times[name][phase]``.
    """
    samples: dict[str, dict[str, list[float]]] = {name: {} for name in runs}
    for turn in range(warmup + repeats):
        for name, run in runs.items():
            phases = run()
            if turn >= warmup:
                for phase, value in phases.items():
                    samples[name].setdefault(phase, []).append(value)
    return {
        name: {phase: Times.of(values)
               for phase, values in phases.items()}
        for name, phases in samples.items()
    }


def clock(function: Callable[[], Any], device: str,
          queued: bool = False) -> tuple[Any, float]:
    """The function's result and its milliseconds on the device.

    Args:
        function: What is timed.
        device (str): 'cpu' or 'cuda'.
        queued (bool): Whether a GPU is kept busy until the function has
            launched its kernels, which are then timed without Python: in a
            training step other kernels keep it busy. Defaults to False.
    """
    if device == 'cpu':
        start = time.perf_counter()
        result = function()
        return result, 1e3 * (time.perf_counter() - start)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    if queued:
        torch.cuda._sleep(BUSY)
    begin.record()
    result = function()
    end.record()
    end.synchronize()
    return result, begin.elapsed_time(end)


def saved_bytes(function: Callable[[], Any]) -> int:
    """Bytes that a forward pass keeps for backward, each memory once.

    Parameters are there anyway.
    """
    kept = {}

    def count(tensor: Tensor) -> Tensor:
        if isinstance(tensor, torch.nn.Parameter):
            return tensor
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
        result = function()
    del result
    return sum(kept.values())


def peak_bytes(function: Callable[[], Any], device: str) -> int:
    """Most bytes that were allocated at a time beyond those before."""
    if device != 'cpu':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(
            activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        function()
    allocated = peak = 0
    for event in record.profiler.kineto_results.events():
        if event.name() == '[memory]':
            allocated += event.nbytes()
            peak = max(peak, allocated)
    return peak


def environment(device: str) -> dict[str, str | int]:
    """What every row says about where it comes from."""
    return dict(
        machine=_processor()
        if device == 'cpu' else torch.cuda.get_device_name(),
        cores=torch.get_num_threads() if device == 'cpu' else
        torch.cuda.get_device_properties(0).multi_processor_count,
        torch=torch.__version__,
        commit=get_git_hash(digits=7) or 'unknown')


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()
