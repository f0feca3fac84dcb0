"""What an activation draws leaves the other layers as a ReLU twin's."""
import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from acon_mm import AconB, AconC, MetaAconC
from acon_mm.own_stream import own_stream

ACTS = [dict(type=act, init=init) for act in (
    'acon_mm.AconB', 'acon_mm.AconC', 'acon_mm.MetaAconC')
    for init in ('match', 'paper')]


def states_of(twin, model):
    """(key, its tensor in the twin, its tensor in the model)."""
    state = model.state_dict()
    return [(key, tensor, state[key])
            for key, tensor in twin.state_dict().items()]


def build_and_start(cfg, seed=0):
    torch.manual_seed(seed)
    net = MODELS.build(cfg)
    built = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    net.init_weights()
    return net, built


@pytest.mark.parametrize('act_cfg', ACTS, ids=str)
def test_the_other_layers_start_as_in_a_relu_network(act_cfg, scope):
    """Construction and ``init_weights``, by the layers' own act_cfg."""
    scope('mmdet')
    neck = dict(type='FPN', in_channels=[8, 8], out_channels=8, num_outs=2)
    twin, built_twin = build_and_start(neck | dict(act_cfg=dict(type='ReLU')))
    net, built = build_and_start(neck | dict(act_cfg=act_cfg))
    assert len(net.state_dict()) > len(twin.state_dict())
    assert all(built[key].equal(built_twin[key]) for key in built_twin)
    for key, theirs, ours in states_of(twin, net):
        assert ours.equal(theirs), key


@pytest.mark.parametrize('act_cfg', ACTS, ids=str)
def test_the_override_starts_as_the_stock_network(act_cfg, scope):
    scope('mmdet')
    backbone = dict(depth=18, init_cfg=[
        dict(type='Kaiming', layer='Conv2d'),
        dict(type='Normal', std=.1, layer='BatchNorm2d')])
    twin, _ = build_and_start(dict(type='ResNet', **backbone))
    after = torch.rand(3)
    net, _ = build_and_start(
        dict(type='acon_mm.ResNet', act_cfg=act_cfg, **backbone))
    assert torch.rand(3).equal(after)
    for key, theirs, ours in states_of(twin, net):
        assert ours.equal(theirs), key


@pytest.mark.parametrize('make', [
    lambda: AconB(64, init='paper'), lambda: AconC(64, init='paper'),
    lambda: MetaAconC(64, init='paper')])
def test_one_seed_gives_one_start_and_another_another(make):
    def start(seed):
        torch.manual_seed(seed)
        state = make().state_dict()
        return next(t for name, t in state.items() if name in ('p', 'p1'))

    assert start(0).equal(start(0))
    assert not start(0).equal(start(1))


def test_layers_of_one_network_do_not_start_alike(scope):
    scope('mmdet')
    net, _ = build_and_start(dict(
        type='acon_mm.ResNet', depth=50,
        act_cfg=dict(type='AconC', init='paper')))
    starts = torch.stack([m.p1.detach() for m in net.layer3.modules()
                          if isinstance(m, AconC)])
    assert len(starts.unique(dim=0)) == len(starts) == 6
    assert abs(starts.mean()) < .1 and abs(starts.std() - 1) < .1
    slopes = net.layer3[0].act2
    assert not slopes.p1.equal(slopes.p2)


def test_a_stream_in_a_stream_goes_on_in_it():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    with own_stream():
        first = torch.rand(3)
        with own_stream():
            second = torch.rand(3)
        third = torch.rand(3)
    assert torch.get_rng_state().equal(state)
    assert len(torch.stack([first, second, third]).unique()) == 9
    with own_stream(1):
        assert not torch.rand(3).equal(first)
    assert not torch.rand(3).equal(first)


def test_apply_reaches_the_net_and_draws_apart():
    net = nn.Sequential(MetaAconC(8), nn.Linear(3, 3))
    twin = nn.Sequential(nn.ReLU(), nn.Linear(3, 3))

    def normal(module):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.weight, 9.)

    for model in (net, twin):
        torch.manual_seed(0)
        model.apply(normal)
    assert net[1].weight.equal(twin[1].weight)
    assert net[0].fc1.weight.min() > 3
