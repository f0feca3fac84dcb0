"""The kernel that is built from C when it is first used."""
import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from functional_cases import calls_of

from acon_mm import functional
from acon_mm.functional.cpu import build as native_build
from acon_mm.functional.cpu import op as native

CACHES = (native_build.load, native_build.tell, native_build._own_folder)


@pytest.fixture(scope='module')
def copier(tmp_path_factory):
    """A compiler that takes no time: it copies what was built before."""
    built = native_build.build('op', native_build.THREADS[0],
                               native.DEFINES[torch.float32])
    script = tmp_path_factory.mktemp('bin') / 'cc'
    script.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n'
                      f'cp "{built}" "$2"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def fresh_build(copier, monkeypatch, tmp_path):
    """Nothing is built yet; ``fresh_build(cc)`` chooses the compiler."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    for kept in CACHES:
        kept.cache_clear()
    yield lambda compiler: monkeypatch.setenv('CC', str(compiler))
    for kept in CACHES:
        kept.cache_clear()


def test_without_a_compiler_the_blocks_serve(fresh_build, monkeypatch, capfd):
    fresh_build('/no/compiler')
    calls = calls_of(monkeypatch, functional.blocked)
    x = torch.randn(2, 3, 4, 4)
    with pytest.warns(RuntimeWarning, match='without its kernel: it could not '
                      'be built by /no/compiler') as told:
        functional.acon(x, 1., 0., 1.)
        functional.acon(x, 1., 0., 1.)
        functional.acon(x.bfloat16(), 1., 0., 1.)
    assert len(calls) == 3 and len(told) == 1
    assert capfd.readouterr() == ('', '')
    with pytest.raises(RuntimeError, match='not be built by /no/compiler'):
        functional.set_implementation('native')
    assert functional.get_implementation() == 'auto'


@pytest.mark.parametrize('compiler', ['"cc', ''])
def test_a_compiler_that_is_no_command(compiler, fresh_build):
    fresh_build(compiler)
    with pytest.warns(RuntimeWarning, match='without its kernel'):
        assert 'it could not be built by' in native.unavailable()
    functional.acon(torch.randn(2, 3, 4, 4), 1., 0., 1.)


def test_without_a_home_the_blocks_serve(fresh_build, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', '')
    monkeypatch.setattr(native_build.Path, 'expanduser', lambda self: (
        _ for _ in ()).throw(RuntimeError('Could not determine home')))
    fresh_build('cc')
    with pytest.warns(RuntimeWarning, match='without its kernel'):
        assert 'Could not determine home' in native.unavailable()
    functional.acon(torch.randn(2, 3, 4, 4), 1., 0., 1.)


def test_a_compiler_without_threads(fresh_build, tmp_path):
    script = tmp_path / 'cc'
    script.write_text('#!/bin/sh\ncase "$*" in *-fopenmp\\ *) exit 1;; esac\n'
                      'exec gcc "$@"\n')
    script.chmod(0o755)
    fresh_build(script)
    assert native.unavailable() is None


def test_a_failing_compiler_is_quoted(fresh_build, tmp_path):
    script = tmp_path / 'cc'
    script.write_text('#!/bin/sh\necho no luck >&2\nexit 1\n')
    script.chmod(0o755)
    fresh_build(script)
    with pytest.warns(RuntimeWarning, match='compiler failed: no luck'):
        assert native.unavailable() == 'the C compiler failed: no luck'
    assert [*(tmp_path / 'acon_mm').iterdir()] == []


def build_in_process(name):
    native_build.build(name)


def test_builds_at_the_same_time_leave_one_library(fresh_build, tmp_path):
    """Of processes, as the ranks of a training are, and of threads."""
    fresh_build('cc')
    fork = multiprocessing.get_context('fork')
    processes = [fork.Process(target=build_in_process, args=('meta', ))
                 for _ in range(2)]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(2) as pool:
        builds = [*pool.map(native_build.build, ['meta'] * 2)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert builds[0] == builds[1]
    assert [*(tmp_path / 'acon_mm').iterdir()] == [builds[0]]


def test_each_kind_of_processor_has_its_library(fresh_build, copier, tmp_path,
                                                monkeypatch):
    """As those of a cluster have, with one home."""
    fresh_build(copier)
    paths = []
    for kind in ('DEFAULT', 'AVX2', 'DEFAULT'):
        monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability',
                            lambda kind=kind: kind)
        paths.append(native_build.build('op', '-DFLOAT32'))
    assert paths[0] == paths[2] != paths[1]
    assert {*(tmp_path / 'acon_mm').iterdir()} == {*paths}


def use():
    """Run the kernel; where its library lies."""
    assert native.unavailable() is None
    x = torch.linspace(-3, 3, 6).view(1, 2, 3)
    torch.testing.assert_close(native.acon(x, 1., 0., 1.),
                               torch.nn.functional.silu(x))
    return native_build.build('op', '-DFLOAT32').parent


@pytest.mark.parametrize('name', ['cache', 'acon_mm'])
@pytest.mark.parametrize('mode', [0o777, 0o722])
def test_no_code_is_run_from_where_others_write(fresh_build, copier, tmp_path,
                                                name, mode, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    folder = tmp_path / 'cache/acon_mm'
    folder.mkdir(parents=True)
    fresh_build(copier)
    kept = native_build.build('op', '-DFLOAT32')
    {'cache': folder.parent, 'acon_mm': folder}[name].chmod(mode)
    with pytest.warns(RuntimeWarning, match='again in each process: others '
                      f'can write into {tmp_path}.*{name}') as told:
        own = use()
    assert len(told) == 1 and own != folder
    assert own.stat().st_mode & 0o777 == 0o700
    assert [*folder.iterdir()] == [kept]


@pytest.mark.parametrize('change', ['owner', 'mode'])
def test_no_library_of_others_is_run(fresh_build, copier, tmp_path,
                                     change, monkeypatch):
    fresh_build(copier)
    kept = native_build.build('op', '-DFLOAT32')
    if change == 'mode':
        kept.chmod(0o666)
    else:
        monkeypatch.setattr(os, 'geteuid', lambda: os.getuid() + 7)
        monkeypatch.setattr(native_build, '_folder', lambda: kept.parent)
        if os.getuid() == 0:  # what is root's is everybody's
            os.chown(kept, 12345, -1)
    refused = kept.stat().st_ino
    assert native_build.build('op', '-DFLOAT32').stat(
        ).st_ino != refused


@pytest.mark.parametrize('problem', ['a file', 'read-only'])
def test_a_home_that_cannot_be_written(fresh_build, copier, tmp_path,
                                       problem, monkeypatch):
    if problem == 'a file':
        (tmp_path / 'acon_mm').write_text('mine')
    else:  # root may write everywhere
        access = os.access
        monkeypatch.setattr(os, 'access', lambda path, mode: (
            path != tmp_path / 'acon_mm' and access(path, mode)))
    fresh_build(copier)
    with pytest.warns(RuntimeWarning, match='again in each process: .*acon_mm'
                      ' cannot be (made|written)') as told:
        own = use()
    assert len(told) == 1 and tmp_path not in own.parents
    assert own.stat().st_mode & 0o777 == 0o700


def test_a_source_that_changes_is_built_anew(fresh_build, tmp_path,
                                             monkeypatch):
    folder = Path(native_build.__file__).parent
    for source in folder.glob('*.c'):
        shutil.copy(source, tmp_path)
    monkeypatch.setattr(native_build, '__file__', str(tmp_path / 'build.py'))
    fresh_build('cc')
    before = native_build.build('meta')
    assert native_build.build('meta') == before
    # meta.c includes it
    with open(tmp_path / 'net.c', 'a') as file:
        file.write('long another(void) { return 1; }\n')
    assert native_build.build('meta') != before


@pytest.mark.parametrize('kept', [
    0, -1000, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_library_that_is_not_whole_is_built_anew(fresh_build, copier,
                                                   tmp_path, kept):
    fresh_build(copier)

    def load():  # a broken one can end the process
        done = subprocess.run(
            [sys.executable, '-c', 'from acon_mm.functional.cpu import op; '
             'raise SystemExit(op.unavailable())'],
            capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, '')

    load()
    path, = (tmp_path / 'acon_mm').iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    load()
    assert path.read_bytes() == whole


@pytest.mark.slow
def test_under_sanitizers(tmp_path):
    sanitizers = ['asan', 'ubsan']
    libraries = [subprocess.check_output(
        ['cc', f'-print-file-name=lib{name}.so'], text=True).strip()
        for name in sanitizers]
    tests = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider',
         '-k', 'native', tests / 'test_functional.py',
         tests / 'test_native_meta.py'],
        capture_output=True, text=True, env=dict(
            os.environ, XDG_CACHE_HOME=str(tmp_path),
            LD_PRELOAD=' '.join(libraries), ASAN_OPTIONS='detect_leaks=0',
            CC='cc -g -fsanitize=address,undefined -fno-sanitize-recover'))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    built = [*(tmp_path / 'acon_mm').iterdir()]
    assert len(built) >= 3
    for path in built:
        assert b'__asan_report' in path.read_bytes()
        assert b'__ubsan_handle' in path.read_bytes()
