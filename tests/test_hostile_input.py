"""Wrong input gets one sentence with the value and the way out."""
import re
import signal
from pathlib import Path

import pytest
from hostile_commands import COMMANDS, write_files
from hostile_configs import CALLS, CONFIGS
from mmengine.registry import MODELS

TOOLS = Path(__file__).parents[1] / 'tools'


def check_sentence(text, words):
    """One line, with the words, that ends as a sentence does."""
    assert re.search(words, text), text
    assert '\n' not in text and text[-1] in '.?', text


@pytest.mark.parametrize('cfg, kind, words', CONFIGS,
                         ids=[words for *_, words in CONFIGS])
def test_configs(cfg, kind, words, scope):
    scope('mmdet')
    with pytest.raises(kind) as error:
        MODELS.build(cfg)
    check_sentence(str(error.value.args[0]), words)


@pytest.mark.parametrize('call, kind, words', CALLS,
                         ids=[words for *_, words in CALLS])
def test_calls(call, kind, words):
    with pytest.raises(kind) as error:
        call()
    check_sentence(str(error.value.args[0]), words)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A folder with everything that the command lines name."""
    folder = tmp_path_factory.mktemp('files')
    write_files(folder)
    return folder


def contents(folder):
    return {path: path.is_file() and path.read_bytes()
            for path in folder.rglob('*')}


def sentence_of(done):
    """What a tool ends with."""
    assert done.code not in (0, None), done.out
    if done.code == 2:  # argparse has printed the usage before it
        return done.err.strip().split('\n')[-1]
    return str(done.code)


@pytest.mark.parametrize(
    'name, line, words', COMMANDS,
    ids=[f'{name} {Path(line).name}' for name, line, _ in COMMANDS])
def test_commands(name, line, words, files, tool, monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    before = contents(files)
    said = sentence_of(tool(name, *line.split()))
    assert re.search(words, said), said
    assert '\n' not in said
    assert contents(files) == before


@pytest.mark.parametrize('variable, value', [
    ('TASK', 'yolo'), ('TASK', ''), ('TASK', 'pspnet,'), ('DEMO', 'all')])
def test_demo(variable, value, files, tool, monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    monkeypatch.setenv(variable, value)
    before = contents(files)
    said = sentence_of(tool('demo.py'))
    assert f'{variable}={value.rpartition(",")[2]} is unknown; ' in said
    assert contents(files) == before


def test_the_demo_does_not_draw_over_what_is_there(files, tool,
                                                   monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    before = contents(files)
    said = sentence_of(tool('demo.py'))
    assert 'data/shapes_coco was not drawn as the demo needs it; move' in said
    assert contents(files) == before


def test_the_tables_are_as_long_as_they_must_be():
    assert len(CONFIGS) + len(CALLS) + len(COMMANDS) >= 80
    tools = {path.name for path in TOOLS.glob('*.py')}
    assert tools - {tool for tool, *_ in COMMANDS} == {
        'demo.py', 'stock_tool.py', 'version_rows.py'}
