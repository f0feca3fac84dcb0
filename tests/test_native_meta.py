"""Meta-ACON's kernel on the CPU computes what its modules do."""
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
    results,
)
from torch import nn

from acon_mm import functional
from acon_mm.benchmark.measure import saved_bytes
from acon_mm.beta_net import plain_net
from acon_mm.functional.cpu import build as native_build
from acon_mm.functional.cpu import meta as native_meta
from acon_mm.functional.cpu import op as native


@pytest.fixture
def kernel_calls(monkeypatch):
    """How often the kernel computes an activation."""
    return count_calls(monkeypatch, native_meta)


@pytest.mark.parametrize('norm_cfg', NORMS, ids=str)
@pytest.mark.parametrize('samples', [1, 2, 8])
@pytest.mark.parametrize('training', [True, False])
def test_values_gradients_and_statistics(norm_cfg, samples, training,
                                         kernel_calls):
    assert_is_its_double(
        make(norm_cfg, training), [torch.randn(samples, 48, 5, 5)])
    assert len(kernel_calls) == 1


@pytest.mark.parametrize('affine', [False, True])
@pytest.mark.parametrize('shape, dim, memory_format', LAYOUTS, ids=str)
def test_layouts(shape, dim, memory_format, affine, kernel_calls):
    assert_layout_is_its_double(shape, dim, memory_format, affine)
    # and once more for the strides
    assert len(kernel_calls) == 2


@pytest.mark.parametrize('shape, dim, memory_format', LAYOUTS, ids=str)
def test_threads_and_short_chunks(shape, dim, memory_format, monkeypatch):
    act = make(channels=shape[dim], channel_dim=dim, training=False)
    x = torch.randn(shape).contiguous(memory_format=memory_format)
    upstream = torch.randn(shape)
    alone = results(act, [x], upstream)
    native.make_plan.cache_clear()  # made with the constants
    monkeypatch.setattr(native, 'GRAIN', 8)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 3)
    for value, right in zip(results(act, [x], upstream), alone, strict=True):
        assert torch.equal(value, right)
    monkeypatch.setattr(native, 'CHUNK', 4)
    native.make_plan.cache_clear()
    for value, right in zip(results(act, [x], upstream), alone, strict=True):
        torch.testing.assert_close(value, right, rtol=1e-3, atol=1e-3)


def test_inputs_that_are_not_dense():
    act = make()
    x = torch.randn(4, 6, 48, 10).transpose(1, 2)[..., ::2]
    assert_is_its_double(act, [x])
    y = act(x.clone().requires_grad_())
    y.sum().backward()  # an expanded upstream gradient
    assert act.p1.grad.isfinite().all()


def test_nothing_is_kept_beside_the_input():
    x = torch.randn(2, 48, 80, 80, requires_grad=True)
    kept = saved_bytes(lambda: make()(x))
    assert kept <= 1.01 * x.numel() * x.element_size()


@pytest.mark.parametrize('affine', [False, True])
@pytest.mark.parametrize('training', [True, False])
def test_second_derivatives(training, affine):
    act = make(training=training)
    twin = copy.deepcopy(act).double()
    x, upstream = torch.randn(6, 48, 2, 2), torch.randn(6, 48, 2, 2)
    norm = [torch.randn(48), torch.randn(48)] if affine else []
    seconds = []
    for net, dtype in ((act, torch.float32), (twin, torch.float64)):
        leaves = [v.to(dtype, copy=True).requires_grad_() for v in (x, *norm)]
        firsts = torch.autograd.grad(
            net(*leaves), leaves, upstream.to(dtype), create_graph=True)
        seconds.append(torch.autograd.grad(
            sum(first.square().sum() for first in firsts),
            [*leaves, net.fc1.weight, net.p1]))
    for ours, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(
            ours.double(), theirs, rtol=1e-2,
            atol=1e-3 * max(1., theirs.abs().max().item()))
    assert act.bn1.num_batches_tracked == training


@pytest.mark.parametrize('frozen, trained', [
    ('fc1.weight', 'fc2.weight'), ('bn2.bias', 'bn2.weight'),
    ('p1', 'p2')])
def test_frozen_parameters_get_no_gradients(frozen, trained):
    act, x = make(), torch.randn(2, 48, 3, 3)
    act.get_parameter(frozen).requires_grad_(False)
    act(x).square().sum().backward()
    assert act.get_parameter(frozen).grad is None
    assert act.get_parameter(trained).grad.isfinite().all()


