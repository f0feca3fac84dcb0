"""The Triton kernels, by the interpreter everywhere and on a GPU."""
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from functional_cases import CASES, Case, assert_matches, describe
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import JITFunction, driver

from acon_mm import functional
from acon_mm.functional import triton, triton_launch


def test_kernels_by_the_interpreter():
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', 'tests/triton_cases.py',
         'tests/triton_meta_cases.py'],
        cwd=Path(__file__).parents[1],
        env={**os.environ, 'TRITON_INTERPRET': '1'},
        capture_output=True,
        text=True)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r'(\d+) passed', done.stdout)[1]) > len(CASES)
    assert 'skipped' not in done.stdout


class H100:
    """Triton's driver of one, as far as compiling asks it."""

    def get_current_device(self):
        return 'H100'

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return GPUTarget('cuda', 90, 32)


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """The kernels that launches compile; none of them runs."""
    kernels = []

    def launch(kernel, grid):
        return lambda *args, **options: kernels.append(
            kernel.warmup(*args, grid=grid, **options))

    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    monkeypatch.setattr(driver, '_active', H100())
    monkeypatch.setattr(JITFunction, '__getitem__', launch)
    return kernels


@pytest.mark.parametrize('affine', [False, True])
@pytest.mark.parametrize('beta', ['channel', 'sample', 'element'])
@pytest.mark.parametrize('memory_format',
                         [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_kernels_compile_for_a_gpu(beta, affine, memory_format, dtype,
                                   compiled, tmp_path):
    """The interpreter takes what the compiler refuses."""
    case = Case((2, 256, 25, 40), 1, beta, memory_format, affine)
    leaves = case.make(dtype)
    case.call(triton.acon, leaves).sum().backward()
    assert [kernel.metadata.name for kernel in compiled] == [
        'forward', 'backward']
    for kernel in compiled:
        ptx = kernel.asm['ptx']
        assert 'atom' not in ptx
        # 16 bytes of x at a time
        assert 'ld.global.v4.b32' in ptx or re.search(
            r'cp\.async\.cg\.shared\.global .*, 0x10', ptx)
        assert not re.search(r'[ls][dt]\.global\.b16', ptx)
        # an affine of a norm and a beta per element never go together
        assert (_spilled_bytes(kernel, tmp_path) == 0
                or beta == 'element' and affine)


def test_the_first_kernel_compiles_for_a_gpu(compiled):
    # Triton makes a constant of every size that is one
    x = torch.zeros(1, 1, requires_grad=True)
    triton.acon(x, 1., 0., 1.).sum().backward()
    assert len(compiled) == 2


@pytest.mark.parametrize('size, vector', [(4200, 4), (1050, 2), (49, 1)])
def test_reads_as_wide_as_rows_are_aligned(size, vector, compiled):
    triton.acon(torch.zeros(2, 64, size), 1., 0., 1.)
    reads = re.findall(r'ld\.global(\.v\d)?\.b32', compiled[0].asm['ptx'])
    assert (reads.count(f'.v{vector}') > 1) == (vector > 1)


def test_a_grid_has_no_more_programs_than_cuda_takes():
    x = torch.empty(1, 1, 1 << 29, device='meta')
    parameters = (torch.ones(1), ) * 3 + (None, None)
    for backward in (False, True):
        launch = triton_launch.Launch(x, parameters, 1, backward)
        rows, segments = launch.grid
        tile = launch.options['BLOCK_N'] * launch.options['STEPS']
        assert rows == 1 and segments <= 65535
        assert segments * tile >= x.numel() > (segments - 1) * tile


def _spilled_bytes(kernel, folder):
    """Local memory that a thread of a kernel has."""
    (folder / 'kernel.cubin').write_bytes(kernel.asm['cubin'])
    usage = subprocess.run(
        [knobs.nvidia.cuobjdump.path, '-res-usage', folder / 'kernel.cubin'],
        check=True, capture_output=True, text=True).stdout
    return int(re.search(r'STACK:(\d+)', usage)[1])


def test_forced_without_a_gpu_says_why(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(RuntimeError, match="'triton'.*no CUDA device.*auto"):
        functional.set_implementation('triton')


def test_forced_without_triton_says_why(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(RuntimeError, match='Triton is not installed'):
        functional.set_implementation('triton')


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', triton.DTYPES, ids=str)
@pytest.mark.parametrize('case', CASES, ids=describe)
def test_on_a_gpu(case, dtype):
    assert_matches(triton.acon, case, dtype, 'cuda')


@pytest.mark.gpu
@pytest.mark.parametrize('case', [
    Case((4, 64, 200, 336), 1, 'channel'),
    Case((4, 64, 200, 336), 1, 'channel', torch.channels_last),
    Case((2, 3, 1, 70001), 1, 'sample'),
    Case((3, 2048, 7, 7), 1, 'sample'),
    Case((3, 2048, 7, 7), 1, 'sample', torch.channels_last),
    Case((70000, 64), 1, 'channel'),
], ids=describe)
def test_large_inputs_on_a_gpu(case):
    assert_matches(functional.acon, case, torch.float32, 'cuda')


@pytest.mark.gpu
def test_repeats_to_the_bit_on_a_gpu():
    x, *parameters = (leaf.detach().cuda().requires_grad_() for leaf in Case(
        (4, 64, 100, 168), 1, 'sample').make(torch.bfloat16))
    results = []
    for _ in range(3):
        y = functional.acon(x, *parameters)
        results.append([y, *torch.autograd.grad(y.sum(), (x, *parameters))])
    for result in results[1:]:
        assert all(map(torch.equal, results[0], result))


@pytest.mark.gpu
def test_auto_is_triton_on_a_gpu(monkeypatch):
    x = torch.randn(2, 3, 8, 8, device='cuda')
    calls = []
    run = triton.acon
    monkeypatch.setattr(triton, 'acon',
                        lambda *args: calls.append(1) or run(*args))
    torch.testing.assert_close(functional.acon(x, 1., 0., 1.), F.silu(x))
    assert len(calls) == 1


@pytest.mark.gpu
def test_without_triton_on_a_gpu(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    case = Case((2, 3, 33, 35), 1, 'sample')
    assert_matches(functional.acon, case, torch.bfloat16, 'cuda')


@pytest.mark.gpu
def test_compiles_by_inductor_on_a_gpu():
    leaves = [leaf.detach().cuda().requires_grad_() for leaf in Case(
        (2, 6, 31, 33), 1, 'sample').make(torch.float32)]

    def layer(*inputs):
        return functional.acon(*inputs).square().sum()

    eager = torch.autograd.grad(layer(*leaves), leaves)
    compiled = torch.compile(layer, fullgraph=True)
    torch.testing.assert_close(
        torch.autograd.grad(compiled(*leaves), leaves), eager)


@pytest.mark.gpu
def test_keeps_half_under_autocast_on_a_gpu():
    x = torch.randn(2, 3, 8, 8, device='cuda', dtype=torch.float16)
    p1 = torch.randn(3, device='cuda', requires_grad=True)
    with torch.autocast('cuda'):
        assert functional.acon(x, p1, 0., 1.).dtype == torch.float16
