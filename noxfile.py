"""The tests on the versions that users have: ``make matrix`` runs each row.

A row is a nox session; environments, compiled wheels and downloads are kept
between runs, so that the next one installs acon_mm alone.
"""
import functools
import os
import sys
from pathlib import Path

import nox

sys.path.append(str(Path(__file__).parent / 'tools'))
from version_rows import ROWS, pinned_lists  # noqa: E402

TABLE_TEST = ('tests/test_versions.py::'
              'test_no_row_of_the_table_has_failures')

nox.options.default_venv_backend = 'venv'
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = 'yes'


def make_environment(session: nox.Session, changed: tuple[str, ...]) -> None:
    """Install all but acon_mm, unless this was done before."""
    folder = Path(session.virtualenv.location).resolve()
    lists = pinned_lists(changed)
    made = folder / 'made_with'
    if made.exists() and made.read_text() == repr(lists):
        return
    for name, text in lists.items():
        (folder / f'{name}.txt').write_text(text)
    session.run('bash', 'requirements/install.sh', 'python', str(folder),
                str(os.cpu_count()), str(folder), external=True)
    session.run('python', '-m', 'pip', 'install', '--quiet', '--no-deps',
                '--requirement', 'requirements/browser.txt')
    made.write_text(repr(lists))


def installed(session: nox.Session) -> str:
    """What pip sees beside acon_mm."""
    lines = session.run('python', '-m', 'pip', 'freeze', silent=True)
    return [line for line in lines.splitlines() if 'acon' not in line]


def run_row(session: nox.Session, name: str,
            changed: tuple[str, ...]) -> None:
    make_environment(session, changed)
    before = installed(session)
    session.run('python', '-m', 'pip', 'install', '--quiet', '.')
    if installed(session) != before:
        session.error('Installing acon_mm replaced another package.')
    session.run('python', '-m', 'pip', 'check')
    results = Path(session.virtualenv.location, 'results.xml').resolve()
    # the command, since `python -m` would find the checkout before the wheel
    session.run('pytest', '-n', str(os.cpu_count()), '--dist', 'worksteal',
                '-m', 'not slow and not gpu', '-q', '--junitxml', str(results),
                # of the table that this run changes
                '--deselect', TABLE_TEST,
                *session.posargs, success_codes=[0, 1],
                env=dict(OMP_NUM_THREADS='1'))
    # says no if a test failed
    session.run('python', 'tools/version_table.py', name, str(results))


for name, (python, changed) in ROWS.items():
    nox.session(functools.partial(run_row, name=name, changed=changed),
                name=name, python=python)
