"""Which models the sweep finds in a package."""
import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch.nn as nn
from mmcv.cnn.bricks import Swish
from mmengine.registry import MODELS

from acon_mm.check import build
from acon_mm.check.compare import first_run
from acon_mm.check.subject import StockModel

TOOLS = Path(__file__).resolve().parents[1] / 'tools'
sys.path.append(str(TOOLS))

from stock_models import checks, configs, libraries  # noqa: E402


def test_backbones_are_found_anywhere_in_a_config(tmp_path, monkeypatch):
    monkeypatch.setattr(configs, 'config_root', lambda _: tmp_path)
    (tmp_path / 'a.py').write_text(
        "model = dict(backbone=dict(type='A'), teacher=dict(net=[dict("
        "backbone_2d=dict(type='B', backbone=dict(type='C')))]))")
    (tmp_path / 'b.py').write_text("model = dict(backbone=dict(type='A'))")
    with ThreadPoolExecutor(1) as pool:
        models = configs.load_models(['mmpose'], pool)
    assert [(m.package, m.configs, m.model['type']) for m in models] == [
        ('mmpose', ['a.py', 'b.py'], 'A'), ('mmpose', ['a.py#1'], 'B')]


def test_models_of_a_library_are_built_by_the_scope(scope, monkeypatch):
    monkeypatch.setitem(libraries.LIBRARIES, 'toys', (
        lambda name: nn.Sequential(nn.Linear(3, 4), nn.ReLU()), ['toy']))
    model, = libraries.models_of('toys')
    libraries.register_libraries()
    try:
        stock = build.build_stock('toys', model.model)
        ours = build.build_with_acon(
            'toys', build.with_override(model.model, 'all'), stock)
    finally:
        del MODELS.children['toys']
    assert [(e.path, e.width) for e in ours.swap_report.swapped] == [('1', 4)]


SMALL_VIT = dict(img_size=32, patch_size=16, arch=dict(
    embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64))


@pytest.mark.parametrize('model, step', [
    # a name that acon_mm has of its own
    (dict(type='ShuffleNetV2', widen_factor=0.5), 'tensor'),
    (dict(type='ResNet', depth=18, frozen_stages=4, norm_eval=True),
     'frozen'),
    # its backward pass wants the gradient of its first layer's output
    (dict(SMALL_VIT, type='RevVisionTransformer'), 'tensor')])
def test_backbones_of_mmpretrain_pass(model, step, scope):
    scope('mmpretrain')
    row = checks.check_model(
        StockModel('mmpretrain', ['a.py'], model, None), 300)
    assert row['stock'] == row['paper'] == row['all'] == 'pass', row
    assert row['paper_swapped'] > 0
    assert step in row['all_step']


def test_a_net_of_one_size_gets_images_of_it():
    net = nn.Sequential(nn.Conv2d(3, 4, 32, 32), nn.ReLU(), nn.Flatten(),
                        nn.Linear(4 * 7 * 7, 2))
    _, feed, outputs = first_run(net)
    assert feed.values[0].shape == (2, 3, 224, 224)
    assert [out.shape for out in outputs] == [(2, 2)]


def test_a_model_that_keeps_its_activations_does_not_pass(scope,
                                                          monkeypatch):
    scope('mmpretrain')
    monkeypatch.setattr(checks, 'acon_modules', lambda model: {})
    row = checks.check_model(StockModel(
        'mmpretrain', ['a.py'], dict(type='ResNet', depth=18), None), 300)
    assert row['paper'].endswith('(1) nothing is swapped'), row['paper']


@pytest.mark.parametrize('act, swept', [
    (nn.ReLU(), True), (Swish(), True), (nn.Sigmoid(), False)])
def test_what_has_no_activation_is_not_swept(act, swept):
    # a Swish is made of operators that are none
    net = nn.Sequential(nn.Conv2d(3, 4, 1), act)
    with contextlib.nullcontext() if swept else pytest.raises(
            NotImplementedError, match='no activation runs'):
        checks._require_activations(net)


@pytest.mark.parametrize('name, words', [
    ('mmnothing', "'mmnothing' is not installed: pip install mmnothing"),
    ('rich', "'rich' ships no configs: name a package of OpenMMLab, timm or"),
])
def test_a_package_that_has_no_models_is_refused(name, words, tool):
    done = tool('check_stock_configs.py', name)
    assert (done.code, done.out) == (2, '')
    assert words in done.err


def test_a_package_goes_by_both_of_its_names(tmp_path, monkeypatch):
    monkeypatch.setattr(configs, 'config_root', lambda _: tmp_path)
    monkeypatch.setattr(configs, 'find_spec', lambda name: (
        name if name == 'mmaction' else None))
    assert configs.module_name('mmaction2') == 'mmaction'
    assert configs.module_name('mmaction') == 'mmaction'
    with pytest.raises(ValueError, match='pip install mmsegmentation'):
        configs.module_name('mmseg')
