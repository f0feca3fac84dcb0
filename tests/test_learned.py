"""What is noted of running activations, and the numbers made of it."""
import copy

import pytest
import torch
from torch import nn

from acon_mm import AconA, AconB, AconC, MetaAconC
from acon_mm.frelu import AconFReLU
from acon_mm.learned.curves import curves_of, moved
from acon_mm.learned.record import Layer, Recorder, sample_channels
from acon_mm.learned.statistics import (
    by_stage,
    regimes,
    scalars,
    stage_of,
    summarize,
)


def record(net, *inputs, **kwargs):
    recorder = Recorder(net, **kwargs)
    for x in inputs:
        net(x)
    return recorder.close()


def layer(p1, p2, beta, spread, images=1):
    """Channels whose inputs are ``spread`` on both sides of zero."""
    inputs = torch.tensor(spread) * torch.tensor([[-1.], [1.]])
    return Layer(*map(torch.tensor, (p1, p2)),
                 torch.tensor(beta).expand(images, -1), inputs)


def test_each_member_of_the_family_is_found_with_its_slopes():
    net = nn.Sequential(
        AconA(2, start=dict(beta=3)), AconB(2, start=dict(p2=.5, beta=2)),
        AconC(2, start=dict(p1=1.5, p2=.2, beta=-1)), AconFReLU(2), nn.ReLU())
    found = record(net, torch.randn(2, 2, 4, 4))
    assert [*found] == ['0', '1', '2']  # AconFReLU has no beta to learn
    values = {name: (one.p1[0].item(), one.p2[0].item(), one.beta[0, 0].item())
              for name, one in found.items()}
    assert values == {'0': (1, 0, 3), '1': (1, .5, 2),
                      '2': (1.5, pytest.approx(.2), -1)}


@pytest.mark.parametrize('channel_dim', [1, -1])
def test_inputs_are_those_of_each_channel(channel_dim):
    x = torch.randn(64, 3, 10, 10) * torch.tensor([1., 2, 4])[:, None, None]
    x += torch.tensor([0., 5, -5])[:, None, None]
    act = AconC(3, channel_dim=channel_dim)
    given = x.movedim(1, channel_dim)
    found = record(nn.Sequential(act), given, given, samples=1000)['0']
    assert found.inputs.shape == (2000, 3)
    torch.testing.assert_close(found.inputs.mean(0),
                               torch.tensor([0., 5, -5]), atol=.4, rtol=0)
    torch.testing.assert_close(found.inputs.std(0),
                               torch.tensor([1., 2, 4]), atol=0, rtol=.1)


def test_few_places_are_all_taken():
    x = torch.arange(24.).view(2, 3, 2, 2)
    assert torch.equal(sample_channels(x, 1, 100),
                       x.movedim(1, -1).reshape(8, 3))


@pytest.mark.parametrize('level', ['channel', 'layer', 'pixel'])
def test_beta_of_each_image_is_that_of_inference(level):
    net = nn.Sequential(MetaAconC(4, level=level)).train()
    x = torch.randn(3, 4, 5, 5)
    before = copy.deepcopy(net.state_dict())
    recorder = Recorder(net)
    with torch.no_grad():
        net(x)
    found = recorder.close()['0'].beta
    stats = copy.deepcopy(net.state_dict())
    net.load_state_dict(before)
    beta = net.eval()[0].compute_beta(x).detach()
    if level == 'pixel':
        beta = beta.mean((2, 3))
    torch.testing.assert_close(found, beta.expand(3, 4))
    # the running statistics moved once, by the batch itself
    if level == 'channel':
        assert stats['0.bn1.num_batches_tracked'] == 1


def test_recording_leaves_a_training_as_it_is():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), MetaAconC(8), AconC(8))
    other = copy.deepcopy(net)
    x = torch.randn(4, 3, 8, 8)
    recorder = Recorder(net)
    for one in (net, other):
        one(x).square().mean().backward()
    recorder.close()
    for ours, theirs in zip(net.parameters(), other.parameters()):
        assert torch.equal(ours.grad, theirs.grad)
    for ours, theirs in zip(net.buffers(), other.buffers()):
        assert torch.equal(ours, theirs)
    assert all(not act._forward_pre_hooks for act in net)
    assert all(module.training for module in net.modules())


