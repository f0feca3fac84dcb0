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
from meta_cases import LAYOUTS, assert_is_its_double, count_calls, make

from acon_mm import functional
from acon_mm.functional.cuda import meta as triton_meta
from acon_mm.functional.cuda import op as triton
from acon_mm.functional.torch_versions import VERSION

OLD_TRITON = pytest.mark.skipif(
    VERSION < (2, 4), reason='PyTorch before 2.4 brings a Triton before 3.0')


@OLD_TRITON
@pytest.mark.parametrize('file, cases', [
    ('triton_cases.py', len(CASES)),
    ('triton_meta_cases.py', 2 * len(LAYOUTS)),
    ('triton_norm_cases.py', 20)])
def test_kernels_by_the_interpreter(file, cases):
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', f'tests/{file}'],
        cwd=Path(__file__).parents[1],
        env={**os.environ, 'TRITON_INTERPRET': '1', 'PYTEST_ADDOPTS': ''},
        capture_output=True,
        text=True)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r'(\d+) passed', done.stdout)[1]) > cases
    assert 'skipped' not in done.stdout


def test_forced_without_a_gpu_says_why(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(RuntimeError, match="'triton'.*no CUDA device.*auto"):
        functional.set_implementation('triton')


def test_an_old_triton_is_not_used(monkeypatch):
    import triton as module
    monkeypatch.setattr(module, '__version__', '2.1.0')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    with pytest.raises(RuntimeError, match='Triton 2.1.0 is older than 3.0'):
        functional.set_implementation('triton')


def test_a_compiler_takes_what_the_machine_can_run_as_a_constant():
    theirs = torch.compiler.assume_constant_result(lambda: None)
    assert vars(theirs) and (
        vars(theirs).items() <= vars(triton.unavailable).items())


@pytest.mark.skipif(VERSION < (2, 3),
                    reason='PyTorch before 2.3 has is_compiling in it alone')
def test_an_import_leaves_the_compiler_out():
    code = ("import sys, torch, mmcv.cnn, mmengine.runner; "
            "before = 'torch._dynamo' in sys.modules; import acon_mm; "
            "assert ('torch._dynamo' in sys.modules) is before")
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True)


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
@pytest.mark.parametrize('affine', [False, True])
@pytest.mark.parametrize('shape, dim, memory_format', LAYOUTS, ids=str)
def test_meta_acon_on_a_gpu(shape, dim, memory_format, affine, monkeypatch):
    calls = count_calls(monkeypatch, triton_meta)
    channels = shape[dim]
    # a batch of two leaves little but rounding behind a norm
    training = shape[0] > 2
    act = make(channels=channels, channel_dim=dim, training=training)
    x = torch.randn(shape).contiguous(memory_format=memory_format)
    inputs = [x, torch.randn(channels), torch.randn(channels)]
    assert_is_its_double(act, inputs if affine else [x], device='cuda')
    assert len(calls) == (x.dim() > 2)


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


@pytest.mark.gpu
def test_transforms_on_a_gpu():
    x = torch.randn(4, 3, 5, 5, device='cuda')

    def loss(sample):
        return functional.acon(sample[None], 1., 0., 1.).sum()

    actual = torch.func.vmap(torch.func.grad(loss))(x)
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(
        actual, torch.autograd.grad(F.silu(leaf).sum(), leaf)[0])
