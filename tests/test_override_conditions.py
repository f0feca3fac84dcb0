"""What never runs gets no parameters: DDP would wait for them for ever."""
import pytest
import torch
import torch.nn as nn
from override_cases import Two, check_like_stock, swap, widths


class Conditional(Two):
    """Calls that never run for all kinds of reasons."""

    def __init__(self, fast):
        super().__init__(early=nn.ReLU(), helped=nn.ReLU(), short=nn.ReLU(),
                         chosen=nn.ReLU(), spare=nn.ReLU(), other=nn.ReLU())
        self.fast = fast

    def forward(self, x):
        x = self.relu(self.a(x))
        self.fast or self.spare(self.a(x[:, :3]))
        if not self.fast:
            x = self._help(x) + self.other(self.a(x[:, :3]))
        x = x if self.fast else self.chosen(self.a(x[:, :3]))
        x = self.fast and x.sum() > 1e9 and x or self.short(self.a(x[:, :3]))
        if self.fast:
            return x
        return self.early(self.a(x[:, :3]))

    def _help(self, x):
        return self.helped(self.a(x[:, :3]))


def test_code_that_the_flags_of_a_module_rule_out_has_no_parameters():
    model = Conditional(fast=True)
    report = swap(model)
    assert set(widths(model)) == {'relu', 'short'}
    assert {(e.path, e.reason) for e in report.left} == {
        (name, 'never called')
        for name in ('early', 'helped', 'chosen', 'spare', 'other')}
    model = Conditional(fast=False)
    report = swap(model)
    assert set(widths(model)) == {
        'relu', 'early', 'helped', 'chosen', 'other', 'short'}
    # what it returns goes nowhere
    assert [(e.path, e.reason) for e in report.left] == [
        ('spare', 'no gradient reaches it')]


class Perceptron(nn.Module):
    """No activation behind the last layer, as usual."""

    def __init__(self, *widths):
        super().__init__()
        self.fcs = nn.ModuleList(map(nn.Linear, widths, widths[1:]))
        self.act = nn.ReLU()
        self.num_layers = len(self.fcs)

    def forward(self, x):
        for i, fc in enumerate(self.fcs):
            x = fc(x)
            if i < self.num_layers - 1:
                x = self.act(x)
        return x


class ShortPerceptron(Perceptron):

    def forward(self, x):
        for i, fc in enumerate(self.fcs):
            x = fc(x) if i == len(self.fcs) - 1 else self.act(fc(x))
        return x


@pytest.mark.parametrize('cls', [Perceptron, ShortPerceptron])
def test_the_width_of_the_last_layer_has_no_parameters(cls):
    x = torch.randn(5, 3)
    assert widths(check_like_stock(cls(3, 8, 8, 2), x)) == {'act': 8}
    assert widths(check_like_stock(cls(3, 8, 6, 2), x)) == {
        'act.acts.8': 8, 'act.acts.6': 6}
    with pytest.raises(ValueError, match='matches no pointwise activation'):
        swap(cls(3, 2))


class Grandparent(Two):

    def forward(self, x):
        return self.relu(self.a(x))


class Middle(Grandparent):

    def forward(self, x):
        return self.b(self.a(x))


class Grandchild(Middle):

    def forward(self, x):
        return super().forward(x)


def test_super_goes_as_far_as_it_is_called():
    with pytest.raises(ValueError, match='matches no pointwise activation'):
        swap(Grandchild())
