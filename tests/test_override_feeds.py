"""On what the override runs a model, and what that tells."""
import pytest
import torch
import torch.nn.functional as F
from override_cases import acons, swap, widths
from torch import nn

from acon_mm import swap_activations


class Classifier(nn.Module):
    """Its linear layer fits images of one size alone."""

    def __init__(self, features):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, 2)
        self.fc = nn.Linear(features, 4)

    def forward(self, x):
        return self.fc(F.relu(self.conv(x)).flatten(1))


@pytest.mark.parametrize('side', [10, 28, 100])
def test_a_classifier_says_what_size_it_wants(side):
    model = Classifier(8 * ((side - 3) // 2 + 1)**2)
    report = swap(model)
    assert [(s.width, s.ran) for s in report.swapped] == [(8, True)]
    assert not report.blind


def test_a_model_that_did_not_run_is_said_so_beside_its_parts(log):
    class Unknown(nn.Module):
        """Its part runs; its own forward wants a word."""

        def __init__(self):
            super().__init__()
            self.part = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

        def forward(self, x, times):
            return F.relu(self.part(x) * dict(once=1, twice=2)[times])

    report = swap(Unknown())
    assert [s.path for s in report.swapped] == ['part.1']
    assert report.functional == [('forward', 'relu')]
    assert report.blind.startswith('Unknown runs on nothing that was tried (')
    assert 'hand swap_activations(inputs=...) what' in log[-1]
    inputs = torch.randn(2, 3, 8, 8), 'twice'
    report = swap_activations(Unknown(), dict(type='AconC'), 'all',
                              inputs=inputs)
    assert len(report.swapped) == 2 and not report.blind


class Normalized(nn.Module):
    """Each channel depends on all, and there are as many as rows."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        x = self.conv(x)
        return F.relu((x - x.mean(1, True)) / x.std(1, keepdim=True))


def test_given_images_are_cropped_to_tell_the_channels():
    model, x = Normalized(), torch.randn(2, 3, 8, 8)
    before = x.clone()
    report = swap_activations(model, dict(type='AconC'), 'all', inputs=(x, ))
    assert [s.width for s in report.swapped] == [8]
    assert [act.channel_dim for act in acons(model).values()] == [1]
    assert torch.equal(x, before)


def test_a_product_with_a_weight_and_a_shuffle_say_where_channels_are():
    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 16, 3)
            self.weight = nn.Parameter(torch.randn(4, 6))

        def forward(self, x):
            x = F.relu(F.pixel_shuffle(self.conv(x), 2)).mean((2, 3))
            return F.relu(x @ self.weight)

    model = Net()
    swap_activations(model, dict(type='AconC'), 'all',
                     inputs=(torch.randn(4, 3, 4, 4), ))
    assert widths(model) == {'act1': 4, 'act2': 6}


def test_a_classifier_that_gets_nothing_of_a_small_image():
    class Cropping(Classifier):

        def forward(self, x):
            x = F.relu(self.conv(x)).flatten(1)
            return self.fc(x if x.size(1) > 8 * 48**2 else x[:, :0])

    report = swap(Cropping(8 * 49**2))  # of 100 pixels
    assert [s.width for s in report.swapped] == [8] and not report.blind


class Positions(nn.Module):
    """Knows images of one size, and distills: no gradient for a teacher."""

    def __init__(self, side, first=False):
        super().__init__()
        self.first = first
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.positions = nn.Parameter(torch.randn(1, (side // 4)**2, 8))
        self.teacher = nn.Sequential(nn.Linear(8, 16), nn.GELU())
        self.student = nn.Sequential(nn.Linear(8, 16), nn.GELU())

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = self.positions + x if self.first else x + self.positions
        with torch.no_grad():
            y = self.teacher(x)
        return (self.student(x) - y).square().mean((1, 2))


@pytest.mark.parametrize('first', [False, True])
@pytest.mark.parametrize('side', [24, 32, 56, 224])
def test_a_sum_says_how_many_positions_it_wants(side, first):
    model = Positions(side, first)
    report = swap(model)
    assert [s.path for s in report.swapped] == ['student.1']
    assert [(entry.path, entry.reason) for entry in report.left] == [
        ('teacher.1', 'no gradient reaches it')]
    assert not report.blind


def test_what_runs_in_parts_alone_is_told():
    class Distilling(Positions):

        def forward(self, x, temperature):
            return super().forward(x) / dict(hot=2., cold=1.)[temperature]

    report = swap(Distilling(32))
    assert {s.path for s in report.swapped} == {'teacher.1', 'student.1'}
    assert report.blind.startswith('Distilling runs on nothing that was')


SIZES: list[int] = []


class Attention(nn.Module):
    """From each pixel to each; its second input is another's."""

    def __init__(self):
        super().__init__()
        self.proj, self.key = nn.Conv2d(8, 8, 1), nn.Linear(6, 8)

    def forward(self, x, context=None):
        x = self.proj(x).flatten(2).transpose(1, 2)
        SIZES.append(x.size(1))
        x = x + (x @ x.transpose(1, 2)).softmax(-1) @ x
        return F.gelu(x + self.key(x if context is None else context))


def test_a_number_that_no_size_changes_ends_the_search():
    SIZES.clear()
    with pytest.raises(ValueError, match='hand swap_activations.inputs='):
        swap(Attention())
    assert SIZES and max(SIZES) <= 96 * 160


class Pairs(nn.Module):
    """Of each part of an image with each; refuses what is small."""

    def __init__(self, product):
        super().__init__()
        self.proj, self.product = nn.Conv2d(3, 4, 8, 8), product

    def forward(self, x):
        x = self.proj(x).flatten(2)
        pairs = (x.transpose(1, 2) @ x if self.product
                 else x[:, 0, :, None] - x[:, 0, None])
        SIZES.append(pairs.numel())
        assert x.size(2) > 99999, 'more pixels, please'
        return F.relu(pairs)


@pytest.mark.parametrize('product', [False, True])
def test_no_try_takes_the_memory_of_the_machine(product, monkeypatch):
    monkeypatch.setattr('acon_mm.probe.sizes.LARGEST_RESULT', 2**20)
    SIZES.clear()
    with pytest.raises(ValueError, match='more pixels, please'):
        swap(Pairs(product))
    assert SIZES and max(SIZES) <= 2**20


class OwnParameters(nn.Module):

    def __init__(self):
        super().__init__()
        self.vars = nn.ParameterList([nn.Parameter(torch.randn(6, 3, 3, 3))])

    def forward(self, x):
        return F.relu(F.conv2d(x, self.vars[0]))

    def parameters(self):
        return self.vars


def test_a_model_may_say_itself_what_its_parameters_are():
    model = OwnParameters()
    assert [s.width for s in swap(model).swapped] == [6]
    assert len(model.parameters()) == 1


class OwnStatistics(nn.Module):
    """MAML's learners keep all in one list."""

    def __init__(self, named):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.named = named
        self.statistics = nn.ParameterList(
            nn.Parameter(torch.ones(6), requires_grad=False)
            for _ in range(2))

    def forward(self, x):
        mean, var = self.statistics
        x = self.conv(x)
        return F.relu(F.batch_norm(
            x, running_mean=mean, running_var=var, training=True)
            if self.named else F.batch_norm(x, mean, var, training=True))


@pytest.mark.parametrize('named', [False, True])
def test_statistics_that_are_parameters_stay(named):
    model = OwnStatistics(named)
    assert len(swap(model).swapped) == 1
    assert all((kept == 1).all() for kept in model.statistics)


def test_a_layer_that_gives_no_channels_is_left():
    empty = nn.Sequential(nn.Linear(4, 0), nn.ReLU(), nn.Linear(0, 4))
    report = swap(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), empty))
    assert [(s.path, s.width) for s in report.swapped] == [('1', 4)]
    assert [entry.path for entry in report.left] == ['2.1']


