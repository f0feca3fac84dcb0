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
import version_table  # noqa: E402

REQUIREMENTS = Path('requirements')
NUMPY_2 = ('numpy==2.4.6', )
NEWEST = ('torch==2.14.1', 'torchvision==0.29.1', *NUMPY_2)

# What a row changes in the lists of requirements/, which are those of
# continuous integration. A fork takes the place of its original.
ROWS = {
    'py310-torch21': ('3.10', ('torch==2.1.2', 'torchvision==0.16.2')),
    'py311-torch213': ('3.11', ()),
    'py311-numpy2': ('3.11', NUMPY_2),
    'py312-torch211': ('3.12', ('torch==2.11.0', 'torchvision==0.26.0')),
    'py313-newest': ('3.13', NEWEST),
    'py313-forks': ('3.13', (*NEWEST, 'onedl-mmengine==0.10.12',
                             'onedl-mmcv==2.3.6', 'onedl-mmdetection==3.5.1',
                             'onedl-mmpretrain==1.3.6',
                             'onedl-mmsegmentation==1.4.2')),
}
ORIGINALS = {
    'onedl-mmcv': 'mmcv',
    'onedl-mmdetection': 'mmdet',
    'onedl-mmengine': 'mmengine',
    'onedl-mmpretrain': 'mmpretrain',
    'onedl-mmsegmentation': 'mmsegmentation',
}

nox.options.default_venv_backend = 'venv'
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = 'yes'


def pinned_lists(changed: tuple[str, ...]) -> dict[str, str]:
    """The files of ``requirements/`` that a row installs, by name."""
    own = {pin.split('==')[0]: pin for pin in changed}
    replaced = {ORIGINALS.get(name, name) for name in own}
    lists = {}
    for name in ('constraints', 'torch', 'torchvision'):
        lines = (REQUIREMENTS / f'{name}.txt').read_text().splitlines()
        if name in own:
            # another PyTorch brings what it needs
            lines = [own.pop(name)]
        lists[name] = [line for line in lines
                       if name in replaced
                       or line.split('==')[0] not in replaced]
    lists['constraints'] += own.values()
    return {name: '\n'.join(lines) + '\n' for name, lines in lists.items()}


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
    session.run('python', '-m', 'pytest', '-n', str(os.cpu_count()), '-m',
                'not slow and not gpu', '-q', '--junitxml', str(results),
                *session.posargs, success_codes=[0, 1],
                env=dict(OMP_NUM_THREADS='1'))
    session.run('python', 'tools/version_table.py', name, str(results))
    if version_table.read()[name]['failed'] != '0':
        session.error(f'Tests fail; {results} says which.')


for name, (python, changed) in ROWS.items():
    nox.session(functools.partial(run_row, name=name, changed=changed),
                name=name, python=python)
