"""Inputs of the op in every layout, and what it must give in float64."""
import itertools
from typing import NamedTuple

import torch


class Case(NamedTuple):
    """A shape of the input, where its channels are, and beta's kind.

    With ``affine`` the op is of scale * x + shift.
    """
    shape: tuple
    channel_dim: int
    beta: str
    memory_format: torch.memory_format = torch.contiguous_format
    affine: bool = False

    def make(self, dtype):
        """Leaves x, p1, p2, beta and, if affine, scale and shift."""
        generator = torch.Generator().manual_seed(0)
        own = torch.float64 if dtype == torch.float64 else torch.float32
        channels = self.shape[self.channel_dim]
        beta_shape = {
            'channel': (channels, ),
            'sample': (self.shape[0], channels),
            'layer': (self.shape[0], 1),
            'element': self.shape,
        }[self.beta]
        shapes = [self.shape, (channels, ), (channels, ), beta_shape]
        shapes += [(channels, )] * 2 * self.affine
        x, *parameters = (
            torch.randn(shape, generator=generator, dtype=torch.float64)
            for shape in shapes)
        x = x.to(dtype).contiguous(memory_format=self.memory_format)
        leaves = [x, *(p.to(own) for p in parameters)]
        if self.beta == 'element':
            leaves[3] = torch.empty_like(x, dtype=own).copy_(leaves[3])
        return [leaf.requires_grad_() for leaf in leaves]

    def call(self, acon, leaves):
        """Run an implementation on leaves."""
        return acon(*leaves[:4], self.channel_dim, *leaves[4:])

    def expected(self, leaves, upstream):
        """Eq. 5 of the paper and its gradients, in float64."""
        leaves = [leaf.detach().double().requires_grad_() for leaf in leaves]
        x, p1, p2, beta, *affine = leaves
        x = x.movedim(self.channel_dim, -1)
        if self.affine:
            x = affine[0] * x + affine[1]
        if beta.shape == leaves[0].shape:
            beta = beta.movedim(self.channel_dim, -1)
        elif beta.dim() == 2:
            beta = beta.reshape(-1, *[1] * (x.dim() - 2), beta.size(1))
        y = (p1 - p2) * x * torch.sigmoid(beta * (p1 - p2) * x) + p2 * x
        y = y.movedim(-1, self.channel_dim)
        return y, torch.autograd.grad(y, leaves, upstream.double())


LAYOUTS = (
    ((3, 5), 1, torch.contiguous_format),
    ((2, 7, 9), 1, torch.contiguous_format),
    ((2, 9, 7), -1, torch.contiguous_format),
    ((2, 6, 11, 13), 1, torch.contiguous_format),
    ((2, 6, 11, 13), 1, torch.channels_last),
    ((2, 3, 5, 7), 2, torch.contiguous_format),
    ((1, 3, 1, 1), 1, torch.contiguous_format),
    ((2, 3, 3, 5, 7), 1, torch.contiguous_format),
    ((2, 3, 3, 5, 7), 1, torch.channels_last_3d),
    ((3, 2, 65, 67), 1, torch.contiguous_format),
    ((2, 19, 29, 31), 1, torch.channels_last),
)

CASES = [
    Case(shape, dim, beta, memory_format)
    for (shape, dim, memory_format), beta in itertools.product(
        LAYOUTS, ('channel', 'sample', 'layer', 'element'))
] + [
    Case((2, 6, 11, 13), 1, beta, memory_format, affine=True)
    for beta, memory_format in itertools.product(
        ('channel', 'sample', 'element'),
        (torch.contiguous_format, torch.channels_last))
]


def describe(case):
    """A name for a test."""
    shape = 'x'.join(map(str, case.shape))
    name = str(case.memory_format).removeprefix('torch.')
    affine = '-affine' * case.affine
    return f'{shape}-dim{case.channel_dim}-{name}-{case.beta}{affine}'


TOLERANCES = {
    torch.float64: 1e-9,
    torch.float32: 2e-5,
    torch.float16: 2e-3,
    torch.bfloat16: 2e-2,
}


def assert_matches(acon, case, dtype, device='cpu'):
    """Value, gradients, dtype and strides of an implementation."""
    leaves = case.make(dtype)
    upstream = torch.randn(
        case.shape,
        generator=torch.Generator().manual_seed(1),
        dtype=torch.float64).to(dtype)
    y, gradients = case.expected(leaves, upstream)
    moved = [leaf.detach().to(device).requires_grad_() for leaf in leaves]
    actual = case.call(acon, moved)
    assert actual.dtype == dtype
    if case.channel_dim == 1:
        assert actual.is_contiguous(memory_format=case.memory_format)
    grads = torch.autograd.grad(actual, moved, upstream.to(device))
    for value, right, leaf in zip((actual, *grads), (y, *gradients),
                                  (moved[0], *moved)):
        assert value.dtype == leaf.dtype and value.shape == right.shape
        # a sum's error grows with its terms, not with what is left of them
        scale = max(1., right.abs().max().item())
        torch.testing.assert_close(
            value.cpu().double(), right, rtol=0,
            atol=TOLERANCES[dtype] * scale)


def calls_of(monkeypatch, module):
    """Count how often the op of a module runs."""
    calls = []
    run = module.acon
    monkeypatch.setattr(module, 'acon',
                        lambda *args: calls.append(1) or run(*args))
    return calls
