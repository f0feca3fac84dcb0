"""Tests of meta-ACON by Triton, run as those of ``triton_cases.py`` are."""
import copy

import pytest
import torch
from meta_cases import (
    LAYOUTS,
    NORMS,
    assert_is_its_double,
    assert_layout_is_its_double,
    count_calls,
    make,
)

from acon_mm import functional
from acon_mm.functional import meta
from acon_mm.functional.cpu import meta as native_meta
from acon_mm.functional.cuda import meta as triton_meta

kernels_for = meta.kernels_for


@pytest.fixture(autouse=True)
def kernel_calls(monkeypatch):
    """How often the kernels compute an activation, here on the CPU."""
    calls = count_calls(monkeypatch, triton_meta)
    monkeypatch.setattr(meta, 'kernels_for', lambda x: (
        triton_meta if triton_meta.refuses(x) is None else None))
    return calls


@pytest.mark.parametrize('norm_cfg', NORMS, ids=str)
@pytest.mark.parametrize('samples', [1, 2, 17])
@pytest.mark.parametrize('training', [True, False])
def test_values_gradients_and_statistics(norm_cfg, samples, training,
                                         kernel_calls):
    act = make(norm_cfg, training)
    # a batch of two leaves little but rounding behind a norm
    assert_is_its_double(act, [torch.randn(samples, 48, 5, 5)], rtol=2e-3)
    assert len(kernel_calls) == 1


@pytest.mark.parametrize('affine', [False, True])
@pytest.mark.parametrize('shape, dim, memory_format', LAYOUTS, ids=str)
def test_layouts(shape, dim, memory_format, affine, kernel_calls):
    assert_layout_is_its_double(shape, dim, memory_format, affine)
    # and once more for the strides
    assert len(kernel_calls) == 2 * (len(shape) > 2)


@pytest.mark.parametrize('affine', [False, True])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_half_types_have_a_net_of_float32(dtype, training, affine):
    act = make(training=training)
    twin = copy.deepcopy(act).double()
    x = torch.randn(4, 48, 9, 9).to(dtype)
    norm = [torch.randn(48), torch.randn(48)] if affine else []
    results = []
    for net, kind in ((act, dtype), (twin, torch.float64)):
        leaves = [x.to(kind, copy=True).requires_grad_()]
        leaves += [v.to(net.p1.dtype, copy=True).requires_grad_()
                   for v in norm]
        with torch.autocast('cpu', dtype, enabled=kind == dtype):
            y = net(*leaves)
        assert y.dtype == kind
        results.append([y, *torch.autograd.grad(
            y.sum(), [*leaves, *net.parameters()]), *net.buffers()])
    for value, right in zip(*results, strict=True):
        torch.testing.assert_close(
            value.double(), right.double(), rtol=0,
            atol=2e-2 * max(1., right.abs().max().item()))
    # which follow what the net computes
    for value, right in zip(act.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(
            value.double(), right.double(), rtol=1e-5, atol=1e-6)


def test_second_derivatives():
    act = make()
    twin = copy.deepcopy(act).double()
    x = torch.randn(6, 48, 2, 2)
    seconds = []
    for net in (act, twin):
        leaf = x.to(net.p1.dtype, copy=True).requires_grad_()
        first, = torch.autograd.grad(
            net(leaf).square().sum(), leaf, create_graph=True)
        seconds.append(torch.autograd.grad(
            first.square().sum(), [leaf, net.fc1.weight, net.p1]))
    for ours, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(
            ours.double(), theirs, rtol=1e-2,
            atol=1e-3 * max(1., theirs.abs().max().item()))


def test_half_types_are_twice_differentiable():
    act = make(training=False)
    x = torch.randn(2, 48, 3, 3).bfloat16().requires_grad_()
    once, = torch.autograd.grad(act(x).sum(), x)
    again, = torch.autograd.grad(act(x).sum(), x, create_graph=True)
    torch.testing.assert_close(again, once, rtol=2e-2, atol=2e-2)
    second, = torch.autograd.grad(again.sum(), x)
    assert second.dtype == x.dtype and second.isfinite().all()


def test_frozen_parameters_get_no_gradients():
    act = make()
    act.fc1.weight.requires_grad_(False)
    act(torch.randn(2, 48, 3, 3)).square().sum().backward()
    assert act.fc1.weight.grad is None
    assert act.fc2.weight.grad.isfinite().all()


def test_modules_of_another_type_are_called(kernel_calls):
    act = make(norm_cfg=dict(type='GN', num_groups=4))
    assert_is_its_double(act, [torch.randn(2, 48, 3, 3)])
    assert not kernel_calls


@pytest.mark.parametrize('shape', [(2, 48), (65, 48, 2, 2)])
def test_shapes_that_are_left_to_the_modules(shape, kernel_calls):
    assert_is_its_double(make(training=False), [torch.randn(shape)])
    assert not kernel_calls


def test_transforms_see_the_modules(kernel_calls):
    act, x = make(training=False), torch.randn(2, 48, 3, 3)
    actual = torch.func.grad(lambda x: act(x).square().sum())(x)
    assert not kernel_calls
    leaf = x.clone().requires_grad_()
    right, = torch.autograd.grad(act(leaf).square().sum(), leaf)
    torch.testing.assert_close(actual, right, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('name, kernels', [
    ('auto', native_meta), ('native', native_meta), ('triton', triton_meta),
    ('blocked', None), ('reference', None)])
def test_the_chosen_implementation_counts(name, kernels):
    functional.set_implementation(name)
    try:
        assert kernels_for(torch.randn(2, 48, 3, 3)) is kernels
    finally:
        functional.set_implementation('auto')
