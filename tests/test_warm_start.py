"""ReLU checkpoints start an ACON network without conversion."""
import pytest
import torch
from mmengine.registry import MODELS

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
