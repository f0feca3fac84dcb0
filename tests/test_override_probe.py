"""Where the channels are, by images of different sizes."""
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import acons

from acon_mm import swap_activations
from acon_mm.probe.inputs import feeds


class Probed(nn.Module):
    """A backbone whose source hides what arrives at its activation."""
    sizes: list = []  # of the class: those of an object are given back

    def __init__(self, *smallest):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.smallest = smallest

    def arrange(self, x):
        return x

    def forward(self, x):
        self.sizes.append(tuple(x.shape[2:]))
        assert x.shape[2:] >= self.smallest
        return self.relu(self.arrange(self.conv(x)))


class Tokens(Probed):

    def arrange(self, x):
        return x.flatten(2).transpose(1, 2)


class Sequence(Probed):

    def arrange(self, x):
        return x.flatten(2)


class ChannelsLast(Probed):

    def arrange(self, x):
        return x.permute(0, 2, 3, 1)


class Vector(Probed):

    def arrange(self, x):
        return x.mean((2, 3))


class Normed(Probed):
    """By all channels, and for images of one size only."""

    def __init__(self, side=32):
        super().__init__()
        self.img_size, self.side = 2 * side, side

    def arrange(self, x):
        assert x.size(2) == x.size(3) == self.side
        return x * x.square().mean(1, keepdim=True).rsqrt()


class NormedLast(Normed):

    def arrange(self, x):
        return super().arrange(x).permute(0, 2, 3, 1)


class Square(Probed):

    def arrange(self, x):
        assert x.size(2) == x.size(3)
        return x


@pytest.mark.parametrize('cls, channel_dim', [
    (Probed, 1), (Tokens, -1), (Sequence, 1), (ChannelsLast, -1),
    (Vector, -1), (Square, 1)])
def test_the_channels_do_not_follow_the_image(cls, channel_dim):
    model = cls()
    swap_activations(model, dict(type='AconC'))
    act, = acons(model).values()
    assert (act.num_channels, act.channel_dim) == (8, channel_dim)
    model(torch.randn(2, 3, 48, 48))
    assert model.training


def test_a_norm_over_the_channels_leaves_them_where_they_were():
    model = Normed()
    swap_activations(model, dict(type='AconC'))
    assert (model.relu.num_channels, model.relu.channel_dim) == (8, 1)
    # moved behind it, they could be anywhere; as long as a side they are too
    for side in (32, 8):
        report = swap_activations(NormedLast(side), dict(type='AconC'))
        assert [one.path for one in report.left] == ['relu']


def test_a_larger_image_where_a_small_one_fails():
    model = Probed(200, 200)
    swap_activations(model, dict(type='AconC'))
    assert model.relu.num_channels == 8
    assert (256, 320) in model.sizes and (64, 64) in model.sizes


def test_a_pass_that_fails_tells_no_width():
    with pytest.raises(ValueError, match=r'Probed.relu .* cannot be known'):
        swap_activations(Probed(1000, 1000), dict(type='AconC'))


@pytest.mark.parametrize('size, batch', [(224, 2), (1024, 1)])
def test_large_images_are_run_one_by_one(size, batch):
    net = nn.Sequential(nn.Conv2d(3, 4, 1))
    net.img_size = size  # as a transformer of one size has it
    (image, ), _ = next(feeds(net)).second()
    assert image.shape == (batch, 3, size, size)


class Pairs(nn.Module):
    """Similarities, as many as there are images in the batch."""

    def __init__(self):
        super().__init__()
        self.fc, self.relu = nn.Linear(8, 4), nn.ReLU()

    def forward(self, x):
        z = self.relu(self.fc(x))
        return F.relu(z @ z.t())


class Scores(nn.Module):
    """One number a token."""

    def __init__(self):
        super().__init__()
        self.fc, self.one, self.relu = (
            nn.Linear(8, 4), nn.Linear(4, 1), nn.ReLU())

    def forward(self, x):
        x = self.relu(self.fc(x))
        return F.relu(self.one(x).squeeze(-1))


