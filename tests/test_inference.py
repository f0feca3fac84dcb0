"""A trained model in the inferencers of MMDetection and MMSegmentation.

They read the checkpoint before they build the model, so that the config
has to name what declares the checkpoint's types safe.
"""
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

STOCK = Path(mmdet.__file__).parent / '.mim/configs'
CONFIGS = Path(__file__).parents[1] / 'configs'
INFERENCERS = {
    'retinanet_r18-metaacon_fpn_400i_shapes': 'mmdet.apis.DetInferencer',
    'pspnet_r18-d8-metaacon_200i_shapes': 'mmseg.apis.MMSegInferencer',
}


@pytest.fixture
def trained(request, shapes_coco, shapes_cityscapes, tmp_path, scope):
    """A config's dump and a checkpoint of one step, in a folder."""
    cfg = Config.fromfile(CONFIGS / f'shapes/{request.param}.py')
    scope(cfg.default_scope)
    root = shapes_coco if cfg.default_scope == 'mmdet' else shapes_cityscapes
    cfg.train_dataloader.update(
        num_workers=0, persistent_workers=False, batch_size=2)
    cfg.train_dataloader.dataset.data_root = f'{root}/'
    cfg.train_cfg.max_iters = 1
    cfg.default_hooks.checkpoint.interval = 1
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.work_dir = str(tmp_path / 'out')
    cfg.experiment_name = request.param
    Runner.from_cfg(cfg).train()
    cfg.dump(tmp_path / 'config.py')
    return tmp_path


def infer(folder, inferencer, arguments, setup=''):
    """Build an inferencer in a process of its own; return what it says."""
    module, _, name = inferencer.rpartition('.')
    code = f"""if True:
        import sys
        {setup}
        from {module} import {name}
        assert 'acon_mm' not in sys.modules or {bool(setup)}
        model = {name}({arguments}, device='cpu').model
        print(type(model.backbone.layer1[0].act1).__name__)"""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                          cwd=folder, capture_output=True, text=True)
    return done.stdout.splitlines()[-1:], done.stderr


@pytest.mark.parametrize('trained, inferencer', INFERENCERS.items(),
                         indirect=['trained'])
def test_a_provided_config_is_all_that_an_inferencer_needs(
        trained, inferencer):
    said, errors = infer(trained, inferencer,
                         "'config.py', 'out/iter_1.pth'")
    assert said == ['MetaAconC'], errors


@pytest.mark.parametrize('trained', [*INFERENCERS][:1], indirect=True)
def test_without_the_config_an_import_does_it(trained):
    said, errors = infer(trained, 'mmdet.apis.DetInferencer',
                         "weights='out/iter_1.pth'", 'import acon_mm')
    assert said == ['MetaAconC'], errors


def test_one_line_and_its_import_are_in_the_dump(tmp_path):
    """As ``--cfg-options`` of a training adds them to a stock config."""
    cfg = Config.fromfile(STOCK / 'retinanet/retinanet_r50_fpn_1x_coco.py')
    cfg.merge_from_dict({'model.backbone.type': 'acon_mm.ResNet',
                         'custom_imports.imports': 'acon_mm'})
    cfg.dump(tmp_path / 'config.py')
    code = """if True:
        import sys
        from mmengine.config import Config
        Config.fromfile('config.py')
        assert 'acon_mm' in sys.modules"""
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=True)
