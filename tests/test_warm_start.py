"""ReLU checkpoints start an ACON network without conversion."""
import contextlib
import copy
import io

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from acon_mm import AconC, MetaAconC

SOURCES = {
    'openmmlab': lambda state: dict(state_dict=state),
    'torchvision': lambda state: {
        **state, 'fc.weight': torch.zeros(10, 2048),
        'fc.bias': torch.zeros(10)},
    'mmpretrain': lambda state: dict(state_dict={
        **{f'backbone.{k}': v for k, v in state.items()},
        'head.fc.weight': torch.zeros(10, 2048)}),
}


@pytest.mark.parametrize('act', ['AconC', 'MetaAconC'])
@pytest.mark.parametrize('source', SOURCES)
def test_only_activation_keys_are_missing(source, act, tmp_path, scope):
    scope('mmdet')
    state = MODELS.build(dict(type='ResNet', depth=50)).state_dict()
    path = tmp_path / 'relu.pth'
    torch.save(SOURCES[source](state), path)
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    if source == 'mmpretrain':
        init_cfg['prefix'] = 'backbone.'
    net = MODELS.build(
        dict(type='acon_mm.ResNet', depth=50, act_cfg=dict(type=act),
             init_cfg=init_cfg))
    net.init_weights()
    loaded = net.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    missing = loaded.keys() - state.keys()
    assert missing
    assert all('.act2.' in key for key in missing)


@pytest.mark.parametrize('act, keys', [('AconC', 3), ('MetaAconC', 14)])
def test_the_log_counts_the_new_keys_in_a_line(act, keys, tmp_path, scope):
    scope('mmdet')
    state = MODELS.build(dict(type='ResNet', depth=50)).state_dict()
    net = MODELS.build(dict(type='acon_mm.ResNet', depth=50,
                            act_cfg=dict(type=act)))
    del state['conv1.weight']  # what else is missing stays in sight
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        load_state_dict(net, state)
    missing = [line for line in printed.getvalue().splitlines()
               if line.startswith('missing keys')]
    assert missing == [
        f'missing keys in source state_dict: conv1.weight, {16 * keys} of 16 '
        'ACON activations, which keep their start']


def test_keys_of_an_activation_that_a_checkpoint_has_in_part_are_named():
    net = nn.Sequential(AconC(4), nn.BatchNorm2d(4), MetaAconC(4))
    state = net.state_dict()
    for key in ('0.p2', '2.fc1.bias', '2.bn2.running_mean'):
        del state[key]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        load_state_dict(net, state)
    assert 'state_dict: 0.p2, 2.fc1.bias, 2.bn2.running_mean\n' in (
        printed.getvalue())


def test_one_new_activation_is_no_plural_and_torch_names_each_key():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), AconC(4))
    state = {k: v for k, v in net.state_dict().items() if k[0] == '0'}
    with pytest.raises(RuntimeError, match='3 of 1 ACON activation, which'):
        load_state_dict(net, state, strict=True)
    with pytest.raises(RuntimeError, match='"1.p1", "1.p2", "1.beta"'):
        net.load_state_dict(state)
    missing = net.load_state_dict(state, strict=False).missing_keys
    assert missing == ['1.p1', '1.p2', '1.beta']
    load_state_dict(copy.deepcopy(net), net.state_dict(), strict=True)
