"""The Triton kernels compile for a GPU, and well, where there is none."""
import re
import subprocess

import pytest
import torch
from functional_cases import Case

from acon_mm.functional.rows import Betas
from acon_mm.functional.torch_versions import VERSION

if VERSION < (2, 8):
    pytest.skip('PyTorch before 2.8 brings a Triton whose driver differs',
                allow_module_level=True)

# ruff: noqa: E402  an old Triton has not these
from torch import nn
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import JITFunction, driver

import acon_mm
from acon_mm import AconC, MetaAconC
from acon_mm.functional import meta
from acon_mm.functional import norm as one_op
from acon_mm.functional.cuda import grid as triton_grid
from acon_mm.functional.cuda import meta as triton_meta
from acon_mm.functional.cuda import norm as triton_norm
from acon_mm.functional.cuda import op as triton

A100, H100, B200 = (GPUTarget('cuda', sm, 32) for sm in (80, 90, 100))
MI300 = GPUTarget('hip', 'gfx942', 64)


class Gpu:
    """Triton's driver of one, as far as compiling asks it."""

    def __init__(self, target):
        self.target = target

    def get_current_device(self):
        return str(self.target)

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return self.target


# kernels that move the large tensors; the others run on (N, C) at most
LARGE = {'statistics', 'forward', 'backward', 'sums', 'inputs'}


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """The kernels that launches compile; none of them runs."""
    kernels = []

    def launch(kernel, grid):
        return lambda *args, **options: kernels.append(
            kernel.warmup(*args, grid=grid, **options))

    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    monkeypatch.setattr(driver, '_active', Gpu(H100))
    monkeypatch.setattr(JITFunction, '__getitem__', launch)
    return kernels


