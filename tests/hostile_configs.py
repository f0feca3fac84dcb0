"""Configs and calls that are wrong, and what must be said of each.

A row: what is given, the kind of error, words of its sentence (a regular
expression with the offending value).
"""
import math

import torch
from torch import nn

from acon_mm import AconC, MetaAconC, swap_activations
from acon_mm import functional as F

RESNET = dict(type='acon_mm.ResNet', depth=18)
SHUFFLE = dict(type='acon_mm.ShuffleNetV2')
FPN = dict(type='FPN', in_channels=[3], out_channels=4, num_outs=1)


def acon(**keys):
    return dict(type='AconC', num_channels=4, **keys)


def meta(**keys):
    return dict(type='MetaAconC', num_channels=8, **keys)


def funnel(**keys):
    return dict(type='AconFReLU', num_channels=4, **keys)


NO_NAME = "is no name of an activation: write act_cfg=dict.type='acon_mm.Meta"
NO_NORM = "builds no norm of .* channels.*: use one such as dict.type='BN'"

CONFIGS = [
    # names
    (dict(type='acon_mm.ResNt'), KeyError,
     "'acon_mm.ResNt' is not registered .*did you mean acon_mm.ResNet"),
    (dict(type='acon_mm.'), KeyError, "'acon_mm.' is not registered"),
    (dict(type='acon_mm.ResNet.x'), KeyError, "'ResNet' in .* is no package"),
    (dict(type='acon_mm.ReLU'), ValueError,
     "'acon_mm.ReLU' is an activation, .*: write type='ReLU'"),
    (dict(type='acon_mm.Conv2d', in_channels=3, out_channels=3,
          kernel_size=1), ValueError, 'no pointwise activation of Conv2d'),
    (dict(FPN, type='acon_mm.FPN'), ValueError,
     "no activation to replace in FPN: .*write type='FPN', act_cfg="),
    # act_cfg
    (dict(RESNET, act_cfg=None), TypeError, 'act_cfg=None must be a dict'),
    (dict(RESNET, act_cfg=[]), TypeError, r'act_cfg=\[\] must be a dict'),
    (dict(RESNET, act_cfg=dict(type=None)), TypeError, f'None {NO_NAME}'),
    (dict(RESNET, act_cfg=dict(type=3)), TypeError, f'3 {NO_NAME}'),
    (dict(RESNET, act_cfg=dict(type='')), TypeError, f"'' {NO_NAME}"),
    (dict(RESNET, act_cfg=dict(typo='AconC')), ValueError,
     "'typo' is no key of MetaAconC: did you mean"),
    (dict(RESNET, act_cfg=dict(type='acon_mm.AconD')), KeyError,
     "'acon_mm.AconD' is not a registered activation: did you mean 'AconC'"),
    (dict(RESNET, act_cfg=dict(type='acon_mm.ResNet')), TypeError,
     'does not build an activation: .*; choose one such as'),
    (dict(FPN, act_cfg=dict(type='acon_mm.AconE')), KeyError,
     "'acon_mm.AconE' is not registered .*: did you mean acon_mm.Acon"),
    (dict(FPN, act_cfg=dict(type='acon_mm.AconC', num_channels=5)),
     ValueError, 'AconC of 5 channels cannot serve a layer of 4: leave num_'),
    # the activations' keys
    (acon(intt='leaky'), ValueError, "'intt' is no key of AconC: .*'init'"),
    (acon(init='relu'), ValueError, "init='relu' of AconC is unknown: choo"),
    (acon(init=None), ValueError, 'init=None of AconC is unknown: choose'),
    (acon(start=dict(p3=1.)), ValueError, "no 'p3': give numbers for some"),
    (acon(start=dict(p1='a')), ValueError, "p1='a': give a finite number"),
    (acon(start=[1]), ValueError, r'start=\[1\] of AconC must be a dict'),
    (acon(start=dict(p1=math.nan)), ValueError, 'p1=nan: give a finite'),
    (acon(start=dict(p1=True)), ValueError, 'p1=True: give a finite'),
    (dict(type='AconA', num_channels=4, start=dict(p2=.1)), ValueError,
     'AconA cannot start with p2=0.1, it is 0.0 there: use AconC'),
    (dict(type='AconB', num_channels=4, start=dict(p1=2.)), ValueError,
     'AconB cannot start with p1=2.0, it is 1.0 there: use AconC'),
    (acon(channel_dim='x'), ValueError, "channel_dim='x' of AconC must be"),
    (acon(channel_dim=0), ValueError, 'channel_dim=0 of AconC must be an'),
    (acon(channel_dim=1.5), ValueError, 'channel_dim=1.5 of AconC must be'),
    (acon(channel_dim=True), ValueError, 'channel_dim=True of AconC must'),
    (dict(acon(), num_channels='64'), ValueError,
     "num_channels='64' of AconC must be a positive integer: give"),
    (meta(start=dict(beta=-1)), ValueError, 'beta=-1: give a positive one'),
    (meta(start=dict(beta=1), beta_scale=2), ValueError,
     'beta=1: give a positive one, and no beta_scale beside it'),
    (meta(beta_scale='2'), ValueError, "beta_scale='2' .*positive number"),
    (meta(beta_scale=math.nan), ValueError, 'beta_scale=nan .*positive num'),
    (meta(beta_scale=math.inf), ValueError, 'beta_scale=inf .*positive num'),
    (meta(r='16'), ValueError, "r='16' of MetaAconC must be a positive"),
    (meta(r=True), ValueError, 'r=True of MetaAconC must be a positive'),
    (meta(level=None), ValueError, 'level=None .* is unknown: choose one'),
    (meta(norm_cfg='BN'), ValueError, f"norm_cfg='BN' of Meta.*{NO_NORM}"),
    (meta(norm_cfg={}), ValueError, f'norm_cfg={{}} of Meta.*{NO_NORM}'),
    (meta(norm_cfg=dict(type='Bn')), ValueError, f"'Bn'.*{NO_NORM}"),
    (meta(norm_cfg=dict(type='GN')), ValueError, f"'GN'.*{NO_NORM}"),
    (meta(norm_cfg=dict(type='GN', num_groups=7)), ValueError,
     f"'num_groups': 7.*{NO_NORM}"),
    (meta(norm_cfg=dict(type='BN', epss=1)), ValueError, f'epss.*{NO_NORM}'),
    (meta(norm_cfg=dict(type='IN')), ValueError, "'IN'.*: use BN, GN, LN or"),
    (funnel(stride=3), ValueError, 'stride=3 of AconFReLU must be 1 or 2'),
    (funnel(channel_dim=-1), ValueError, 'channel_dim=-1 .* must be 1: it'),
    (funnel(start=dict(p1=1)), ValueError, "start=.*'p1': 1.*leave it out"),
    (funnel(init='leaky'), ValueError, "init='leaky' .*: choose 'paper' or"),
    (funnel(norm_cfg=None), ValueError, f'norm_cfg=None of A.*{NO_NORM}'),
    # placement
    (dict(RESNET, placement=None), ValueError, 'placement=None is unknown: '),
    (dict(RESNET, placement=''), ValueError, "placement='' is unknown: choo"),
    (dict(RESNET, placement=[]), ValueError, r'placement=\[\] is unknown: c'),
    (dict(RESNET, placement='papper'), ValueError, "'papper' is unknown: ch"),
    (dict(RESNET, placement=['']), ValueError, "placement='' matches no .*: "),
    (dict(RESNET, placement=[3]), ValueError, r'placement=\[3\] is unknown: '),
    # the own networks
    (dict(SHUFFLE, widen_factor=.7), ValueError, 'widen_factor=0.7 .* one of'),
    (dict(SHUFFLE, widen_factor='a'), ValueError, "widen_factor='a' .* one o"),
    (dict(SHUFFLE, out_indices=(9, )), ValueError, r'out_indices=\(9,\) .* m'),
    (dict(SHUFFLE, out_indices=2), ValueError, 'out_indices=2 .* must be one'),
    (dict(SHUFFLE, frozen_stages=9), ValueError, 'frozen_stages=9 .* must be'),
    (dict(SHUFFLE, frozen_stages='a'), ValueError, "frozen_stages='a' .* mus"),
    (dict(SHUFFLE, norm_cfg='BN'), TypeError, "norm_cfg='BN' .* must be a di"),
    (dict(SHUFFLE, act_cfg='AconC'), TypeError, "act_cfg='AconC' must be a d"),
    (dict(SHUFFLE, placement='all'), TypeError, "placement='all' is not for "),
    (dict(type='acon_mm.SENet154', out_indices=()), ValueError,
     r'out_indices=\(\) of SENet154 must be one or more stages'),
]


