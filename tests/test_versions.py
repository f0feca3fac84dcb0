"""The versions: the table, its rows, and what is refused at import."""
import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / 'tools'))
import version_rows  # noqa: E402
import version_table  # noqa: E402

RESULTS = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"/><testcase name="c"/>
<testcase name="d"><failure message="no"/></testcase>
<testcase name="e"><error message="no"/></testcase>
<testcase name="f"><skipped message="no GPU"/></testcase>
<testcase name="g"><skipped message="no GPU"/></testcase>
</testsuite></testsuites>"""


def test_the_page_is_made_of_the_table():
    page = (ROOT / 'docs/versions.md').read_text()
    assert page == version_table.page(version_table.read())


def test_no_row_of_the_table_has_failures():
    rows = version_table.read()
    assert set(rows) <= set(version_rows.ROWS)
    for row in rows.values():
        assert row['failed'] == '0' and int(row['passed']) > 900, row


def test_the_page_names_what_was_not_run():
    row = dict.fromkeys(version_table.COLUMNS, 'x')
    page = version_table.page({'py311-torch213': row})
    first, *others = page.splitlines()[-1].split(', ')
    assert first == 'Not run yet: py310-torch21' and len(others) == 4
    assert 'Not run' not in version_table.page(
        dict.fromkeys(version_rows.ROWS, row))


def test_outcomes_are_counted(tmp_path):
    (tmp_path / 'results.xml').write_text(RESULTS)
    assert version_table.counts(tmp_path / 'results.xml') == {
        'passed': '3', 'failed': '2', 'skipped': '2',
        'why skipped': '2: no GPU'}


@pytest.mark.parametrize('failing, code', [
    ('', None), ('<failure/>', '1 tests of py311-numpy2 fail: .*results')])
def test_a_row_whose_tests_fail_is_noted_and_an_error(
        failing, code, tool, tmp_path):
    shutil.copytree(ROOT / 'tools', tmp_path / 'tools')
    (tmp_path / 'docs').mkdir()
    results = tmp_path / 'results.xml'
    results.write_text('<testsuite><testcase name="a"/>'
                       f'<testcase name="b">{failing}</testcase></testsuite>')
    done = tool(tmp_path / 'tools/version_table.py', 'py311-numpy2', results)
    assert done.code is code or re.search(code, done.code)
    row, = csv.DictReader((tmp_path / 'docs/versions.csv').open())
    assert row['row'] == 'py311-numpy2'
    assert row['failed'] == str(int(bool(failing)))
    assert 'py311-numpy2' in (tmp_path / 'docs/versions.md').read_text()


def test_the_rows_need_nothing_but_nox():
    """Its environment has no torch, and so no acon_mm."""
    code = ("import sys, types; "
            "sys.modules.update(dict.fromkeys(['acon_mm', 'torch'])); "
            "sys.modules['nox'] = nox = types.ModuleType('nox'); "
            "nox.options = types.SimpleNamespace(); nox.Session = None; "
            "nox.session = lambda function, name, python: print(name); "
            "import noxfile")
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True,
                          capture_output=True, text=True)
    assert done.stdout.split() == [*version_rows.ROWS]


@pytest.mark.parametrize('row', version_rows.ROWS)
def test_a_row_pins_each_package_once(row):
    python, changed = version_rows.ROWS[row]
    lists = version_rows.pinned_lists(changed)
    names = []
    for line in ''.join(lists.values()).splitlines():
        if line and not line.startswith('#'):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate(
                    dict(python_version=python)):
                names.append(canonicalize_name(pin.name))
    assert len(names) == len(set(names))
    # one of each pair, and what the row changes in the list it belongs to
    for fork, original in version_rows.ORIGINALS.items():
        assert (fork in names) != (original in names)
    for pin in changed:
        own = pin.split('==')[0]
        assert pin in lists.get(own, lists['constraints']).splitlines()
    assert {'torch', 'torchvision', 'numpy', 'pytest'} <= set(names)


@pytest.mark.parametrize('change, words', [
    ("import torch; torch.__version__ = '2.0.1+cu118'",
     'needs torch 2.1 or newer, and this is 2.0.1+cu118'),
    ("import torch, numpy; torch.__version__ = '2.2.2'; "
     "numpy.__version__ = '2.0.0'", "pip install 'numpy<2'"),
    ("import mmengine; mmengine.__version__ = '0.9.1'",
     'needs mmengine 0.10.0 or newer, and this is 0.9.1: mim install'),
    ("import mmcv; mmcv.__version__ = '2.0.0rc4'",
     'needs mmcv 2.0.1 or newer, and this is 2.0.0rc4: mim install'),
    ("import sys; sys.modules['mmcv'] = None",
     'needs mmcv, which is not installed: mim install'),
])
def test_what_cannot_work_is_refused_in_one_sentence(change, words):
    process = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', f'{change}; import acon_mm'],
        capture_output=True, text=True)
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert last.startswith('ImportError: ') and words in last


def test_a_vendors_build_of_the_oldest_torch_is_taken():
    change = ("import torch, numpy; torch.__version__ = '2.1.0a0+29c30b1'; "
              "numpy.__version__ = '1.26.4'")
    subprocess.run([sys.executable, '-W', 'ignore', '-c',
                    f'{change}; import acon_mm.installed'], check=True)


def test_a_package_goes_by_the_name_that_pip_has_for_it():
    from acon_mm.installed import distribution_of
    assert distribution_of('pytest') == 'pytest'
    assert distribution_of('yaml') == 'PyYAML'
    assert distribution_of('mmdet') in ('mmdet', 'onedl-mmdetection')
    assert distribution_of('no_such_module') == 'no_such_module'


def test_configs_of_a_fork_are_found_by_their_module(monkeypatch):
    from mmengine.config import utils

    from acon_mm import installed

    def version(package):
        raise installed.metadata.PackageNotFoundError(package)

    originals = dict(mmseg='mmsegmentation', nowhere='mmnowhere')
    monkeypatch.setattr(utils, 'MODULE2PACKAGE', dict(originals))
    monkeypatch.setattr(installed.metadata, 'version', version)
    assert installed.find_configs_of_forks() == originals
    # what is not installed keeps the name to install it by
    assert utils.MODULE2PACKAGE == dict(mmseg='mmseg', nowhere='mmnowhere')
