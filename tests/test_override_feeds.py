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
