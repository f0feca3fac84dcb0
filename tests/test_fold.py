"""``acon_mm.checkpoints.fold``: the same outputs from less."""
import copy

import pytest
import torch
from export_cases import HEADS, TensorOutputs, backbone, seasoned
from mmengine.registry import MODELS
from torch import nn

from acon_mm import AconA, AconB, AconC, MetaAconC
from acon_mm.checkpoints import fold


def size(model):
    return sum(t.numel() for t in (*model.parameters(), *model.buffers()))


def check(model, *images, inputs=None):
    """Fold a copy of the model; what was folded, and the copy."""
    folded = copy.deepcopy(model)
    folding = fold(folded, inputs)
    assert folding.left == size(folded) == size(model) - folding.saved
    with torch.no_grad():
        for image in images:
            for ours, right in zip(flat(folded(image)), flat(model(image)),
                                   strict=True):
                scale = max(1., right.abs().max().item())
                torch.testing.assert_close(ours, right, rtol=0,
                                           atol=1e-5 * scale)
    return folding, folded


def flat(outs):
    return outs if isinstance(outs, tuple) else (outs, )


@pytest.mark.parametrize('placement, nets', [('paper', 8), ('all', 9)])
def test_a_backbone(placement, nets, log):
    model = backbone(placement)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    folding, folded = check(model, torch.randn(2, 3, 40, 56))
    acts = sum(isinstance(m, MetaAconC) for m in model.modules())
    assert folding.beta_nets == acts == nets
    assert folding.norms + 2 * acts == norms and folding.activations == 0
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert log[-1] == (
        f'Folded {folding.norms} norms into convolutions, {nets} beta nets, 0 '
        f'activations with beta at a limit: {folding.saved} numbers fewer, '
        f'{folding.left} left.')


@pytest.mark.parametrize('package', HEADS)
def test_a_detector_and_a_segmentor(package, scope):
    scope(package)
    model = seasoned(MODELS.build(HEADS[package]))
    folded = copy.deepcopy(model)
    assert fold(folded).norms >= 10
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for ours, right in zip(TensorOutputs(folded)(image),
                               TensorOutputs(model)(image), strict=True):
            torch.testing.assert_close(ours, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('member', [AconA, AconB, AconC])
@pytest.mark.parametrize('beta', [0., 1e5, -1e5, torch.tensor([0., 3e4, -3e4])
                                  ], ids=['0', 'large', 'small', 'each'])
def test_beta_at_its_limits(member, beta):
    act = member(3).eval()
    with torch.no_grad():
        act.beta.copy_(torch.as_tensor(beta))
    model = nn.Sequential(nn.Conv2d(3, 3, 1), act).eval()
    folding, folded = check(model, torch.randn(2, 3, 9, 9))
    assert folding.activations == 1
    assert not any(isinstance(m, member) for m in folded.modules())
    # for saving and for half precision as for the model before
    folded.load_state_dict(folded.state_dict())
    assert folded.half()[1](torch.ones(1, 3, 1, 1).half()
                            ).dtype == torch.float16


@pytest.mark.parametrize('beta', [[0., 1., 1e5], [1e3, 1e5, 1e5]])
def test_a_beta_that_is_not_at_a_limit_keeps_its_activation(beta):
    act = AconC(3, init='paper').eval()
    with torch.no_grad():
        act.beta.copy_(torch.tensor(beta))
    folding, folded = check(nn.Sequential(act).eval(),
                            torch.randn(2, 3, 9, 9))
    assert folding == (0, 0, 0, 0, 9) and type(folded[0]) is AconC


class Twice(nn.Module):
    """A convolution whose output two norms read, or an addition as well."""

    def __init__(self, norms):
        super().__init__()
        self.conv, self.acon = nn.Conv2d(3, 4, 3), AconC(4, init='paper')
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(norms))

    def forward(self, x):
        x = self.conv(x)
        outs = [norm(x) for norm in self.norms]
        return self.acon(sum(outs, x if len(outs) == 1 else 0))


@pytest.mark.parametrize('norms', [1, 2])
def test_a_convolution_that_others_read_keeps_its_norms(norms):
    model = seasoned(Twice(norms))
    folding, folded = check(model, torch.randn(2, 3, 9, 9))
    assert folding.norms == folding.saved == 0
    assert all(isinstance(norm, nn.BatchNorm2d) for norm in folded.norms)


def test_given_inputs_and_a_model_that_runs_on_none():
    class Odd(nn.Sequential):

        def forward(self, x, key):
            assert key == 'open'
            return super().forward(x)

    model = seasoned(Odd(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    assert fold(copy.deepcopy(model)).norms == 0
    image = torch.randn(1, 3, 4, 4)
    folded = copy.deepcopy(model)
    assert fold(folded, (image, 'open')).norms == 1
    torch.testing.assert_close(folded(image, 'open'), model(image, 'open'))


def test_a_model_in_training_is_refused_and_left(log):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4),
                          AconC(4, init='paper'))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match='call model.eval.. first'):
        fold(model)
    after = model.state_dict()
    assert before.keys() == after.keys() and not log
