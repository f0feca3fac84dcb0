"""Numbers that are special: nested, positive only, infinite."""
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from override_cases import acons, all_gradients, left, swap, widths

from acon_mm import swap_activations

TOKENS = torch.randn(3, 5, 8, generator=torch.manual_seed(2))


def image(*shape):
    return torch.randn(shape, generator=torch.manual_seed(3))


@pytest.mark.parametrize('act_cfg', [
    dict(type='AconC'), dict(type='MetaAconC', channel_dim=-1)])
@torch.no_grad()
def test_an_encoder_of_padded_sentences(act_cfg):
    layer = nn.TransformerEncoderLayer(8, 2, 12, 0., batch_first=True)
    stock = nn.TransformerEncoder(layer, 2).eval()
    padding = torch.arange(5) >= torch.tensor([[5], [3], [2]])
    expected = stock(TOKENS, src_key_padding_mask=padding)
    model = nn.TransformerEncoder(layer, 2).eval()
    model.load_state_dict(stock.state_dict())
    swap_activations(model, act_cfg, 'all')
    assert len(acons(model)) == 2
    found = model(TOKENS, src_key_padding_mask=padding)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=.05, rtol=0)


class Nested(nn.Module):

    def __init__(self, factor=None):
        super().__init__()
        self.f, self.factor = nn.Linear(8, 6), factor

    def forward(self, first, second):
        x = self.f(torch.nested.as_nested_tensor([first, second]))
        x = x if self.factor is None else x * self.factor
        return F.relu(x).to_padded_tensor(0.)


def test_nested_tensors_of_the_model_itself():
    model, inputs = Nested(), (image(2, 8), image(4, 8))
    before = model(*inputs)
    swap_activations(model, dict(type='AconC'), 'all', inputs=inputs)
    assert widths(model) == dict(act1=6)
    torch.testing.assert_close(model(*inputs), before, atol=.05, rtol=0)
    assert all_gradients(model, *inputs)


def test_a_nested_tensor_that_no_layer_has_given_is_told():
    model, inputs = Nested(2.), (image(2, 8), image(4, 8))
    report = swap_activations(
        model, dict(type='AconC'), 'all', inputs=inputs)
    assert left(report) == dict(act1='its width is not to be seen')
    assert model(*inputs).shape == (2, 4, 6)


class Demanding(nn.Module):

    def __init__(self, demand):
        super().__init__()
        self.f, self.g = nn.Linear(8, 6), nn.Linear(6, 4)
        self.demand = demand

    def forward(self, x):
        return self.demand(F.relu(self.g(F.relu(self.f(x)))))


def normal(scale):  # others may have turned the check off for all
    return torch.distributions.Normal(
        0., scale, validate_args=True).rsample()


def asserted(x):
    assert (x >= 0).all()
    return x


@pytest.mark.parametrize('demand', [
    lambda x: normal(x + 1e-3),
    lambda x: normal(x + .1),
    lambda x: torch.poisson(x),
    lambda x: torch.multinomial(x.flatten(1) + 1e-3, 1) * x.mean(),
    asserted], ids=['scale', 'far', 'rate', 'weights', 'assert'])
def test_what_wants_positive_numbers_keeps_its_rectifier(demand):
    model = Demanding(demand)
    report = swap(model)
    assert widths(model) == dict(act2=6)
    assert left(report)['act1'].startswith('fails on what ACON gives: ')
    assert model(TOKENS).isfinite().all()


@pytest.mark.parametrize('clip', [
    lambda x: x.clip(min=0), lambda x: torch.clip(x, 0.), ])
def test_clip_is_clamp(clip):
    report = swap(Demanding(clip))
    assert [name for _, name in report.functional] == ['clip']


class Aggregated(nn.Module):
    """The largest of a node's neighbours; one has none."""

    def __init__(self):
        super().__init__()
        self.f, self.g = nn.Linear(8, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.f(x)
        most = x.new_full((len(x) + 1, 4), float('-inf')).scatter_reduce(
            0, torch.zeros_like(x, dtype=torch.long), x, 'amax')
        return F.relu(self.g(F.relu(most)))


def test_infinite_numbers_keep_their_rectifier():
    report = swap(model := Aggregated())
    assert list(widths(model).values()) == [2]
    assert list(left(report).values()) == ['infinite numbers come to it']
    assert model(torch.randn(3, 8)).isfinite().all()