class PositiveWeight(nn.Module):

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(5, 4))
        self.fc, self.relu = nn.Linear(8, 4), nn.ReLU()

    def forward(self, x):
        return F.linear(self.relu(self.fc(x)), F.relu(self.w))


class Scalars(nn.Module):
    """One helper for maps and a number."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 1), nn.ReLU()
        self.gain = nn.Parameter(torch.ones(()))

    def act(self, x):
        return F.relu(x)

    def forward(self, x):
        return self.act(self.gain) * self.act(self.relu(self.conv(x)))


@pytest.mark.parametrize('given', [False, True])
@pytest.mark.parametrize('cls, inputs, kept', [
    (Pairs, torch.randn(5, 8), 1), (Scores, torch.randn(5, 6, 8), 1),
    (PositiveWeight, torch.randn(5, 8), 1),
    (Scalars, torch.randn(5, 3, 4, 4), 1)])
def test_no_batch_length_or_weight_is_taken_for_channels(
        cls, inputs, kept, given):
    model = cls()
    report = swap_activations(model, dict(type='AconC'), 'all',
                              inputs=(inputs, ) if given else None)
    assert [one.path for one in report.swapped] == ['relu']
    # of Scalars' helper, each call
    assert {one.reason for one in report.left} == {
        'its width is not to be seen'}
    assert len(report.left) == 1 + (cls is Scalars)
    model(inputs[:3])  # as many as nobody has seen
    model(inputs.repeat(2, *[1] * (inputs.dim() - 1)))


class Squeezed(nn.Module):
    """Of one image squeeze() takes the batch as well."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4, 6)

    def forward(self, x):
        x = self.conv(x).mean((2, 3), keepdim=True).squeeze()
        return F.relu(self.fc(F.relu(x)))


class Halved(nn.Module):
    """Two views of each image, one after the other."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        a, b = F.relu(self.conv(x)).chunk(2)
        return a * b


def test_an_activation_that_one_image_would_break_is_left():
    model = Squeezed()
    report = swap_activations(model, dict(type='AconC'), 'all')
    assert {one.path for one in report.left} == {'act1', 'act2'}
    assert model(torch.randn(1, 3, 4, 4)).shape == (6, )


def test_a_model_that_halves_its_batch_is_seen():
    model = Halved()
    report = swap_activations(model, dict(type='AconC'), 'all')
    assert {one.path: one.width for one in report.swapped} == {'act1': 4}


class Spatial(nn.Module):
    """A gate that most channels do not pass, and what it opens."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.gate = nn.Sequential(
            nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1))

    def forward(self, x):
        x = self.conv(x)
        return F.relu(x * self.gate(x).sigmoid())


@pytest.mark.parametrize('seed', range(12))
def test_no_side_of_an_image_is_taken_for_channels(seed):
    torch.manual_seed(seed)
    model = Spatial()
    swap_activations(model, dict(type='AconC'), 'all',
                     inputs=(torch.randn(1, 3, 8, 8), ))
    assert all((act.num_channels, act.channel_dim) == (4, 1)
               for name, act in acons(model).items() if name == 'act1')
    model(torch.randn(2, 3, 6, 10))


class Summed(nn.Module):
    """What is left of a vector is a number, and of tokens a vector."""

    def __init__(self):
        super().__init__()
        self.fc, self.relu = nn.Linear(5, 4), nn.ReLU()

    def forward(self, x):
        return F.relu(self.relu(self.fc(x)).sum(1))


def test_vectors_are_tried_before_tokens():
    model = Summed()
    swap_activations(model, dict(type='AconC'), 'all')
    assert [*acons(model)] == ['relu']
    assert model(torch.randn(4, 5)).shape == (4, )
    assert model(torch.randn(4, 7, 5)).shape == (4, 4)
