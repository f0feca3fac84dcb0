"""The kernel of the beta net computes what its modules do."""
import copy

import pytest
import torch
from torch import nn

from acon_mm import MetaAconC, functional
from acon_mm.functional import native_net

NORMS = [dict(type='BN'), dict(type='BN', momentum=.3, eps=.1), None]


def make(norm_cfg, training=True):
    act = MetaAconC(48, norm_cfg=norm_cfg, beta_scale=3.).train(training)
    for norm in act.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value in (norm.weight, norm.bias, norm.running_mean):
                nn.init.normal_(value)
            nn.init.uniform_(norm.running_var, .5, 2.)
    return act


def net_parameters(act):
    return [p for name, p in act.named_parameters() if '.' in name]


@pytest.fixture
def kernel_calls(monkeypatch):
    """How often the kernel computes a net."""
    calls, run = [], native_net.beta_net
    monkeypatch.setattr(native_net, 'beta_net',
                        lambda *args: calls.append(1) or run(*args))
    return calls


@pytest.mark.parametrize('norm_cfg', NORMS, ids=str)
@pytest.mark.parametrize('samples', [1, 2, 8])
@pytest.mark.parametrize('training', [True, False])
def test_values_gradients_and_statistics(norm_cfg, samples, training,
                                         kernel_calls):
    act = make(norm_cfg, training)
    twin = copy.deepcopy(act).double()  # float64 takes the modules
    x = torch.randn(samples, 48, 5, 5, requires_grad=True)
    upstream = torch.randn(samples, 48)
    results = []
    for net, image in ((act, x), (twin, x.detach().double())):
        image.requires_grad_()
        beta = net.compute_beta(image)
        results.append([beta, *torch.autograd.grad(
            beta, [image, *net_parameters(net)], upstream.to(image.dtype)),
            *net.buffers()])
    assert len(kernel_calls) == 1
    for ours, theirs in zip(*results, strict=True):
        # a batch of two is normalized by the difference of its samples
        torch.testing.assert_close(
            ours.double(), theirs.double(), rtol=1e-3, atol=1e-4)


def test_second_derivative():
    act = make(dict(type='BN'), training=False)
    twin = copy.deepcopy(act).double()
    x = torch.randn(3, 48, 2, 2, requires_grad=True)
    results = []
    for net, image in ((act, x), (twin, x.detach().double())):
        image.requires_grad_()
        first, = torch.autograd.grad(
            net.compute_beta(image).square().sum(), image, create_graph=True)
        results.append(torch.autograd.grad(
            first.square().sum(), [image, net.fc1.weight]))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3,
                                   atol=1e-5)


def test_second_derivative_under_the_batchs_statistics():
    act = make(dict(type='BN'))
    twin = copy.deepcopy(act).double()
    x = torch.randn(6, 48, 2, 2, requires_grad=True)
    results = []
    for net, image in ((act, x), (twin, x.detach().double())):
        image.requires_grad_()
        first, = torch.autograd.grad(
            net.compute_beta(image).square().sum(), image, create_graph=True)
        results.append(torch.autograd.grad(first.square().sum(), image)[0])
    torch.testing.assert_close(results[0].double(), results[1], rtol=1e-2,
                               atol=1e-4)
    assert act.bn1.num_batches_tracked == 1


def test_frozen_layers_get_no_gradients():
    act = make(dict(type='BN'))
    act.fc1.requires_grad_(False)
    x = torch.randn(2, 48, 3, 3)
    act.compute_beta(x).sum().backward()
    assert act.fc1.weight.grad is None
    assert act.fc2.weight.grad.isfinite().all()


def hook_the_norm(act):
    act.bn2.register_forward_hook(lambda *args: args[-1] + 1)


def drop_the_statistics(act):
    act.bn1.track_running_stats = False


def spread_the_weight(act):
    act.bn2.weight = nn.Parameter(torch.randn(96)[::2])


def spread_the_statistics(act):
    act.bn1.running_mean = torch.randn(32)[::2]


def replace_forward(act):
    act.bn1.forward = lambda x: 2. * x


@pytest.mark.parametrize('change', [
    hook_the_norm, drop_the_statistics, spread_the_weight,
    spread_the_statistics, replace_forward, nn.Module.double,
    nn.Module.bfloat16])
def test_anything_special_is_left_to_the_modules(change, kernel_calls):
    act = make(dict(type='BN'))
    change(act)
    x = torch.randn(4, 48, 3, 3).to(act.p1.dtype)
    out = x.mean((2, 3), keepdim=True)
    twin = copy.deepcopy(act)
    beta = 3. * twin.bn2(twin.fc2(twin.bn1(twin.fc1(out)))).sigmoid()
    beta = beta.flatten(1)
    torch.testing.assert_close(act.compute_beta(x), beta)
    assert not kernel_calls


@pytest.mark.parametrize('name, calls', [('auto', 1), ('native', 1),
                                         ('reference', 0), ('blocked', 0)])
def test_the_chosen_implementation_counts(name, calls, kernel_calls):
    functional.set_implementation(name)
    try:
        make(None).compute_beta(torch.randn(2, 48))
    finally:
        functional.set_implementation('auto')
    assert len(kernel_calls) == calls


def test_backward_hooks_fire():
    act, seen = make(dict(type='BN')), []
    act.bn1.register_full_backward_hook(lambda *args: seen.append(1))
    act.compute_beta(torch.randn(4, 48)).sum().backward()
    assert len(seen) == 1


def test_global_hooks_see_the_modules():
    act, seen = make(dict(type='BN')), []
    with nn.modules.module.register_module_forward_hook(
            lambda module, *args: seen.append(module)):
        act.compute_beta(torch.randn(4, 48))
    assert seen == [act.fc1, act.bn1, act.fc2, act.bn2]


def test_autocast_is_left_to_the_modules(kernel_calls):
    with torch.autocast('cpu', torch.bfloat16):
        make(None).compute_beta(torch.randn(2, 48))
    assert not kernel_calls


def test_without_a_compiler_the_modules_serve(monkeypatch, kernel_calls):
    act, x = make(dict(type='BN')).eval(), torch.randn(2, 48)
    expected = act.compute_beta(x)
    monkeypatch.setattr(native_net, 'unavailable', lambda: 'no compiler')
    torch.testing.assert_close(act.compute_beta(x), expected)
    assert len(kernel_calls) == 1