ONES = torch.ones(2, 3)
IMAGE = torch.ones(1, 4, 1, 1)  # of one pixel

CALLS = [
    (lambda: F.acon(ONES.int(), 1., 0., 1.), TypeError,
     'acon.. got x of dtype torch.int32: convert it'),
    (lambda: F.acon(ONES, torch.ones(4), 0., 1.), ValueError,
     r'shape \[4\] does not fit an input of shape \[2, 3\] .*: give'),
    (lambda: F.acon(ONES, 1., 0., 1., channel_dim=5), ValueError,
     r'acon.. got x of shape \[2, 3\] and channel_dim=5: give one'),
    (lambda: F.acon(torch.tensor(1.), 1., 0., 1.), ValueError,
     r'acon.. got x of shape \[\] and channel_dim=1: give one'),
    (lambda: F.acon(ONES, 1., 0., 1., scale=torch.ones(3)), ValueError,
     'acon.. got one of scale and shift: give both'),
    (lambda: F.set_implementation(None), ValueError, 'None is unknown: choo'),
    (lambda: F.smooth_maximum(beta=1.), ValueError, 'no inputs: give at le'),
    (lambda: AconC(4)(IMAGE.to(torch.complex64)), TypeError, 'complex64: co'),
    (lambda: AconC(4, channel_dim=7)(IMAGE), ValueError,
     r'channel_dim=7 got an input of shape \(1, 4, 1, 1\), .*: set channel_'),
    (lambda: AconC(4, channel_dim=-4)(IMAGE), ValueError,
     r'channel_dim=-4 got an input of shape .*: add it with x.None'),
    (lambda: AconC()(IMAGE), ValueError, 'AconC does not know its width: bui'),
    (lambda: MetaAconC(5)(IMAGE), ValueError,
     r'MetaAconC of 5 channels got .*\(1, 4, 1, 1\) with 4 .*: set num_chan'),
    (lambda: swap_activations('model'), TypeError,
     "swap_activations.. got 'model' as model: give a built nn.Module"),
    (lambda: swap_activations(nn.Sequential(), placement='all'), ValueError,
     "'all' matches no pointwise activation of Sequential: it has none; give"),
]
