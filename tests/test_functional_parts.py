"""The general smooth maximum and the mean of a beta net."""
import pytest
import torch

from acon_mm import functional


def test_smooth_maximum_by_its_definition():
    a, b, c = torch.randn(3, 4, 5, dtype=torch.float64)
    weights = [torch.exp(.7 * v) for v in (a, b, c)]
    total = a * weights[0] + b * weights[1] + c * weights[2]
    torch.testing.assert_close(
        functional.smooth_maximum(a, b, c, beta=.7), total / sum(weights))


@pytest.mark.parametrize('beta, limit', [
    (1e9, torch.Tensor.amax), (0., torch.Tensor.mean),
    (-1e9, torch.Tensor.amin)])
def test_smooth_maximum_limits(beta, limit):
    values = torch.randn(4, 9)
    torch.testing.assert_close(
        functional.smooth_maximum(*values, beta=beta), limit(values, dim=0))


def test_smooth_maximum_of_two_lines_is_acon():
    x = torch.randn(2, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(
        functional.smooth_maximum(1.5 * x, -.2 * x, beta=2.),
        functional.acon(x, 1.5, -.2, 2.))


def test_smooth_maximum_keeps_half_and_broadcasts():
    a, b = torch.randn(4, 1).half(), torch.randn(5).half()
    y = functional.smooth_maximum(a, b, beta=torch.ones(5))
    assert y.dtype == torch.float16 and y.shape == (4, 5)


def test_smooth_maximum_of_nothing():
    with pytest.raises(ValueError, match='got no inputs'):
        functional.smooth_maximum(beta=1.)


@pytest.mark.parametrize('shape, channel_dim, rest', [
    ((2, 3, 4, 5), 1, (2, 3)), ((2, 4, 3), -1, (1, )),
    ((2, 3, 2, 2, 2), 1, (2, 3, 4)), ((2, 3, 4, 5), 2, (1, 3))])
def test_channel_mean(shape, channel_dim, rest):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    mean = functional.channel_mean(x, channel_dim)
    torch.testing.assert_close(mean, x.mean(rest))
    assert torch.autograd.gradcheck(functional.channel_mean, (x, channel_dim))
    assert torch.autograd.gradgradcheck(functional.channel_mean,
                                        (x, channel_dim))


def test_channel_mean_of_single_pixels_is_the_input():
    x = torch.randn(2, 3)
    assert functional.channel_mean(x) is x


def test_channel_mean_of_half_does_not_overflow():
    x = torch.full((1, 1, 400, 400), 100.).half()
    assert functional.channel_mean(x).item() == 100.


def test_gradient_of_channel_mean_takes_no_memory():
    x = torch.randn(2, 3, 100, 100, requires_grad=True)
    gradient, = torch.autograd.grad(functional.channel_mean(x).sum(), x)
    assert gradient.shape == x.shape
    assert gradient.untyped_storage().nbytes() == 2 * 3 * 4
