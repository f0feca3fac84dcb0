"""A batch norm in training joins the activation behind it in one op."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.backbones.resnet import ResNet
from torch import nn

from acon_mm import AconC, swap_activations
from acon_mm.benchmark.measure import saved_bytes
from acon_mm.override import joined_norm


@pytest.fixture
def joined(monkeypatch):
    """For each norm in front of an activation, whether they joined."""
    seen, run = [], joined_norm._join_batch

    def join(*args):
        y = run(*args)
        seen.append(y is not None)
        return y

    monkeypatch.setattr(joined_norm, '_join_batch', join)
    return seen


def resnet(act_cfg):
    """A small ResNet whose norms train."""
    torch.manual_seed(0)
    model = ResNet(18, base_channels=8, stem_channels=8, num_stages=2,
                   strides=(1, 2), dilations=(1, 1), out_indices=(1, ),
                   norm_eval=False, zero_init_residual=False)
    # a sharper switch gives zeros in float32, among which a pooling chooses
    # another than in float64
    swap_activations(model, dict(act_cfg, start=dict(beta=30.)), 'all')
    for norm in norms_of(model):
        nn.init.normal_(norm.weight, 1., .5)
        nn.init.normal_(norm.bias)
    model.train()
    return model


def norms_of(model):
    """Those of the ResNet itself."""
    return [norm for name, norm in model.named_modules()
            if isinstance(norm, nn.BatchNorm2d) and 'act' not in name]


def assert_steps_as_its_double(model, x):
    """Outputs, gradients and statistics of a training step; in float64 the
    norms and the activations run one after the other."""
    twin, results = copy.deepcopy(model).double(), []
    for net in (model, twin):
        leaf = x.to(next(net.parameters()).dtype, copy=True).requires_grad_()
        y, = net(leaf)
        results.append([y, *torch.autograd.grad(
            y.square().mean(), [leaf, *net.parameters()]), *net.buffers()])
    scale = max(g.abs().max().item() for g in results[1][1:])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-3,
                                   atol=1e-4 * max(1., scale))


@pytest.mark.parametrize('act', ['AconA', 'AconB', 'AconC', 'MetaAconC'])
def test_a_resnet_trains_as_by_the_two_in_a_row(act, joined):
    model = resnet(dict(type=act))
    names = list(model.state_dict())
    joined.clear()
    assert_steps_as_its_double(model, torch.randn(4, 3, 48, 48))
    # the first norm of each block: what the second makes is added to the
    # shortcut before. The double has as many, apart.
    assert joined == [True] * 4 + [False] * 4
    assert list(model.state_dict()) == names


@pytest.mark.parametrize('change', [
    dict(momentum=None), dict(momentum=.7, eps=.1),
    dict(track_running_stats=False), dict(affine=False)], ids=str)
def test_norms_of_other_settings_join(change, joined, monkeypatch):
    model = resnet(dict(type='AconC'))
    for norm in norms_of(model):
        norm.__init__(norm.num_features, **change)
    joined.clear()
    for step in range(2):
        assert_steps_as_its_double(model, torch.randn(4, 3, 48, 48) + step)
    assert joined.count(True) == 2 * 4
    model.eval()
    x = torch.randn(1, 3, 48, 48)
    y, = model(x)
    monkeypatch.setattr(joined_norm, 'takes_batch', lambda norm: False)
    monkeypatch.setattr(joined_norm, 'is_frozen', lambda norm: False)
    apart, = model(x)
    torch.testing.assert_close(y, apart)


class Shifted(nn.BatchNorm2d):
    """Somebody's own norm."""

    def forward(self, x):
        return super().forward(x) + 1


@pytest.mark.parametrize('norm', [
    nn.SyncBatchNorm(8), nn.GroupNorm(2, 8), nn.InstanceNorm2d(8),
    nn.BatchNorm2d(8).double(), Shifted(8)],
    ids=lambda norm: type(norm).__name__)
def test_norms_that_run_by_themselves(norm, joined, monkeypatch):
    # the CPU has none
    monkeypatch.setattr(nn.SyncBatchNorm, 'forward', lambda self, x: (
        F.batch_norm(x, None, None, training=True)))
    act = AconC(8, init='paper')
    if isinstance(getattr(norm, 'running_mean', None), torch.DoubleTensor):
        act.double()
    x = torch.randn(2, 8, 5, 5, dtype=act.p1.dtype)
    twin = copy.deepcopy(norm)
    torch.testing.assert_close(
        joined_norm.activate_normed(act, norm, x), act(twin(x)))
    torch.testing.assert_close(norm.state_dict(), twin.state_dict())
    assert True not in joined


def test_a_batch_of_another_shape_is_refused_as_by_the_norm():
    with pytest.raises(ValueError, match='expected 4D input'):
        joined_norm.activate_normed(
            AconC(8, init='paper'), nn.BatchNorm2d(8), torch.randn(2, 8, 5))


def test_a_step_keeps_less_than_by_the_two_in_a_row(monkeypatch):
    x, model = torch.randn(2, 3, 96, 96), resnet(dict(type='AconC'))
    less = saved_bytes(lambda: model(x))
    monkeypatch.setattr(joined_norm, 'takes_batch', lambda norm: False)
    more = saved_bytes(lambda: model(x))
    # by the outputs of the norms of two blocks in each of two stages
    elements = 2 * (2 * 8 * 24 * 24 + 2 * 16 * 12 * 12)
    assert more - less == pytest.approx(4 * elements, rel=.02)
