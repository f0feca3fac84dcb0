"""The hook that opens the switch of a warm start."""
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

import acon_mm

STEPS = 8


class Net(BaseModel):
    """Convolutions with stock activations, which the override replaces."""

    def __init__(self, act_cfg, *acts):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), *acts)
        acon_mm.swap_activations(self.layers, act_cfg, 'all')

    def forward(self, x, mode='tensor'):
        y = self.layers(x)
        return dict(loss=y.square().mean()) if mode == 'loss' else y


def train(net, folder, steps=STEPS, resume=False, lr=0., **hook):
    """Train for some steps, and say what beta was before each and after."""
    seen = []

    class Seen(acon_mm.OpenSwitchHook):

        def before_train_iter(self, *args, **kwargs):
            super().before_train_iter(*args, **kwargs)
            seen.append(beta_of(net))

    runner = Runner(
        net, str(folder), train_dataloader=dict(
            batch_size=2, dataset=[torch.randn(3, 6, 6) for _ in range(16)],
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=lambda items: dict(x=torch.stack(items))),
        train_cfg=dict(by_epoch=False, max_iters=STEPS),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=lr)),
        custom_hooks=[Seen(**hook)], resume=resume,
        experiment_name=f'{folder}_{steps}_{resume}'.replace('/', '_'),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=steps)))
    runner.train()
    return seen


def beta_of(net):
    act = net.layers[1]
    if hasattr(act, 'compute_beta'):
        return act.compute_beta(torch.zeros(1, 8, 2, 2)).mean().item()
    return act.beta.mean().item()


@pytest.mark.parametrize('act_cfg', [
    dict(type='AconC'), dict(type='AconB'), dict(type='AconA'),
    dict(type='MetaAconC', norm_cfg=None), dict(type='MetaAconC'),
    dict(type='MetaAconC', norm_cfg=dict(type='GN', num_groups=2))], ids=str)
def test_beta_falls_by_one_factor_to_its_target(act_cfg, tmp_path):
    net = Net(act_cfg, nn.ReLU()).eval()
    x = torch.randn(2, 3, 6, 6)
    assert (net(x) - net.layers[0](x).relu()).abs().max() < .01
    seen = train(net, tmp_path)
    # open after half of the steps, then left alone
    assert seen == pytest.approx(
        [100 ** (1 - i / 4) for i in (1, 2, 3, 4, 4, 4, 4, 4)], rel=1e-4)
    # the weights alone say it
    twin = Net(act_cfg, nn.ReLU()).eval()
    twin.load_state_dict(torch.load(tmp_path / f'iter_{STEPS}.pth',
                                    weights_only=False)['state_dict'])
    net.eval()
    torch.testing.assert_close(twin(x), net(x))
    assert (net(x) - net.layers[0](x).relu()).abs().max() > .2


def test_what_beta_learns_meanwhile_is_kept(tmp_path):
    net = Net(dict(type='AconC'), nn.ReLU())
    train(net, tmp_path, lr=1.)
    beta = net.layers[1].beta
    assert beta.std() > 1e-3 and abs(beta.mean() - 1) < .5


def test_a_switch_that_was_learned_shut_stays_finite(tmp_path):
    net = Net(dict(type='MetaAconC', norm_cfg=None), nn.ReLU())
    with torch.no_grad():
        net.layers[1].fc2.bias.fill_(-200.)
    train(net, tmp_path)
    assert net.layers[1].fc2.bias.isfinite().all()


def test_a_share_of_the_training_and_another_target(tmp_path):
    net = Net(dict(type='AconC'), nn.ReLU())
    seen = train(net, tmp_path, beta=10., begin=.25, end=.75)
    assert seen == pytest.approx(
        [100 * 10 ** (-i / 4) for i in (0, 0, 1, 2, 3, 4, 4, 4)])


@pytest.mark.parametrize('act_cfg', [
    dict(type='AconC'), dict(type='MetaAconC', norm_cfg=None)], ids=str)
def test_a_resumed_training_goes_on_opening(act_cfg, tmp_path):
    whole = train(Net(act_cfg, nn.ReLU()), tmp_path / 'whole')
    train(Net(act_cfg, nn.ReLU()), tmp_path / 'two', steps=2)
    (tmp_path / 'two/last_checkpoint').write_text(
        str(tmp_path / 'two/iter_2.pth'))
    seen = train(Net(act_cfg, nn.ReLU()), tmp_path / 'two', resume=True)
    assert seen == pytest.approx(whole[2:])


def test_a_scale_of_its_own_is_where_it_begins(tmp_path):
    net = Net(dict(type='MetaAconC', norm_cfg=None, beta_scale=32.),
              nn.ReLU())
    seen = train(net, tmp_path)
    assert seen[:4] == pytest.approx([8., 4., 2., 1.], rel=1e-4)


def test_a_start_of_ones_own_opens_as_well(tmp_path):
    net = Net(dict(type='AconC', init='leaky', start=dict(beta=16.)),
              nn.ReLU())
    assert train(net, tmp_path)[:4] == pytest.approx([8., 4., 2., 1.])


@pytest.mark.parametrize('act_cfg, act, frozen', [
    (dict(type='AconA'), nn.SiLU(), False),  # begins at 1
    (dict(type='AconC', init='paper'), nn.ReLU(), False),
    (dict(type='MetaAconC', level='pixel'), nn.ReLU(), False),
    (dict(type='AconC'), nn.ReLU(), True)], ids=str)
def test_what_is_open_or_frozen_stays(act_cfg, act, frozen, tmp_path, capsys):
    net = Net(act_cfg, act)
    if frozen:
        net.layers[1].requires_grad_(False)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    train(net, tmp_path)
    for key, value in net.state_dict().items():
        if 'layers.1' in key:
            assert torch.equal(value, before[key]), key
    assert 'begins with a beta above 1, and opens nothing' in ''.join(
        capsys.readouterr())


@pytest.mark.parametrize('settings, words', [
    (dict(beta=0), 'beta=0 of OpenSwitchHook must be a positive'),
    (dict(beta='1'), "beta='1' of OpenSwitchHook must be a positive"),
    (dict(beta=float('inf')), 'beta=inf of OpenSwitchHook'),
    (dict(begin=.5, end=.5), 'begin=0.5 and end=0.5 of OpenSwitchHook'),
    (dict(end=2), 'begin=0.0 and end=2 of OpenSwitchHook must be shares')])
def test_wrong_settings_are_one_sentence(settings, words):
    with pytest.raises(ValueError, match=words):
        acon_mm.OpenSwitchHook(**settings)
