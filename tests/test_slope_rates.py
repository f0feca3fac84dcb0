"""The learning rate of p1, p2 and beta."""
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import (
    CosineAnnealingLR,
    DefaultOptimWrapperConstructor,
    build_optim_wrapper,
)
from mmengine.runner import Runner
from torch import nn

import acon_mm

LR, DECAY = .001, .1
ADAMS = ['Adam', 'AdamW', 'NAdam']


class Net(nn.Module):

    def __init__(self, init='match', kind='AconC'):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(),
                                      nn.Conv2d(4, 4, 3), nn.ReLU())
        self.head = nn.Conv2d(4, 1, 1)
        acon_mm.swap_activations(
            self.backbone, dict(type=kind, init=init), 'all')

    def forward(self, x):
        return self.head(self.backbone(x))


def wrapper(model, kind='AdamW', **paramwise):
    cfg = dict(optimizer=dict(type=kind, lr=LR, weight_decay=DECAY))
    if paramwise:
        cfg['paramwise_cfg'] = paramwise
    return build_optim_wrapper(model, cfg)


def rates(model, optim_wrapper):
    """(rate over the config's, decay) of every parameter, by its name."""
    names = {id(p): name for name, p in model.named_parameters()}
    found = {}
    for group in optim_wrapper.optimizer.param_groups:
        for parameter in group['params']:
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = (
                round(group['lr'] / LR, 6), group['weight_decay'])
    assert len(found) == len(names)
    return found


def slopes(found):
    return {name: value for name, value in found.items()
            if name.endswith(('.p1', '.p2', '.beta'))}


@pytest.mark.parametrize('kind', ADAMS)
@pytest.mark.parametrize('paramwise', [{}, dict(norm_decay_mult=0.)], ids=str)
def test_only_slopes_get_a_rate_of_their_own(kind, paramwise):
    model = Net()
    found = rates(model, wrapper(model, kind, **paramwise))
    own = slopes(found)
    assert len(own) == 6 and set(own.values()) == {(100., 0.)}
    rest = set(found) - set(own)
    assert len(rest) == 6 and {found[name] for name in rest} == {(1., DECAY)}


def test_slopes_of_adamw_move_by_their_rate_in_a_step():
    torch.manual_seed(0)
    model = Net()
    optim_wrapper = wrapper(model)
    act = model.backbone[1]
    before = act.p2.detach().clone()
    optim_wrapper.update_params(model(torch.randn(2, 3, 8, 8)).square().sum())
    # the first step of Adam is the rate, whatever the gradient
    torch.testing.assert_close((act.p2 - before).abs(),
                               torch.full((4, ), 100 * LR), rtol=1e-3, atol=0)


def test_the_beta_net_learns_as_other_layers_do():
    model = Net(kind='MetaAconC')
    found = rates(model, wrapper(model))
    assert set(slopes(found).values()) == {(100., 0.)}
    net = [value for name, value in found.items() if '.fc' in name]
    assert net and set(net) == {(1., DECAY)}


@pytest.mark.parametrize('init', ['paper', 'leaky'])
def test_every_start_can_move(init):
    model = Net(init)
    own = slopes(rates(model, wrapper(model)))
    assert len(own) == 6 and set(own.values()) == {(100., 0.)}


@pytest.mark.parametrize('lr, factor', [(1e-4, 100.), (.004, 25.), (.5, 1.),
                                        (0., 1.)])
def test_no_slope_moves_by_more_than_was_measured(lr, factor):
    model = Net()
    optim_wrapper = build_optim_wrapper(
        model, dict(optimizer=dict(type='AdamW', lr=lr)))
    rest, own = (group['lr']
                 for group in optim_wrapper.optimizer.param_groups)
    assert rest == lr and own == pytest.approx(factor * lr)


def test_a_rate_of_zero_is_one():
    model = Net()
    own = slopes(rates(model, wrapper(model, custom_keys=dict(
        backbone=dict(lr_mult=0.)))))
    assert set(own.values()) == {(0., 0.)}


def test_sgd_steps_by_the_gradient_and_keeps_the_rate_of_the_config():
    assert len(wrapper(Net(), 'SGD').optimizer.param_groups) == 1
    found = rates(model := Net(), wrapper(model, 'SGD', norm_decay_mult=0.))
    assert set(found.values()) == {(1., DECAY)}


