"""Tests of norm and ACON by Triton, run as ``triton_cases.py`` is."""
import math

import pytest
import torch
from norm_cases import (
    CASES,
    assert_matches,
    assert_meta_matches,
    describe,
    normed_meta,
)
from triton_cases import small_tiles  # noqa: F401  a fixture

from acon_mm import functional
from acon_mm.functional import dispatch
from acon_mm.functional.cuda import norm as kernels


@pytest.fixture(autouse=True)
def calls(monkeypatch, small_tiles):  # noqa: F811
    """Triton computes the op, here on the CPU; grows whenever it does."""
    monkeypatch.setattr(dispatch, 'choose_kernels', lambda x, _, cuda, *args: (
        cuda if cuda.refuses(x, *args) is None else None))
    seen, run = [], kernels.forward
    monkeypatch.setattr(kernels, 'forward',
                        lambda *args: seen.append(1) or run(*args))
    return seen


# the interpreter takes seconds for the large ones
@pytest.mark.parametrize('case', [
    case for case in CASES if math.prod(case[0][0]) < 5000], ids=describe)
def test_value_gradients_and_statistics(case, calls):
    assert_matches(case, torch.float32)
    assert len(calls) == 1


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize('case', [CASES[6], CASES[9]], ids=describe)
def test_half_types(case, dtype, calls):
    assert_matches(case, dtype)
    assert len(calls) == 1


@pytest.mark.parametrize('memory_format', [torch.contiguous_format,
                                           torch.channels_last], ids=str)
def test_a_mean_far_from_zero(memory_format):
    assert_matches((((3, 6, 11, 13), 1, memory_format), 'channel'),
                   torch.float32, level=300., tolerance=1e-3)


def test_what_is_not_a_number_stays_so():
    x = torch.randn(2, 3, 8, 8)
    x[1, 1, 3, 3] = torch.nan
    variance = torch.ones(3)
    y = functional.norm_acon(x, 1., 0., 1., torch.zeros(3), variance)
    channels = torch.tensor([False, True, False])
    assert torch.equal(y.isnan().any(0).any(-1).any(-1), channels)
    assert torch.equal(variance.isnan(), channels)


@pytest.mark.parametrize('shape, memory_format, norm_cfg', [
    ((1, 48, 5, 4), torch.contiguous_format, dict(type='BN')),
    ((6, 48, 5, 4), torch.contiguous_format, dict(type='BN')),
    ((3, 48, 3, 3), torch.channels_last, dict(type='BN')),
    ((3, 48, 3, 3), torch.contiguous_format, None)])
def test_meta_acon(shape, memory_format, norm_cfg, calls):
    x = torch.randn(shape).contiguous(memory_format=memory_format)
    assert_meta_matches(normed_meta(norm_cfg), x + 2.)
    assert len(calls) == 1
