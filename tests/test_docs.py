"""Every command and snippet of the documents, and how these are built."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import (
    PAGES,
    ROOT,
    Block,
    blocks,
    check,
    commands,
    python_of,
    told_config,
)
from mmengine.config import Config
from mmengine.registry import MODELS

BASH = [block for page in PAGES for block in blocks(page)
        if block.language == 'bash']
TRAININGS = [
    words for block in BASH for words in commands(block)
    if words[:2] == ['mim', 'train']]


def name_of(value):
    if isinstance(value, Block):
        return f'{value.page.relative_to(ROOT)}-{value.code[:40]!r}'
    return str(value)


@pytest.mark.parametrize('block', BASH, ids=name_of)
def test_every_command_is_understood_by_what_it_calls(block, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')  # mmdet's parser sets it
    found = commands(block)
    assert found
    for words in found:
        check(words)


@pytest.fixture(scope='module')
def failures():
    """By page, what its Python raised; one process for all."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore',
         str(Path(__file__).with_name('documents.py')), *map(str, PAGES)],
        capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    'page', [page for page in PAGES if python_of(page)], ids=name_of)
def test_every_snippet_runs(page, failures):
    assert str(page) not in failures, failures[str(page)]


@pytest.mark.parametrize(
    'page', [page for page in PAGES if python_of(page, configs=True)],
    ids=name_of)
def test_every_config_builds_its_model(page, tmp_path, scope):
    for code in python_of(page, configs=True):
        (tmp_path / 'config.py').write_text(code)
        cfg = Config.fromfile(tmp_path / 'config.py')
        scope(cfg.default_scope)
        assert MODELS.build(cfg.model)


def test_no_language_is_left_unchecked():
    known = {'bash', 'python', 'text'}
    for page in PAGES:
        for block in blocks(page):
            assert block.language in known or block.language.startswith('{')


@pytest.mark.slow
@pytest.mark.parametrize('words', TRAININGS, ids=' '.join)
def test_every_training_builds_its_model(words, scope):
    from mim.commands.train import cli
    parsed = cli.make_context('train', words[2:]).params
    cfg = told_config('train', parsed['package'], parsed['config'],
                      list(parsed['other_args']))
    scope(cfg.default_scope)
    assert MODELS.build(cfg.model)


@pytest.mark.slow
@pytest.mark.parametrize('page', sorted({
    block.page for block in BASH if block.run}), ids=name_of)
def test_the_commands_of_a_page_that_are_run(page, tmp_path):
    for folder in ('configs', 'tools'):
        (tmp_path / folder).symlink_to(ROOT / folder)
    environment = dict(os.environ, CUDA_VISIBLE_DEVICES='-1')
    for block in blocks(page):
        if block.language == 'bash' and block.run:
            done = subprocess.run(
                ['bash', '-e', '-c', block.code], cwd=tmp_path,
                env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob('activations/*.svg'))
    assert len(list(tmp_path.glob('predictions/*.png'))) == 2


def test_the_documentation_builds_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b',
         'html', 'docs', str(tmp_path)], cwd=ROOT, capture_output=True,
        text=True)
    assert done.returncode == 0, done.stderr
    api = (tmp_path / 'api.html').read_text()
    for name in ('acon_mm.swap_activations', 'acon_mm.AconStatsHook',
                 'acon_mm.MetaAconC', 'acon_mm.functional.acon'):
        assert f'id="{name}"' in api
    # an argument of a docstring, and what napoleon makes of it
    assert 'image_interval' in api and 'Parameters' in api


def test_links_of_readmes_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r'\]\(([^)#:]+)(?:#[\w-]*)?\)',
                                 page.read_text()):
            assert (page.parent / target).exists(), (page, target)


def test_the_version_is_in_one_place():
    from acon_mm.version import __version__
    citation = (ROOT / 'CITATION.cff').read_text()
    assert f'\nversion: {__version__}\n' in citation
    newest = re.search(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(),
                       re.M)
    assert newest[1] == __version__
    for line in (ROOT / 'setup.cfg').read_text().splitlines():
        if line.startswith('version'):
            assert line == 'version = attr: acon_mm.version.__version__'


@pytest.mark.slow
def test_the_notebook_runs_from_its_top_to_its_end(tmp_path):
    cells = json.loads((ROOT / 'docs/beta.ipynb').read_text())['cells']
    code = [''.join(cell['source']) for cell in cells
            if cell['cell_type'] == 'code']
    assert not any(cell.get('outputs') for cell in cells)
    script = tmp_path / 'notebook.py'
    script.write_text('\n'.join(code))
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(script)], cwd=tmp_path,
        env=dict(os.environ, MPLBACKEND='Agg', CUDA_VISIBLE_DEVICES='-1'),
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'beta.png').stat().st_size > 10_000


def test_shell_words_of_commands():
    block = Block(ROOT, 'bash', "A=1 mim train a \\\n  'b c'  # d\n\n", False)
    assert commands(block) == [['mim', 'train', 'a', 'b c']]
