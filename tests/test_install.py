"""What a wheel holds, and what ``mim`` finds in the one installed here."""

import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# the others work on the repository itself
USER_TOOLS = ('benchmark', 'browse_predictions', 'check_override',
              'compare_activations', 'complexity', 'convert_checkpoint',
              'make_shapes', 'plot_activations', 'publish_model',
              'stock_tool', 'test', 'train')
PINS = [
    Requirement(line) for name in ('constraints', 'torch')
    for line in (ROOT / f'requirements/{name}.txt').read_text().splitlines()
    if line and not line.startswith('#')
]


def sources(folder: str) -> set:
    """Paths of a folder's files in the repository, without caches."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def run(*command, cwd=ROOT) -> str:
    """Run Python with some arguments and return what it prints."""
    process = subprocess.run([sys.executable, '-W', 'ignore', *command],
                             capture_output=True,
                             text=True,
                             cwd=cwd)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def model_index() -> dict:
    """Map the names in the model index to the paths of their configs."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    metafiles = [
        yaml.safe_load((ROOT / path).read_text()) for path in index['Import']
    ]
    return {
        model['Name']: model['Config']
        for metafile in metafiles
        for model in metafile['Models']
    }


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """A copy of what the repository holds."""
    tree = tmp_path_factory.mktemp('tree') / 'acon_mm'
    shutil.copytree(
        ROOT,
        tree,
        ignore=shutil.ignore_patterns('.*', '__pycache__', 'build', 'dist',
                                      'data', 'work_dirs', '*.egg-info'))
    return tree


def build_wheel(source, folder) -> set:
    """Names of the files in the wheel that pip builds from a source."""
    run('-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
        '--no-cache-dir', '--wheel-dir', folder, source)
    wheel, = folder.glob('*.whl')
    return {
        name
        for name in zipfile.ZipFile(wheel).namelist() if '-info/' not in name
    }


def test_wheel_holds_the_package_and_what_mim_looks_for(tree, tmp_path):
    leftover = tree / 'build/lib/acon_mm/deleted.py'
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    held = build_wheel(tree, tmp_path)
    tools = {
        path for path in sources('tools') if path.startswith(
            tuple(f'tools/{name}.py' for name in USER_TOOLS))
    }
    assert len(tools) == len(USER_TOOLS)
    assert held == sources('acon_mm') | {
        f'acon_mm/.mim/{path}'
        for path in sources('configs') | tools | {'model-index.yml'}
    }
    # a source archive lacks nothing that a wheel needs
    run('setup.py', 'sdist', '--dist-dir', tmp_path, cwd=tree)
    archive, = tmp_path.glob('*.tar.gz')
    (tmp_path / 'again').mkdir()
    assert build_wheel(archive, tmp_path / 'again') == held


def test_a_build_leaves_what_others_built(tree, tmp_path):
    other = tmp_path / 'other/module.py'
    other.parent.mkdir()
    other.touch()
    run('setup.py', 'build_py', '--build-lib', tmp_path, cwd=tree)
    assert other.exists() and (tmp_path / 'acon_mm/.mim/configs').is_dir()


def test_mim_lists_and_searches_the_installed_package(tmp_path):
    # elsewhere than in the repository, so that it cannot find that instead
    listed = run('-m', 'mim', 'list', cwd=tmp_path)
    assert ['acon-mm', metadata.version('acon_mm')
            ] in [line.split()[:2] for line in listed.splitlines()]
    found = run(
        '-m', 'mim', 'search', 'acon_mm', '--valid-config', cwd=tmp_path)
    for config in model_index():
        assert repr(config) in found


def test_model_index_names_every_config_of_its_folders():
    index = model_index()
    folders = {Path(path).parent.as_posix() for path in index.values()}
    assert {'configs/retinanet', 'configs/mask_rcnn', 'configs/pspnet'
            } <= folders
    assert set(index.values()) == {
        path
        for folder in folders for path in sources(folder)
        if path.endswith('.py') and '_base_' not in path
    }
    for name, path in index.items():
        assert Path(path).stem == name