def test_what_did_not_run_has_parameters_alone():
    net = nn.ModuleList([AconC(2, init='leaky'), MetaAconC(2)])
    found = Recorder(net).close()
    numbers = summarize([found['0']])
    assert numbers['p2_mean'] == .25 and 'linear' not in numbers
    numbers = summarize([found['1']])
    assert 'p1_mean' in numbers and 'beta_mean' not in numbers


def test_regimes_of_channels_that_are_known():
    # sharpness 0, .2, 1, 8, 1 and 8
    found = regimes(layer([1., 1, 1, 1, 1, 0], [1., 0, 0, 0, 0, 2],
                          [9., .1, 1, 4, -1, -4], [1., 2, 1, 2, 1, 1]))
    assert {name: one[0].int().tolist() for name, one in found.items()} == {
        'linear': [1, 1, 0, 0, 0, 0],
        'rectifier': [0, 0, 0, 1, 0, 0],
        'inverted': [0, 0, 0, 0, 1, 1]}


def test_shares_of_a_stage_are_over_channels_and_images():
    found = summarize([
        layer([1., 1], [0., 0], [.01, 9.], [1., 1], images=2),
        layer([1.], [0.], [1.], [1.])])
    assert found['linear'] == found['rectifier'] == pytest.approx(.4)
    assert found['beta_q50'] == 1.
    assert found['beta_image_std'] == 0.


def test_stages_of_the_paths_of_several_networks():
    assert [stage_of(path) for path in (
        'backbone.layer2.0.act1', 'backbone.stages.1.blocks.0.ffn.activate',
        'backbone.relu', 'neck.fpn_convs.3.conv.activate',
        'backbone.stage3.1.branches.0.2.act2', 'act')] == [
            'backbone.layer2', 'backbone.stages.1', 'backbone',
            'neck.fpn_convs.3', 'backbone.stage3', '']


def test_tags_are_of_stages_and_of_layers():
    layers = {
        f'backbone.layer{i}.0.act{j}': layer([1.], [0.], [float(j)], [1.])
        for i in (1, 2) for j in (1, 3)}
    assert len(by_stage(layers)) == 2
    numbers = scalars(layers)
    assert numbers['acon/backbone.layer1/beta_mean'] == 2.
    assert numbers['acon/backbone.layer1.0.act3/beta_mean'] == 3.
    assert {tag.split('/')[1] for tag in scalars(layers, False)} == {
        'backbone.layer1', 'backbone.layer2'}


def test_points_lie_on_the_function_and_within_its_bounds():
    one = layer([1.5, -.5, 1], [.2, 1, 1], [2., -3, 5], [3., 1, 2])
    curves = curves_of(one, points=401)
    assert curves.regime == ['linear', 'inverted', 'rectifier']
    sharpest = curves.x[-1], curves.y[-1], curves.slope[-1]
    x, y, slope = (value.double() for value in sharpest)
    expected = 1.3 * x / (1 + (-2.6 * x).exp()) + .2 * x
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(slope[1:-1], ((y[2:] - y[:-2]) /
                                             (x[2:] - x[:-2])),
                               atol=1e-2, rtol=0)
    # 1.0998 * 1.5 - .0998 * .2, and of the second channel from 1.15 to -.65
    assert curves.upper == pytest.approx(1.6297, abs=1e-3)
    assert curves.lower == pytest.approx(-.6497, abs=1e-3)
    assert curves.slope.max() <= curves.upper
    assert curves.slope.min() >= curves.lower


def test_few_channels_are_chosen_from_linear_to_sharp():
    betas = [float(b) for b in range(50)]
    one = layer([1.] * 50, [0.] * 50, betas, [1.] * 50)
    curves = curves_of(one, count=3)
    assert len(curves.x) == 3
    assert curves.regime == ['linear', 'rectifier', 'rectifier']


def test_how_far_a_function_moved():
    before = layer([1., 1., 1.], [0., 0., 0.], [0., 9., 0.], [2., 2., 4.])
    after = layer([1., 1., 0.], [1., 0., -1.], [0., 9., 0.], [2., 2., 4.])
    # from x / 2 to x, not at all, and from x / 2 to -x / 2
    torch.testing.assert_close(moved(after, before),
                               torch.tensor([1., 0., 4.]) * .98)
