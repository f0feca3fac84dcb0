"""Where parameters begin: the named starts and a user's own."""
import pytest
import torch
from mmcv.cnn import ConvModule, build_activation_layer
from mmengine.registry import MODELS
from torch import nn
from torch.nn import functional as F

from acon_mm import AconA, AconB, AconC, MetaAconC
from acon_mm.frelu import AconFReLU, FReLU

MEMBERS = (AconA, AconB, AconC, MetaAconC)
OWN = dict(p1=1.5, p2=-.25, beta=3)


def parameters(act, *names):
    return [set(getattr(act, name).tolist()) for name in names]


def test_the_leaky_start_is_a_smooth_prelu():
    act = AconC(5, init='leaky')
    assert parameters(act, 'p1', 'p2', 'beta') == [{1.}, {.25}, {1.}]
    assert sorted(act.state_dict()) == ['beta', 'p1', 'p2']
    far = torch.tensor([[-40.], [40.]]).expand(2, 5)
    torch.testing.assert_close(act(far), F.leaky_relu(far, .25))
    assert parameters(AconB(5, init='leaky'), 'p', 'beta') == [{.25}, {1.}]


def test_meta_acon_is_leaky_with_the_papers_beta():
    act = MetaAconC(64, init='leaky')
    assert parameters(act, 'p1', 'p2') == [{1.}, {.25}]
    assert act.beta_scale == 1
    # the net is not set to zero: images differ from the beginning
    beta = act.eval().compute_beta(torch.randn(4, 64, 3, 3))
    assert beta.std(0).min() > 0


def test_a_users_start_is_what_the_parameters_have():
    act = AconC(4, start=OWN)
    assert parameters(act, 'p1', 'p2', 'beta') == [{1.5}, {-.25}, {3.}]
    assert parameters(AconA(4, start=dict(beta=.5)), 'beta') == [{.5}]
    act = AconB(4, start=dict(p2=.1, beta=2.))
    torch.testing.assert_close(act.p.detach(), torch.full((4, ), .1))
    act = MetaAconC(4, start=OWN)
    assert parameters(act, 'p1', 'p2') == [{1.5}, {-.25}]
    assert act.beta_scale == 6


@pytest.mark.parametrize('init, others', [
    ('match', [{1.}, {0.}]), ('leaky', [{1.}, {.25}])])
def test_what_a_start_leaves_out_is_the_inits(init, others):
    act = AconC(4, init=init, start=dict(beta=7))
    assert parameters(act, 'p1', 'p2') == others
    assert parameters(act, 'beta') == [{7.}]


def test_random_slopes_stay_random_beside_a_users_beta():
    act = AconC(1000, init='paper', start=dict(beta=7))
    assert abs(act.p1.std() - 1) < .2 and len(act.p2.unique()) > 900


def test_a_start_outlives_the_models_init_weights():
    module = ConvModule(3, 8, 1, act_cfg=dict(
        type='AconC', start=OWN))
    module.init_weights()
    assert parameters(module.activate, 'p1', 'p2', 'beta') == [
        {1.5}, {-.25}, {3.}]
    assert "start={'p1': 1.5" in repr(module)


@pytest.mark.parametrize('act_cfg, expected', [
    (dict(type='AconC', init='leaky'), [{1.}, {.25}, {1.}]),
    (dict(type='AconC', start=dict(p2=.5, beta=2)), [{1.}, {.5}, {2.}])])
def test_the_override_hands_a_start_on(scope, act_cfg, expected):
    scope('mmdet')
    net = MODELS.build(
        dict(type='acon_mm.ResNet', depth=18, act_cfg=act_cfg))
    net.init_weights()
    acts = [m for m in net.modules() if isinstance(m, AconC)]
    assert len(acts) == 16
    assert all(parameters(act, 'p1', 'p2', 'beta') == expected
               for act in acts)


@pytest.mark.parametrize('member', MEMBERS)
@pytest.mark.parametrize('start, words', [
    (dict(p3=1.), "has no 'p3': give numbers for some of p1, p2, beta"),
    (dict(beta='1'), "beta='1': give a finite number"),
    (dict(beta=float('inf')), 'beta=inf: give a finite'),
    (dict(beta=float('nan')), 'beta=nan: give a finite'),
    (dict(beta=True), 'beta=True: give a finite'),
    (dict(p2=[0., 1.]), r'p2=\[0.0, 1.0\]: give a finite'),
    ([1, .25, 1], r'start=\[1, 0.25, 1\] of .* must be a dict'),
    ('leaky', "start='leaky' of .* must be a dict")])
@pytest.mark.parametrize('width', [None, 4])
def test_a_wrong_start_is_one_sentence_when_building(
        member, start, words, width):
    with pytest.raises(ValueError, match=words) as error:
        member(width, start=start)
    assert member.__name__ in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('member, arguments, words', [
    (AconA, dict(init='leaky'), 'AconA cannot start with p2=0.25, it is 0'),
    (AconA, dict(start=dict(p1=2)), 'AconA cannot start with p1=2, it is 1'),
    (AconB, dict(start=dict(p1=.5)), 'AconB cannot start with p1=0.5'),
    (MetaAconC, dict(start=dict(beta=0)), 'beta=0: give a positive one'),
    (MetaAconC, dict(start=dict(beta=2), beta_scale=4), 'no beta_scale'),
    (AconC, dict(init='leeky'), "init='leeky' of AconC is unknown: choose "
     "'paper', 'leaky' or 'match'"),
    (FReLU, dict(init='leaky'), "init='leaky' of FReLU is unknown: choose "
     "'paper' or 'match'"),
    (AconFReLU, dict(start=dict(p1=1)), 'AconFReLU: it has no p1')])
def test_what_a_member_cannot_begin_with_is_refused_when_building(
        member, arguments, words):
    with pytest.raises(ValueError, match=words):
        member(**arguments)


def test_a_slope_that_is_the_fixed_one_is_no_error():
    assert parameters(AconA(2, start=dict(p1=1, p2=0, beta=2)),
                      'beta') == [{2.}]


def test_mmcv_passes_a_start_on():
    act = build_activation_layer(
        dict(type='acon_mm.AconC', num_channels=2, start=dict(beta=2)))
    assert parameters(act, 'beta') == [{2.}]
    torch.jit.script(nn.Sequential(act))