@pytest.mark.parametrize('affine', [False, True])
@pytest.mark.parametrize('beta', ['channel', 'sample', 'element'])
@pytest.mark.parametrize('shape, memory_format', [
    ((2, 16, 100, 168), torch.contiguous_format),
    ((2, 256, 25, 40), torch.channels_last)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_kernels_compile_for_a_gpu(shape, memory_format, beta, affine, dtype,
                                   compiled, tmp_path):
    """The interpreter takes what the compiler refuses."""
    case = Case(shape, 1, beta, memory_format, affine)
    leaves = case.make(dtype)
    case.call(triton.acon, leaves).sum().backward()
    assert [kernel.metadata.name for kernel in compiled] == [
        'forward', 'backward']
    for kernel in compiled:
        ptx = kernel.asm['ptx']
        assert 'atom' not in ptx
        assert _reads_wide(kernel)
        assert not re.search(r'[ls][dt]\.global\.b16', ptx)
        registers, spilled = _usage(kernel, tmp_path)
        # a multiprocessor's 65536 are for two or three programs
        narrow = memory_format == torch.contiguous_format
        assert registers <= (80 if narrow and beta != 'element' else 128)
        # an affine of a norm and a beta per element never go together
        assert spilled == 0 or beta == 'element' and affine


@pytest.mark.parametrize('gpu', [A100, B200, MI300],
                         ids=lambda gpu: str(gpu.arch))
@pytest.mark.parametrize('dtype, memory_format', [
    (torch.float32, torch.contiguous_format),
    (torch.bfloat16, torch.channels_last)])
def test_kernels_compile_for_other_gpus(dtype, memory_format, gpu, compiled,
                                        tmp_path, monkeypatch):
    monkeypatch.setattr(driver, '_active', Gpu(gpu))
    if gpu.backend == 'hip':
        monkeypatch.setattr(torch.version, 'hip', '6.4')
        monkeypatch.setattr(triton_grid, '_launch_of',
                            triton_grid._launch_of.__wrapped__)
    case = Case((2, 256, 25, 40), 1, 'channel', memory_format, False)
    case.call(triton.acon, case.make(dtype)).sum().backward()
    assert [kernel.metadata.name for kernel in compiled] == [
        'forward', 'backward']
    for kernel in compiled:
        if gpu.backend == 'hip':
            code = kernel.asm['amdgcn']
            assert 'vgpr_spill_count: 0' in code and 'atomic' not in code
            # a wavefront of 64 threads has 512 registers, of two programs
            assert int(re.search(r'\.vgpr_count: +(\d+)', code)[1]) <= 128
        else:
            assert _usage(kernel, tmp_path)[1] == 0
            assert _reads_wide(kernel)
    # 16 bytes of x at a time
    assert gpu.backend == 'cuda' or 'load_dwordx4' in (
        compiled[0].asm['amdgcn'])


def test_the_first_kernel_compiles_for_a_gpu(compiled):
    # Triton makes a constant of every size that is one
    x = torch.zeros(1, 1, requires_grad=True)
    triton.acon(x, 1., 0., 1.).sum().backward()
    assert len(compiled) == 2


@pytest.mark.parametrize('size, vector', [(4200, 4), (1050, 2)])
def test_reads_as_wide_as_rows_are_aligned(size, vector, compiled):
    triton.acon(torch.zeros(2, 64, size), 1., 0., 1.)
    reads = re.findall(r'ld\.global(\.v\d)?\.b32', compiled[0].asm['ptx'])
    assert reads.count(f'.v{vector}') > 1


def test_a_grid_has_no_more_programs_than_cuda_takes():
    x = torch.empty(1, 1, 1 << 29, device='meta')
    for backward in (False, True):
        launch = triton_grid.Launch(x, Betas.PER_CHANNEL, False, 1, backward)
        rows, segments = launch.grid
        tile = launch.options['BLOCK_N'] * launch.options['STEPS']
        assert rows == 1 and segments <= 65535
        assert segments * tile >= x.numel() > (segments - 1) * tile


@pytest.mark.parametrize('samples, norm_cfg, training, affine', [
    (1, dict(type='BN'), True, False), (2, dict(type='BN'), True, True),
    (64, dict(type='BN'), True, False), (64, dict(type='BN'), True, True),
    (1, dict(type='BN'), False, True), (64, dict(type='BN'), False, False),
    (2, None, False, True), (64, None, False, False)])
def test_meta_acon_compiles_for_a_gpu(samples, norm_cfg, training, affine,
                                      compiled, tmp_path, monkeypatch):
    monkeypatch.setattr(meta, 'kernels_for', lambda x: triton_meta)
    act = MetaAconC(512, norm_cfg=norm_cfg).train(training)
    norm = [torch.ones(512, requires_grad=True) for _ in range(2)]
    y = act(torch.randn(samples, 512, 4, 4), *norm if affine else ())
    y.sum().backward()
    assert [kernel.metadata.name for kernel in compiled] == [
        'layer', 'layer', 'forward', 'backward', 'layer_backward',
        'layer_backward', 'means_backward']
    for kernel in compiled:
        # what every GPU has
        assert kernel.metadata.shared <= 48 << 10
        _assert_little_spilled(kernel, tmp_path)


@pytest.mark.parametrize('meta_acon', [False, True])
@pytest.mark.parametrize('shape, memory_format', [
    ((2, 16, 100, 168), torch.contiguous_format),
    ((2, 256, 25, 40), torch.channels_last)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_norm_and_acon_compile_for_a_gpu(shape, memory_format, dtype,
                                         meta_acon, compiled, tmp_path,
                                         monkeypatch):
    monkeypatch.setattr(one_op, 'kernels_for', lambda *args: triton_norm)
    monkeypatch.setattr(acon_mm.meta_acon, 'kernels_for',
                        lambda *args: triton_norm)
    x = torch.randn(shape).to(dtype).contiguous(memory_format=memory_format)
    x.requires_grad_()
    act = (MetaAconC if meta_acon else AconC)(shape[1])
    norm = nn.BatchNorm2d(shape[1])
    act.after_norm(x, one_op.Norm(
        norm.weight, norm.bias, norm.running_mean, norm.running_var, .1, 1e-5)
    ).sum().backward()
    net = meta_acon * ['layer', 'layer']
    assert [kernel.metadata.name for kernel in compiled] == [
        'statistics', 'finish', *net, 'forward', 'sums',
        *[f'{name}_backward' for name in net], 'coefficients', 'inputs']
    for kernel in compiled:
        assert 'atom' not in kernel.asm['ptx']
        assert kernel.metadata.shared <= 48 << 10
        _assert_little_spilled(kernel, tmp_path)
        if kernel.metadata.name in ('statistics', 'sums', 'inputs'):
            assert _usage(kernel, tmp_path)[0] <= 128
            assert _reads_wide(kernel)


@pytest.mark.parametrize('shape', [(16, 256, 100, 168), (64, 256, 50, 84),
                                   (256, 1024, 14, 14)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_few_threads_of_large_tensors_are_idle(shape, dtype):
    x = torch.empty(shape, dtype=dtype, device='meta')
    for backward in (False, True):
        launch = triton_grid.Launch(x, Betas.PER_CHANNEL, False, 1, backward)
        row, pixels = launch.options['BLOCK_N'], shape[2] * shape[3]
        assert -(-pixels // row) * row <= 1.4 * pixels
        assert row * launch.options['BLOCK_R'] * x.element_size() == 8192
        # a multiprocessor of an H100 has four programs at a time, of 132
        programs, segments = launch.grid
        assert programs * segments > 10 * 4 * 132


def _reads_wide(kernel):
    """Whether it reads 16 bytes at a time."""
    return 'ld.global.v4.b32' in kernel.asm['ptx'] or re.search(
        r'cp\.async\.cg\.shared\.global .*, 0x10', kernel.asm['ptx'])


def _assert_little_spilled(kernel, folder):
    # the compiler of Triton 3.8 puts one number aside
    most = 0 if kernel.metadata.name in LARGE else 8
    assert _usage(kernel, folder)[1] <= most


def _usage(kernel, folder):
    """Registers of a thread, and bytes that found no place in them."""
    (folder / 'kernel.cubin').write_bytes(kernel.asm['cubin'])
    usage = subprocess.run(
        [knobs.nvidia.cuobjdump.path, '-res-usage', folder / 'kernel.cubin'],
        check=True, capture_output=True, text=True).stdout
    return [int(re.search(rf'{kind}:(\d+)', usage)[1])
            for kind in ('REG', 'STACK')]
