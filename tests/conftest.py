"""Fixtures that several test files share."""
import functools
import json
import logging
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cpu_torchvision
import pytest
import torch
from mmengine.config import utils as config_utils
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.visualization import Visualizer

from acon_mm.shapes import write_dataset

# before any test file: mmdet looks for mmpretrain once, as it is imported
cpu_torchvision.make_importable()
# every config that begins with another package's reads all its metafiles
config_utils.load = functools.cache(config_utils.load)
# and lays itself out again and again: not by the yapf in quick/, which
# pyproject.toml names for this process and this for the commands that are run
os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, (
    str(Path(__file__).parent / 'quick'), os.environ.get('PYTHONPATH'))))


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_visualizer_of_another_test():
    """MMEngine keeps them by name, with the folder of their first run."""
    yield
    for kind in (Visualizer, *Visualizer.__subclasses__()):
        kind._instance_dict.clear()


@pytest.fixture
def scope():
    """``scope('mmdet')`` is the default scope until the test ends."""
    before = DefaultScope.get_current_instance()
    instances = dict(DefaultScope._instance_dict)
    yield init_default_scope
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(instances)
    assert DefaultScope.get_current_instance() is before


@pytest.fixture
def log():
    """What MMEngine's logger shows, a list of lines."""
    lines = []

    class Listener(logging.Handler):

        def emit(self, record):
            lines.append(record.getMessage())

    logger, listener = MMLogger.get_current_instance(), Listener('INFO')
    level = logger.level
    logger.setLevel('INFO')  # a tool may have made it quiet
    logger.addHandler(listener)
    yield lines
    logger.removeHandler(listener)
    logger.setLevel(level)


@pytest.fixture
def tool(monkeypatch, capsys):
    """``tool('complexity.py', ...)`` runs a tool in this process.

    Its ``code`` is None or 0, 2 where argparse refuses, or else a sentence.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level

    def call(name, *words):
        path = Path(__file__).parents[1] / 'tools' / name
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, words)])
        monkeypatch.syspath_prepend(path.parent)
        code = None
        try:
            runpy.run_path(str(path), run_name='__main__')
        except SystemExit as end:
            code = end.code
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    yield call
    logger.setLevel(level)


@pytest.fixture(scope='session')
def shapes_coco(tmp_path_factory):
    """A small COCO folder of drawn shapes."""
    root = tmp_path_factory.mktemp('shapes') / 'coco'
    write_dataset(root, 'coco', dict(train=8, val=4), size=64, workers=1)
    return root


@pytest.fixture(scope='session')
def shapes_cityscapes(tmp_path_factory):
    """A small Cityscapes folder of drawn shapes."""
    root = tmp_path_factory.mktemp('shapes') / 'cityscapes'
    write_dataset(root, 'cityscapes', dict(train=8, val=4), size=64,
                  workers=1)
    return root


@pytest.fixture
def browser():
    """``browser(page, script)`` is a script's value in a window 800 wide."""

    def run(page, script, width=800):
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name('browser.py')),
             str(page), script, str(width)], capture_output=True, text=True)
        if '.so' in done.stderr and 'ImportError' in done.stderr:
            # of the system, as libnss3: pip cannot bring them
            pytest.skip(done.stderr.splitlines()[-1])
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
