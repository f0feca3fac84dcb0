"""Meta-ACON in every layout, and what its modules make of it in float64."""
import copy

import torch
from torch import nn

from acon_mm import MetaAconC

NORMS = [dict(type='BN'), dict(type='BN', momentum=.3, eps=.1), None]
# with 16 channels the beta net is wider inside than outside
LAYOUTS = [
    ((2, 48), 1, torch.contiguous_format),
    ((1, 3, 1, 1), 1, torch.contiguous_format),
    ((3, 7, 9), 1, torch.contiguous_format),
    ((2, 9, 35), -1, torch.contiguous_format),
    ((3, 4, 20, 5), 2, torch.contiguous_format),
    ((2, 20, 37, 41), 1, torch.contiguous_format),
    ((2, 35, 19, 23), 1, torch.channels_last),
    ((2, 16, 3, 5, 7), 1, torch.channels_last_3d),
    ((17, 260, 3, 2), 1, torch.contiguous_format),
]


def make(norm_cfg=dict(type='BN'), training=True, channels=48, **kwargs):
    kwargs.setdefault('init', 'paper')
    act = MetaAconC(channels, norm_cfg=norm_cfg, beta_scale=3., **kwargs)
    for norm in act.train(training).modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value in (norm.weight, norm.bias, norm.running_mean):
                nn.init.normal_(value)
            nn.init.uniform_(norm.running_var, .5, 2.)
    return act


def results(act, inputs, upstream):
    """Output, gradients and statistics."""
    leaves = [v.detach().clone().requires_grad_() for v in inputs]
    y = act(*leaves)
    return [y, *torch.autograd.grad(y, [*leaves, *act.parameters()],
                                    upstream.to(y.dtype)), *act.buffers()]


def assert_is_its_double(act, inputs, rtol=1e-3, device='cpu'):
    """Float64 takes the modules, which the kernels must agree with."""
    act, inputs = act.to(device), [v.to(device) for v in inputs]
    twin = copy.deepcopy(act).double()
    upstream = torch.randn(inputs[0].shape, device=device)
    ours = results(act, inputs, upstream)
    theirs = results(twin, [v.double() for v in inputs], upstream)
    assert_close_to(ours, theirs, rtol)


def assert_close_to(ours, theirs, rtol):
    """Compare outputs, gradients and statistics with those in float64."""
    sizes = [right.double().abs().max().item() for right in theirs]
    for value, right, size in zip(ours, theirs, sizes, strict=True):
        # what is zero but for rounding (the gradient of a bias in front of a
        # norm) is a sum of others, and as far off as they are
        size = max(sizes) if size < 1e-9 * max(sizes) else size
        torch.testing.assert_close(value.double(), right.double(), rtol=rtol,
                                   atol=rtol / 10 * max(1., size))


def assert_layout_is_its_double(shape, dim, memory_format, affine):
    """Value, gradients and strides of an input in one of LAYOUTS."""
    channels = shape[dim]
    act = make(channels=channels, channel_dim=dim, training=False)
    x = torch.randn(shape).contiguous(memory_format=memory_format)
    inputs = [x, torch.randn(channels), torch.randn(channels)]
    assert_is_its_double(act, inputs if affine else [x], rtol=2e-4)
    assert act(x).stride() == x.stride()


def count_calls(monkeypatch, kernels):
    """A list that grows whenever kernels compute an activation."""
    calls, run = [], kernels.forward
    monkeypatch.setattr(kernels, 'forward',
                        lambda *args: calls.append(1) or run(*args))
    return calls
