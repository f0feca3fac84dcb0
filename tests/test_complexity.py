"""Sizes of the paper's networks against the paper."""
import runpy
from pathlib import Path

import pytest
import torch
import torch.nn as nn
from mmengine.analysis import FlopAnalyzer

from acon_mm import AconC
from acon_mm.complexity import measure, paper_networks

TOOL = Path(__file__).parents[1] / 'tools/complexity.py'
NETWORKS = {network.name: network for network in paper_networks()}


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=[pytest.mark.slow] * (
        'ResNet-101' in name or 'ResNet-152' in name)) for name in NETWORKS])
def test_size_is_the_papers(name):
    network = NETWORKS[name]
    size = measure(network.backbone)
    assert size.flops == pytest.approx(network.flops * 1e6, rel=0.05)
    # one decimal in the paper, cut rather than rounded in places
    params = network.params * 1e6
    assert abs(size.params - params) < max(0.1e6, 0.01 * params)
    assert size.all_flops > size.flops


def test_meta_acon_adds_the_beta_net_and_trades_beta_for_it():
    plain = measure(NETWORKS['ResNet-50 ACON'].backbone)
    meta = measure(NETWORKS['ResNet-50 meta-ACON'].backbone)
    added = 0
    for width, depth in zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True):
        hidden = max(16, width // 16)
        fc = 2 * width * hidden + hidden + width
        added += depth * (fc + 2 * (hidden + width) - width)
    assert meta.params - plain.params == added


# in millions: arXiv 1704.04861, Tab. 6; megvii-model/ShuffleNet-Series
PUBLISHED = [('MobileNetV1', 0.25, 41, 0.5), ('MobileNetV1', 0.5, 149, 1.3),
             ('MobileNetV1', 0.75, 325, 2.6), ('MobileNetV1', 1.0, 569, 4.2),
             ('ShuffleNetV2', 0.5, 41, 1.4), ('ShuffleNetV2', 1.0, 146, 2.3),
             ('ShuffleNetV2', 1.5, 299, 3.5), ('ShuffleNetV2', 2.0, 591, 7.4)]


@pytest.mark.parametrize(('name', 'factor', 'flops', 'params'), PUBLISHED)
def test_relu_networks_have_their_published_size(name, factor, flops, params):
    last = 4 if name == 'MobileNetV1' else 3
    size = measure(dict(
        type=f'acon_mm.{name}', widen_factor=factor, out_indices=(last, ),
        act_cfg=dict(type='ReLU')))
    assert size.flops == pytest.approx(flops * 1e6, rel=0.05)
    assert abs(size.params - params * 1e6) < 0.06e6


def test_senet154_has_its_published_size():
    cfg = dict(type='acon_mm.SENet154', out_indices=(3, ))
    relu = measure(dict(cfg, act_cfg=dict(type='ReLU')), input_size=32)
    # Cadene's pretrained-models.pytorch: 115.09M
    assert relu.params == pytest.approx(115.09e6, abs=5e3)


@pytest.mark.parametrize(('act', 'cost'), [
    (nn.Sigmoid(), 1),
    (nn.SiLU(), 2),
    (nn.ReLU(), 0),
    (AconC(8), 5),
])
def test_the_analyser_counts_activations(act, cost):
    x = torch.zeros(2, 8, 3, 3)
    flops = FlopAnalyzer(act.eval(), (x, )).total()
    # products of parameters alone, (p1 - p2) and the like, are below C
    assert cost * x.numel() <= flops <= cost * x.numel() + 8


def test_a_network_is_found_in_whatever_case(monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['complexity.py', '--filter', 'tfnet 0.5'])
    monkeypatch.setenv('COLUMNS', '200')
    runpy.run_path(str(TOOL), run_name='__main__')
    assert 'TFNet 0.5' in capsys.readouterr().out


def test_a_filter_that_fits_no_network_names_them(monkeypatch):
    monkeypatch.setattr('sys.argv', ['complexity.py', '--filter', 'VGG'])
    with pytest.raises(SystemExit, match='VGG fits no network: try Shuffle'):
        runpy.run_path(str(TOOL), run_name='__main__')
