"""A batch norm joins the activation behind it in one op."""
import ast
import contextlib
import copy
from unittest import mock

import pytest
import torch
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from torch import nn

from acon_mm import swap_activations
from acon_mm.base import AconBase
from acon_mm.benchmark.measure import saved_bytes
from acon_mm.override import joined_norm
from acon_mm.override.source import set_parents

ACTS = [
    dict(type='AconA'),
    dict(type='AconB'),
    dict(type='AconC'),
    dict(type='MetaAconC'),
    dict(type='MetaAconC', level='pixel'),
    dict(type='FReLU'),
]


def make_block(block=Bottleneck, act_cfg=None, frozen=True):
    torch.manual_seed(0)
    made = block(64, 64 // block.expansion)
    for norm in made.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value in (norm.weight, norm.bias, norm.running_mean):
                nn.init.normal_(value)
            nn.init.uniform_(norm.running_var, .5, 2.)
    if act_cfg is not None:
        swap_activations(made, act_cfg)
    made.train()
    for norm in (made.norm1, made.norm2):
        norm.train(not frozen)
    return made


def outputs(block, x):
    """The output, and the gradients of the input and the parameters."""
    x = x.clone().requires_grad_()
    y = block(x)
    wanted = [p for p in block.parameters() if p.requires_grad]
    return [y, *torch.autograd.grad(y.square().sum(), [x, *wanted])]


@pytest.fixture
def image():
    return torch.randn(2, 64, 9, 7, generator=torch.manual_seed(1))


@pytest.mark.parametrize('act_cfg', ACTS, ids=str)
@pytest.mark.parametrize('kind', [BasicBlock, Bottleneck])
def test_values_and_gradients_are_those_of_the_two_in_a_row(
        kind, act_cfg, image, monkeypatch):
    block, x = make_block(kind, act_cfg).double(), image.double()
    one_pass = outputs(block, x)
    monkeypatch.setattr(joined_norm, 'is_frozen', lambda norm: False)
    for mine, stock in zip(one_pass, outputs(block, x), strict=True):
        torch.testing.assert_close(mine, stock, rtol=1e-9, atol=1e-9)


def seen_affines(block, x):
    """Whether each call of an activation got a norm's affine map."""
    seen = []
    classes = {type(act) for act in block.modules()
               if isinstance(act, AconBase)}
    with contextlib.ExitStack() as stack:
        for cls in classes:  # a hook on the object would keep them apart
            def forward(act, *args, original=cls.forward):
                seen.append(len(args) == 3)
                return original(act, *args)

            stack.enter_context(mock.patch.object(cls, 'forward', forward))
        block(x)
    return seen


@pytest.mark.parametrize('act', ['AconC', 'MetaAconC'])
def test_frozen_norms_hand_over_their_map(act, image):
    cfg = dict(type=act)
    assert seen_affines(make_block(BasicBlock, cfg), image) == [True, False]
    assert seen_affines(make_block(Bottleneck, cfg), image) == [True]
    # one in training has no map for the activation's forward
    assert seen_affines(
        make_block(Bottleneck, cfg, frozen=False), image) == []


def test_a_block_keeps_no_more_than_with_relu(image):
    x = image.repeat(1, 1, 8, 8)
    stock = saved_bytes(lambda: make_block()(x))
    acon = make_block(act_cfg=dict(type='AconC'))
    assert saved_bytes(lambda: acon(x)) <= 1.01 * stock


@pytest.mark.parametrize('frozen', [True, False])
def test_a_hook_on_the_norm_still_sees_its_output(frozen, image):
    block = make_block(act_cfg=dict(type='AconC'), frozen=frozen)
    stock, seen = block(image), []
    block.norm2.register_forward_hook(lambda *args: seen.append(args[-1]))
    torch.testing.assert_close(block(image), stock)
    assert [value.shape for value in seen] == [(2, 16, 9, 7)]


@pytest.mark.parametrize('frozen', [True, False])
def test_a_hook_on_the_activation_changes_nothing(frozen, image):
    block, seen = make_block(act_cfg=dict(type='AconC'), frozen=frozen), []
    expected = block(image)

    def hand_on(act, args):
        seen.append(args[0].mean())
        return (args[0], )

    block.act2.register_forward_pre_hook(hand_on)
    torch.testing.assert_close(block(image), expected)
    normed = block.norm2(block.conv2(block.relu(block.norm1(
        block.conv1(image)))))
    torch.testing.assert_close(seen, [normed.mean()])


class Shifted(nn.BatchNorm2d):
    """Somebody's own norm."""

    def forward(self, x):
        return super().forward(x) + 1


def hooked_backwards(norm):
    norm.register_full_backward_hook(lambda *args: None)
    return norm


def with_a_forward(norm):
    norm.forward = lambda x: x + 1
    return norm


@pytest.mark.parametrize('change', [
    hooked_backwards, with_a_forward, lambda norm: Shifted(16).eval()])
def test_a_norm_that_does_more_runs_by_itself(change, image):
    block = make_block(act_cfg=dict(type='AconC'))
    setattr(block, block.norm2_name, change(block.norm2))
    act, norm, x = block.act2, block.norm2, image[:, :16]
    torch.testing.assert_close(
        joined_norm.activate_normed(act, norm, x), act(norm(x)))
    assert seen_affines(block, image) == [False]


def test_a_hook_on_all_modules_sees_the_norms(image):
    block = make_block(act_cfg=dict(type='AconC'))
    handle = nn.modules.module.register_module_forward_hook(
        lambda *args: None)
    try:
        assert seen_affines(block, image) == [False]
    finally:
        handle.remove()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_joins_as_exactly_as_it_runs_apart(dtype, image):
    block = make_block(act_cfg=dict(type='AconC'))
    # what a rounded shift would add is not small beside the rest
    nn.init.constant_(block.norm2.running_mean, 30.)
    x = (image[:, :16] + 30).to(dtype)
    block.to(dtype)
    exact = copy.deepcopy(block).double()
    expected = exact.act2(exact.norm2(x.double()))
    joined = joined_norm.activate_normed(block.act2, block.norm2, x)
    assert joined.dtype == dtype
    error = (joined.double() - expected).abs().max()
    assert error <= 2 * torch.finfo(dtype).eps * expected.abs().max()


def test_a_norm_without_weights(image):
    block = make_block(act_cfg=dict(type='AconC'))
    plain = nn.BatchNorm2d(16, affine=False).eval()
    nn.init.uniform_(plain.running_var, .5, 2.)
    setattr(block, block.norm2_name, plain)
    act, x = block.act2, image[:, :16]
    torch.testing.assert_close(
        joined_norm.activate_normed(act, plain, x), act(plain(x)))


def test_copies_and_pickles_still_join(image):
    block = copy.deepcopy(make_block(act_cfg=dict(type='AconC')))
    assert seen_affines(block, image) == [True]


def rewritten(source):
    tree = ast.parse(source).body[0]
    set_parents(tree)
    call = next(node for node in ast.walk(tree) if isinstance(
        node, ast.Call) and node.func.attr == 'act')
    joined_norm.hand_over_norm(call)
    return ast.unparse(tree)


@pytest.mark.parametrize('body, expected', [
    ('x = self.norm1(x); x = self.act(x); return x',
     'x = self.activate_normed(self.act, self.norm1, x); return x'),
    ('return self.act(self.bn(x))',
     'return self.activate_normed(self.act, self.bn, x)'),
])
def test_a_norm_in_front_is_handed_over(body, expected):
    assert rewritten(f'def forward(self, x): {body}') == ast.unparse(
        ast.parse(f'def forward(self, x): {expected}'))


@pytest.mark.parametrize('body', [
    'x = self.conv(x); x = self.act(x); return x',
    'y = self.norm1(x); x = self.act(y); return x + y',
    'x = self.norm1(x); y = self.act(x); return x + y',
    'x = self.norm1(x, 2); x = self.act(x); return x',
    'x = self.act(x); return x',
])
def test_other_calls_are_left(body):
    source = f'def forward(self, x): {body}'
    assert rewritten(source) == ast.unparse(ast.parse(source))
