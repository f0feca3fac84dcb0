"""MMCV's build: the precompiled header, what follows without, the progress."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / 'requirements'
HEADER = """#ifndef ANSWER
#define ANSWER
%s
#endif
"""
SOURCE = """#include <torch/types.h>
#include <cstdio>
int main() { std::printf("%d", answer()); }
"""
NOT_GCC = """#!/bin/sh
[ "$1" = --version ] && echo 'clang version 17' && exit
exec c++ "$@"
"""
# stands in for a Python whose pip compiles two files
PIP = """#!/usr/bin/env bash
[ "$3" = -c ] && exit
while [ "$1" != --wheel-dir ]; do shift; done
echo "  [1/2] $CXX -c a.cpp"; echo '  running'; echo '  [2/2] c++ -c b.cpp'
{end}
mkdir "$2"; touch "$2/mmcv-2.1.0-py3-none-any.whl"
"""


@pytest.fixture
def headers(tmp_path):
    """A folder that has torch/types.h."""
    header = tmp_path / 'include/torch/types.h'
    header.parent.mkdir(parents=True)
    header.write_text(HEADER % 'inline int answer() { return 42; }')
    (tmp_path / 'main.cpp').write_text(SOURCE)
    (tmp_path / 'built').mkdir()
    return header


def build(folder: Path, *flags: str, compiler: str = 'c++',
          answer: str = '42') -> bool:
    """Compile, link and run by the script; whether it made a header."""
    environment = dict(os.environ, PRECOMPILED=str(folder / 'built'),
                       PRECOMPILED_CXX=compiler)

    def run(*arguments):
        subprocess.run([SCRIPTS / 'precompiled.sh', *arguments], check=True,
                       cwd=folder, env=environment)

    run('-MMD', '-MF', 'main.d', '-Iinclude', '-fPIC', '-c', 'main.cpp',
        '-o', 'main.o', '-std=c++17', *flags)
    run('main.o', '-o', 'main')
    process = subprocess.run([folder / 'main'], capture_output=True, text=True)
    assert process.stdout == answer
    return (folder / 'built/torch.hpp.gch').exists()


def test_headers_are_parsed_once(headers, tmp_path):
    assert build(tmp_path)
    # what was parsed is used: the header on the disk is not read again
    headers.write_text(HEADER % '#error read again')
    assert build(tmp_path)


def test_a_file_with_other_flags_is_compiled_as_always(headers, tmp_path):
    assert build(tmp_path)
    headers.write_text(HEADER % 'inline int answer() { return X; }')
    assert build(tmp_path, '-DX=7', '-O2', answer='7')


def test_the_standard_is_what_pytorch_asks_for(headers, tmp_path, monkeypatch):
    monkeypatch.setenv('PRECOMPILED_STD', '-std=c++20')
    headers.write_text(HEADER % """#if __cplusplus < 202002L
    #error C++20 is required
    #endif
    inline int answer() { return 42; }""")
    assert build(tmp_path)


def test_another_compiler_compiles_as_always(headers, tmp_path):
    compiler = tmp_path / 'clang++'
    compiler.write_text(NOT_GCC)
    compiler.chmod(0o755)
    assert not build(tmp_path, compiler=str(compiler))


def test_a_header_that_fails_is_done_without(headers, tmp_path):
    source = tmp_path / 'main.cpp'
    source.write_text(f'#define X 42\n{source.read_text()}')
    headers.write_text(HEADER % 'inline int answer() { return X; }')
    assert not build(tmp_path)


def compile_wheel(tmp_path, end: str) -> subprocess.CompletedProcess:
    python = tmp_path / 'python'
    python.write_text(PIP.format(end=end))
    python.chmod(0o755)
    return subprocess.run(
        [SCRIPTS / 'mmcv_wheel.sh', python, 'mmcv==2.1.0', '2',
         tmp_path / 'wheels'], capture_output=True, text=True)


def test_the_build_says_how_far_it_is(tmp_path):
    process = compile_wheel(tmp_path, end='')
    assert process.returncode == 0
    assert re.sub(r'\d+ s', 'N s', process.stdout) == (
        '1 of 2 files after 0 min N s\n2 of 2 files after 0 min N s\n')
    assert [path.name for path in (tmp_path / 'wheels').iterdir()
            ] == ['mmcv-2.1.0-py3-none-any.whl']


def test_a_failed_build_shows_its_end_and_leaves_nothing(tmp_path):
    process = compile_wheel(tmp_path, end='echo no nvcc; exit 3')
    assert process.returncode == 1 and 'no nvcc' in process.stderr
    assert not (tmp_path / 'wheels').exists()


def test_the_setup_of_mmcv_finds_what_it_has_executed(tmp_path):
    """From Python 3.13 on only with help."""
    (tmp_path / 'setup.py').write_text(
        "def get_version():\n    exec(compile('v = 2', 'version.py', 'exec'))"
        "\n    return locals()['v']\n\n\nassert get_version() == 2\n")
    process = compile_wheel(
        tmp_path, end=f'{sys.executable} {tmp_path}/setup.py || exit 4')
    assert process.returncode == 0, process.stderr


# stands in for a Python that has PyTorch alone, and remembers what it is asked
BARE = """#!/usr/bin/env bash
echo "$*" >>{log}
case "$*" in
    *pkg_resources*) exit 1 ;;
    *print*) echo 2.13.0 ;;
    *get_compiling_cuda_version*) [ -e {log}.built ] ;;
    *' wheel --verbose '*)
        while [ "$1" != --wheel-dir ]; do shift; done
        mkdir "$2"; touch "$2/mmcv.whl" {log}.built ;;
    *' install --quiet --no-deps '*) [[ $* == *--find-links* ]] ;;
esac
"""


def test_mmcv_needs_no_more_than_pytorch_beside_it(tmp_path):
    """Its setup imports what a new environment does not have."""
    log, python = tmp_path / 'log', tmp_path / 'python'
    python.write_text(BARE.format(log=log))
    python.chmod(0o755)
    process = subprocess.run(
        [SCRIPTS / 'mmcv.sh', python], capture_output=True, text=True,
        env=dict(os.environ, XDG_CACHE_HOME=str(tmp_path)))
    assert process.returncode == 0, process.stderr
    asked = log.read_text().splitlines()
    tools = asked.index('-W ignore -m pip --disable-pip-version-check install '
                        '--quiet setuptools<82 wheel')
    build = next(i for i, line in enumerate(asked) if ' --verbose ' in line)
    assert tools < build
    # what `make` installs, for the torch at hand, kept for the next time
    pins = (SCRIPTS / 'constraints.txt').read_text()
    pinned = re.search(r'^mmcv==\S+$', pins, re.MULTILINE)
    assert asked[build].endswith(pinned[0])
    assert list(tmp_path.glob('acon_mm/wheels/torch-*/mmcv.whl'))