def test_what_is_frozen_or_has_no_acon_is_left_to_mmengine():
    model = Net()
    for act in (model.backbone[1], model.backbone[3]):
        act.requires_grad_(False)
    for one in (model, nn.Conv2d(3, 4, 3)):
        groups = wrapper(one).optimizer.param_groups
        assert [group['lr'] for group in groups] == [LR]


@pytest.mark.parametrize('keys, expected', [
    # where the backbone is says nothing of its activations
    (dict(backbone=dict(lr_mult=.1)), {'1': (10., 0.), '3': (10., 0.)}),
    ({'backbone.1': dict(lr_mult=7., decay_mult=.5)},
     {'1': (7., DECAY / 2), '3': (100., 0.)}),
    ({'.p2': dict(lr_mult=3.)}, {'1.p2': (3., DECAY), '1.p1': (100., 0.)}),
    # MMEngine takes the longest
    ({'backbone': dict(lr_mult=.1), '3.p2': dict(lr_mult=9.),
      'backbone.3.p2': dict(lr_mult=2.)},
     {'3.p2': (2., DECAY), '3.p1': (10., 0.)})], ids=str)
def test_a_key_of_the_user_has_the_last_word(keys, expected):
    model = Net()
    own = slopes(rates(model, wrapper(model, custom_keys=keys)))
    for part, value in expected.items():
        some = {name: found for name, found in own.items()
                if name.startswith(f'backbone.{part}')}
        assert some and set(some.values()) == {value}, some


@pytest.mark.parametrize('init', ['match', 'paper'])
@pytest.mark.parametrize('kind', ['AdamW', 'SGD'])
def test_one_word_says_another_rate(kind, init):
    model = Net(init)
    model.head = nn.Sequential(nn.PReLU(4), model.head)
    found = rates(model, wrapper(model, kind, act_lr_mult=3.))
    own = slopes(found) | {'head.0.weight': found['head.0.weight']}
    assert len(own) == 7 and set(own.values()) == {(3., 0.)}
    rest = {found[name] for name in set(found) - set(own)}
    assert rest == {(1., DECAY)}


@pytest.mark.parametrize('word', [0, -1., 'fast', True, float('nan')])
def test_a_rate_that_cannot_be_is_refused(word):
    with pytest.raises(ValueError, match=f'act_lr_mult={word!r} of paramwise_'
                       'cfg must be a positive number'):
        wrapper(Net(), act_lr_mult=word)


def test_schedules_keep_the_ratio():
    model = Net()
    optim_wrapper = wrapper(model)
    schedule = CosineAnnealingLR(optim_wrapper, T_max=10)
    for _ in range(4):
        optim_wrapper.step()
        schedule.step()
    first, second = optim_wrapper.get_lr()['lr']  # the log has the first
    assert 0 < first < LR and second == pytest.approx(100 * first)


def test_it_is_what_mmengine_takes_by_default():
    from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
    default = OPTIM_WRAPPER_CONSTRUCTORS.get('DefaultOptimWrapperConstructor')
    assert default is not DefaultOptimWrapperConstructor
    assert issubclass(default, DefaultOptimWrapperConstructor)


class Trained(BaseModel):

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = Net()

    def forward(self, x, mode='tensor'):
        y = self.net(x)
        return dict(loss=y.square().mean()) if mode == 'loss' else y


def train(folder, steps, resume=False):
    """Slopes of a training and its log."""
    torch.manual_seed(1)
    data = [torch.randn(3, 8, 8) for _ in range(16)]
    runner = Runner(
        Trained(), str(folder), train_dataloader=dict(
            batch_size=2, dataset=data, sampler=dict(
                type='DefaultSampler', shuffle=False),
            collate_fn=lambda items: dict(x=torch.stack(items))),
        train_cfg=dict(by_epoch=False, max_iters=steps), resume=resume,
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=steps)),
        experiment_name=f'{folder}_{steps}_{resume}'.replace('/', '_'))
    runner.train()
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    return runner.model.net.backbone[1].p2.detach(), log


def test_a_training_needs_no_word_of_it(tmp_path):
    slopes, log = train(tmp_path / 'whole', 4)
    assert (slopes.abs() > .05).all()  # by up to .1 a step
    assert log.count('6 slopes of activations train at 100 times the '
                     'learning rate') == 1
    train(tmp_path / 'parts', 2)
    resumed, _ = train(tmp_path / 'parts', 4, resume=True)
    torch.testing.assert_close(resumed, slopes)
