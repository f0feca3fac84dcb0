"""Batch norm and ACON as one op, and what it must give in float64."""
import copy
import itertools

import torch
from functional_cases import LAYOUTS, TOLERANCES
from meta_cases import assert_close_to, make
from torch import nn

from acon_mm import functional
from acon_mm.functional import norm as one_op

# a channel of one value has no variance; a sample of one pixel has a beta for
# each element
CASES = [(layout, beta) for layout, beta in itertools.product(
    LAYOUTS, ('channel', 'sample')) if layout[0] != (1, 3, 1, 1)
    and (len(layout[0]) > 2 or beta == 'channel')]
MOMENTUM, EPS = .3, .1


def describe(case):
    """A name for a test."""
    (shape, dim, memory_format), beta = case
    form = str(memory_format).removeprefix('torch.')
    return f'{"x".join(map(str, shape))}-dim{dim}-{form}-{beta}'


def leaves_of(case, dtype, level=0.):
    """x, p1, p2, beta, weight and bias; x's mean is ``level`` deviations."""
    (shape, dim, memory_format), beta = case
    generator = torch.Generator().manual_seed(0)
    channels = shape[dim]
    own = (shape[0], channels) if beta == 'sample' else (channels, )
    shapes = [shape, *[(channels, )] * 2, own, *[(channels, )] * 2]
    leaves = [torch.randn(s, generator=generator) for s in shapes]
    x = (3 * (leaves[0] + level)).to(dtype)
    leaves[0] = x.contiguous(memory_format=memory_format)
    return [leaf.requires_grad_() for leaf in leaves]


def expected(leaves, dim, upstream, mean, variance):
    """The output, the gradients and the running statistics, in float64."""
    leaves = [leaf.detach().double().requires_grad_() for leaf in leaves]
    x, p1, p2, beta, weight, bias = leaves
    x = x.movedim(dim, -1)
    rest = tuple(range(x.dim() - 1))
    batch_mean = x.mean(rest)
    squares = (x - batch_mean).square().sum(rest)
    count = x.numel() // x.size(-1)
    v = (x - batch_mean) / (squares / count + EPS).sqrt() * weight + bias
    if beta.dim() == 2:
        beta = beta.reshape(-1, *[1] * (x.dim() - 2), beta.size(1))
    d = (p1 - p2) * v
    y = (d * torch.sigmoid(beta * d) + p2 * v).movedim(-1, dim)
    grads = torch.autograd.grad(y, leaves, upstream.double())
    return [y, *grads, (1 - MOMENTUM) * mean + MOMENTUM * batch_mean,
            (1 - MOMENTUM) * variance
            + MOMENTUM * squares / (count - 1)]


def assert_matches(case, dtype, device='cpu', level=0., tolerance=None):
    """Output, gradients, running statistics, dtype and strides."""
    (_, dim, memory_format), _ = case
    leaves = leaves_of(case, dtype, level)
    generator = torch.Generator().manual_seed(1)
    upstream = torch.randn(leaves[0].shape, generator=generator).to(dtype)
    channels = leaves[1].numel()
    mean = torch.randn(channels, generator=generator)
    variance = torch.rand(channels, generator=generator) + .5
    right = expected(leaves, dim, upstream, mean.double(), variance.double())
    moved = [leaf.detach().to(device).requires_grad_() for leaf in leaves]
    running = mean.to(device), variance.to(device)
    y = functional.norm_acon(*moved[:4], *running, *moved[4:], MOMENTUM, EPS,
                             dim)
    assert y.dtype == dtype and y.stride() == leaves[0].stride()
    grads = torch.autograd.grad(y, moved, upstream.to(device))
    tolerance = tolerance or 2 * TOLERANCES[dtype]
    for value, wanted in zip((y, *grads, *running), right, strict=True):
        assert value.shape == wanted.shape
        scale = max(1., wanted.abs().max().item())
        torch.testing.assert_close(value.cpu().double(), wanted, rtol=0,
                                   atol=tolerance * scale)


def normed_meta(norm_cfg=dict(type='BN'), channels=48, **kwargs):
    """A batch norm and a meta-ACON in training, with weights that count."""
    norm = nn.BatchNorm2d(channels, momentum=.3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return nn.Sequential(norm, make(norm_cfg, channels=channels, **kwargs))


def joined(pair, x):
    """The two as one op."""
    norm, act = pair
    return act.after_norm(x, one_op.Norm(
        norm.weight, norm.bias, norm.running_mean, norm.running_var,
        norm.momentum, norm.eps))


def assert_meta_matches(pair, x, dtype=torch.float32, device='cpu',
                        tolerance=1e-3):
    """As the modules in float64, one after the other."""
    pair = pair.to(device)
    twin = copy.deepcopy(pair).double()
    upstream = torch.randn(x.shape).to(dtype).to(device)
    results = []
    for modules, run, kind in ((pair, joined, dtype),
                               (twin, nn.Module.__call__, torch.float64)):
        leaf = x.to(dtype).to(device, kind).requires_grad_()
        y = run(modules, leaf)
        assert y.dtype == kind and y.stride() == leaf.stride()
        grads = torch.autograd.grad(
            y, [leaf, *modules.parameters()], upstream.to(kind))
        results.append([y, *grads, *(b for b in modules.buffers()
                                     if b.is_floating_point())])
    assert_close_to(*results, tolerance)