@pytest.mark.parametrize('where', ['x', 'fc1.weight', 'bn2.bias'])
def test_what_is_no_number_shows(where):
    act, x = make(None if where == 'x' else dict(type='BN')), torch.randn(
        2, 48, 3, 3)
    with torch.no_grad():
        (x if where == 'x' else act.get_parameter(where)).view(-1)[0] = (
            float('nan'))
    assert act(x)[0, 0].isnan().all()


def hook_the_norm(act):
    act.bn2.register_forward_hook(lambda *args: args[-1] + 1)


def drop_the_statistics(act):
    act.bn1.track_running_stats = False


def drop_the_weight(act):
    act.bn2.weight = None


def drop_the_count(act):
    act.bn1.num_batches_tracked = None


def spread_the_weight(act):
    act.bn2.weight = nn.Parameter(torch.randn(96)[::2])


def spread_the_statistics(act):
    act.bn1.running_mean = torch.randn(32)[::2]


def spread_the_slopes(act):
    act.p1 = nn.Parameter(torch.randn(96)[::2])


def replace_forward(act):
    act.bn1.forward = lambda x: 2. * x


@pytest.mark.parametrize('change', [
    hook_the_norm, drop_the_statistics, drop_the_weight, drop_the_count,
    spread_the_weight,
    spread_the_statistics, spread_the_slopes, replace_forward,
    nn.Module.double, nn.Module.bfloat16])
def test_anything_special_is_left_to_the_modules(change, kernel_calls):
    act = make()
    change(act)
    x = torch.randn(4, 48, 3, 3).to(act.p1.dtype)
    mean = x.mean((2, 3), keepdim=True)
    twin = copy.deepcopy(act)
    beta = 3. * twin.bn2(twin.fc2(twin.bn1(twin.fc1(mean)))).sigmoid()
    expected = functional.acon(x, act.p1, act.p2, beta.flatten(1))
    torch.testing.assert_close(act(x), expected)
    assert not kernel_calls


def test_a_layer_of_another_width_is_refused_by_its_module(kernel_calls):
    act = make()
    act.bn1 = nn.BatchNorm2d(5)
    with pytest.raises(RuntimeError, match='16'):
        act(torch.randn(2, 48, 3, 3))
    assert not kernel_calls


def test_parameters_on_another_device_are_not_read():
    act, elsewhere = make(), make().to('meta')
    x = torch.randn(2, 48, 3, 3)
    slopes = act.p1, act.p2, None, None
    assert plain_net(x, 1, slopes, act._net(), 1.) is not None
    assert plain_net(x, 1, slopes, elsewhere._net(), 1.) is None


def test_scale_without_shift():
    with pytest.raises(ValueError, match='one of scale and shift'):
        make()(torch.randn(2, 48, 3, 3), torch.ones(48))


@pytest.mark.parametrize('name, calls', [('auto', 1), ('native', 1),
                                         ('reference', 0), ('blocked', 0)])
def test_the_chosen_implementation_counts(name, calls, kernel_calls):
    functional.set_implementation(name)
    try:
        make()(torch.randn(2, 48))
    finally:
        functional.set_implementation('auto')
    assert len(kernel_calls) == calls


def test_backward_hooks_fire():
    act, seen = make(), []
    act.bn1.register_full_backward_hook(lambda *args: seen.append(1))
    act(torch.randn(4, 48)).sum().backward()
    assert len(seen) == 1


def test_global_hooks_see_the_modules():
    act, seen = make(), []
    with nn.modules.module.register_module_forward_hook(
            lambda module, *args: seen.append(module)):
        act(torch.randn(4, 48))
    assert seen == [act.fc1, act.bn1, act.fc2, act.bn2, act]


def test_autocast_is_left_to_the_modules(kernel_calls):
    with torch.autocast('cpu', torch.bfloat16):
        make()(torch.randn(2, 48))
    assert not kernel_calls


def test_without_a_compiler_the_modules_serve(monkeypatch, kernel_calls):
    act, x = make(training=False), torch.randn(2, 48)
    expected = act(x)
    monkeypatch.setattr(native_build, 'load', lambda *args: (
        native_build.Build(None, 'no compiler')))
    torch.testing.assert_close(act(x), expected)
    assert len(kernel_calls) == 1