class Graph(nn.Module):

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.randn(5, 8))
        self.second = nn.Parameter(torch.randn(8, 3))

    def forward(self, x, adjacency):
        x = F.relu(adjacency.mm(torch.mm(x, self.first)))
        return adjacency.mm(x.mm(self.second))


@pytest.mark.parametrize('sparse', [False, True])
def test_a_graph_of_given_nodes(sparse):
    model, nodes = Graph(), torch.eye(10)
    swap_activations(model, dict(type='AconC'), 'all', inputs=(
        torch.randn(10, 5), nodes.to_sparse() if sparse else nodes))
    assert widths(model) == {'act1': 8}


def test_a_weight_that_is_turned_says_where_channels_are():
    class Turned(nn.Module):

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(8, 2))

        def forward(self, x):
            return F.relu(x.matmul(self.weight.permute(-1, -2)))

    model = Turned()
    swap_activations(model, dict(type='AconC'), 'all',
                     inputs=(torch.randn(2, 7, 2), ))
    assert widths(model) == {'act1': 8}


class Joined(nn.Module):
    """Half of the channels come by a layer, as in a U-Net."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 1)

    def forward(self, x):
        x = self.down(x)
        x = torch.cat([x.exp(), self.up(x)], 1)
        return F.relu(x)


def test_channels_that_are_put_together():
    model = Joined()
    swap_activations(model, dict(type='AconC'), 'all',
                     inputs=(torch.randn(1, 3, 4, 4), ))
    assert widths(model) == {'act1': 12}