@pytest.mark.parametrize('scope, knows_auto_scale_lr', [
    ('mmdet', True),
    ('mmseg', False),
])
def test_train_hands_over_to_the_codebase(tmp_path, scope,
                                          knows_auto_scale_lr, tool):
    config = tmp_path / 'config.py'
    config.write_text(f"default_scope = '{scope}'\n")
    # the config is behind an option
    done = tool('train.py', '--work-dir', tmp_path, config,
                '--no-such-option')
    assert done.code == 2
    assert 'unrecognized arguments: --no-such-option' in done.err
    assert ('--auto-scale-lr' in done.err) is knows_auto_scale_lr


@pytest.mark.parametrize('text, words', [
    # its own tool would call itself for ever
    ("default_scope = 'acon_mm'", "'acon_mm' of .* is no codebase with a "
     "train.py: set it to the codebase of the model, as in 'mmdet'"),
    ("default_scope = 'mmengine'", "'mmengine' of .* is no codebase with a"),
    ("default_scope = 'math'", "'math' of .* is no codebase with a train.py"),
    ("default_scope = 'mmnothing'", 'is not installed: pip install mmnothing'),
    # the package has another name
    ("default_scope = 'mmaction'", 'is not installed: pip install mmaction2'),
    (None, 'config.py is no file: give the path of a config')])
def test_train_explains_what_it_cannot_run(tmp_path, text, words, tool):
    config = tmp_path / 'config.py'
    if text is not None:
        config.write_text(text)
    done = tool('train.py', config)
    assert '\n' not in done.code and re.search(words, done.code)


def test_a_shell_sees_one_line_and_an_exit_code(tmp_path):
    (tmp_path / 'config.py').write_text('model = dict()')
    process = subprocess.run(
        [sys.executable, ROOT / 'tools/train.py', 'config.py'],
        capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 1
    line, = process.stderr.splitlines()
    assert line.startswith('config.py has no default_scope: set it to the co')


@pytest.mark.parametrize('name', ['train.py', 'test.py'])
@pytest.mark.parametrize('word', ['-h', '--help'])
def test_help_needs_no_config(name, word, tool):
    """mim asks for it first, and adds --gpus where it reads of it."""
    done = tool(name, word)
    assert not done.code
    assert f'usage: {name} CONFIG' in done.out and 'default_scope' in done.out
    assert '--gpus' not in done.out


def test_help_with_a_config_is_the_codebases(tmp_path, tool):
    config = tmp_path / 'config.py'
    config.write_text("default_scope = 'mmdet'\n")
    done = tool('train.py', config, '-h')
    assert not done.code and '--auto-scale-lr' in done.out


def test_train_without_a_config(tool):
    done = tool('train.py', '--launcher', 'none')
    assert 'train.py of acon_mm needs a config' in done.code


def test_pinned_versions_fit_the_declared_ranges():
    pins = {
        canonicalize_name(pin.name): pin.specifier
        for pin in PINS if pin.marker is None or pin.marker.evaluate()
    }
    required = [Requirement(line) for line in metadata.requires('acon_mm')]
    wanted = [r for r in required if r.marker is None
              or r.marker.evaluate(dict(extra='mim'))]
    assert {'torch', 'mmcv'} <= {r.name for r in wanted}
    for requirement in wanted:
        pin, = pins[canonicalize_name(requirement.name)]
        assert pin.operator == '=='
        assert requirement.specifier.contains(pin.version), requirement


def test_what_is_installed_fits_together():
    assert 'No broken requirements' in run('-m', 'pip', 'check')


def test_an_install_replaces_nothing_of_openmmlab():
    plain = {
        requirement.name
        for requirement in map(Requirement, metadata.requires('acon_mm'))
        if requirement.marker is None
    }
    assert plain == {'executing', 'matplotlib', 'numpy', 'rich', 'setuptools',
                     'torch'}
