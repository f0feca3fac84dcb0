"""The model zoo: metafiles, their configs and the READMEs beside them."""
from pathlib import Path

import modelindex
import pytest
import yaml
from mmengine.config import Config

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in ROOT.glob('configs/*/README.md')
                 if path.parent.name != '_base_')

ACTIVATIONS = {'meta-ACON': 'MetaAconC', 'ACON-C': 'AconC',
               'PReLU': 'PReLU', 'Swish': 'Swish'}


def metafile(folder):
    return yaml.safe_load((folder / 'metafile.yml').read_text())


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda path: path.name)
def test_a_metafile_is_in_openmmlabs_format(folder):
    content = metafile(folder)
    collection, = content['Collections']
    assert collection['README'] == f'configs/{folder.name}/README.md'
    assert (ROOT / collection['README']).is_file()
    assert {'Weight', 'Training Data', 'Architecture'} <= {
        *collection['Metadata']}
    for model in content['Models']:
        assert model['In Collection'] == collection['Name']
        assert model['Metadata']['Architecture']
        # a result is never without what it was measured on
        for result in model.get('Results', ()):
            assert result['Task'] and result['Dataset'] and result['Metrics']


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda path: path.name)
def test_each_config_of_a_metafile_parses(folder):
    for model in metafile(folder)['Models']:
        cfg = Config.fromfile(ROOT / model['Config'])
        assert cfg.model.type and cfg.default_scope
        length = cfg.train_cfg.get('max_iters') or cfg.train_cfg.max_epochs
        told = model['Metadata']
        assert length == (told.get('Iterations') or told.get('Epochs'))
        iterations = 'max_iters' in cfg.train_cfg
        assert ('Iterations' in told) is iterations
        # the activation that is told is the one that is asked for
        act_cfg = cfg.model.backbone.get('act_cfg') or {}
        for name, kind in ACTIVATIONS.items():
            if name in told['Architecture']:
                asked = act_cfg.get('type', 'MetaAconC')
                assert asked.removeprefix('acon_mm.') == kind


def test_the_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert index['Import'] == [
        f'configs/{folder.name}/metafile.yml' for folder in FOLDERS]
    loaded = modelindex.load(str(ROOT / 'model-index.yml'))
    loaded.build_models_with_collections()
    assert len(loaded.models) == sum(
        len(metafile(folder)['Models']) for folder in FOLDERS)


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda path: path.name)
def test_a_readme_says_whose_numbers_there_are(folder):
    text = (folder / 'README.md').read_text()
    if folder.name == 'study':
        assert 'docs/transfer.md' in text
    elif folder.name == 'shapes':
        assert 'The paper has no numbers' in text
    else:
        assert 'is measured by us yet' in text and '**paper' in text
