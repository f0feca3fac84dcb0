"""``tools/check_override.py``, from its command line."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope

from acon_mm.check.config import without_override

ROOT = Path(__file__).resolve().parents[1]
RETINANET = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
MODEL = """
default_scope = 'mmdet'
custom_imports = dict(imports=['{module}'])
model = dict(type='{name}', data_preprocessor=None)
"""
BREAKS = """
from acon_mm import AconC
from mmengine.model import BaseModel
from mmdet.registry import MODELS
from torch import nn

@MODELS.register_module()
class {name}(BaseModel):
    def __init__(self, data_preprocessor=None, act_cfg=None):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.backbone(inputs)

forward = AconC.forward
AconC.forward = lambda self, *args: forward(self, *args) * {factor}
"""


def check(*args, cwd=ROOT):
    return subprocess.run(
        [sys.executable, str(ROOT / 'tools/check_override.py'), *args],
        capture_output=True, text=True, cwd=cwd)


def test_a_stock_config_with_the_override_passes():
    done = check(RETINANET, '--cfg-options',
                 'model.backbone.type=acon_mm.ResNet',
                 'model.neck.act_cfg.type=acon_mm.AconC')
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    for words in ('backbone.layer4.1.act2', 'MetaAconC', '512',
                  'left: outside the placement', 'act_cfg'):
        assert words in out
    assert '24 swapped, ' in out  # 16 of the backbone, 8 of the neck
    assert 'a training step (loss) reaches every new parameter' in out
    assert out.rstrip().endswith('passes')


@pytest.mark.parametrize('factor, code', [('1', 0), ('1.5', 1)])
def test_an_activation_that_computes_another_fails(tmp_path, factor, code):
    name = f'Toy{code}'
    (tmp_path / f'{name}_module.py').write_text(
        BREAKS.format(name=name, factor=factor))
    config = tmp_path / 'config.py'
    config.write_text(MODEL.format(module=f'{name}_module', name=name))
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/check_override.py'), str(config),
         '--cfg-options', f'model.type=acon_mm.{name}',
         'model.act_cfg.type=acon_mm.AconC'],
        capture_output=True, text=True, cwd=tmp_path,
        env=os.environ | dict(PYTHONPATH=os.pathsep.join(
            [str(tmp_path), os.environ.get('PYTHONPATH', '')])))
    assert done.returncode == code, done.stdout + done.stderr
    failure = 'FAILS (2) backbone deviates by'
    assert (failure in done.stdout) is bool(code)


@pytest.mark.parametrize('args, words', [
    (['no.py'], 'no.py is no file: give the path of a config, or mmdet::'),
    ([RETINANET], 'has no override: add --cfg-options model.backbone.type='),
    ([RETINANET, '--cfg-options', 'model.backbone.type=acon_mm.RezNet'],
     "type='acon_mm.RezNet' is not registered (searched: mmdet): did you"),
    ([RETINANET, '--cfg-options', 'model.backbone.depth=19',
      'model.backbone.type=acon_mm.ResNet'],
     'The stock model does not build: KeyError'),
    ([RETINANET, '--cfg-options', 'model.backbone.type=acon_mm.ResNet',
      'model.backbone.placement=stem.*'],
     'override does not build: ValueError: placement='),
    ([RETINANET, '--cfg-options', 'model.backbone._delete_=True',
      'model.backbone.type=acon_mm.ShuffleNetV2',
      'model.neck.type=acon_mm.FPN'],
     'has ACON where no stock model is: backbone.')])
def test_what_cannot_be_checked_is_said_in_a_line(args, words, tool):
    done = tool('check_override.py', *args)
    assert words in done.code and '\n' not in done.code
    assert done.out == ''


def test_mim_runs_it(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'mim', 'run', 'acon_mm', 'check_override',
         'no.py'], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert 'no.py is no file' in done.stdout + done.stderr


def test_the_stock_model_of_a_config(scope):
    scope('mmdet')
    relu = dict(type='ReLU')
    assert without_override(dict(
        type='acon_mm.RetinaNet', placement=['backbone.*'],
        act_cfg=dict(type='AconC'), backbone=dict(type='ResNet', depth=18),
        neck=[dict(type='FPN', act_cfg=dict(type='acon_mm.MetaAconC'))],
    )) == dict(type='RetinaNet', backbone=dict(type='ResNet', depth=18),
               neck=[dict(type='FPN', act_cfg=relu)])
    # the stock module's own activation stays
    assert without_override(dict(
        type='acon_mm.mmdet.CSPDarknet', act_cfg=dict(type='Swish'))) == dict(
            type='mmdet.CSPDarknet', act_cfg=dict(type='Swish'))
    # ResNet takes none, so that this is the override's
    assert without_override(dict(
        type='acon_mm.ResNet', act_cfg=dict(type='PReLU'))) == dict(
            type='ResNet')
    assert DefaultScope.get_current_instance().scope_name == 'mmdet'
