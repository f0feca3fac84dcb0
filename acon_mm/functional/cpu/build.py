"""Building the C sources with the machine's compiler when first used.

It takes about a second, once: a library is kept in the user's cache, as those
of Triton and Inductor are. Where that cannot be written, or others could put
code into it, each process builds its own and removes it at its end.
"""
import atexit
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

# pointer, long, int and float, as the sources call them
TYPES = (ctypes.c_void_p, ctypes.c_long, ctypes.c_int, ctypes.c_float)

# the clamps of op.c are one instruction each only if no float is NaN and
# zero has no sign; NaN goes through all the same, as a factor of the result
FLAGS = ('-O3', '-ffinite-math-only', '-fno-signed-zeros', '-fno-math-errno',
         '-fno-trapping-math', '-fPIC', '-shared')
# some compilers have no threads: one of them is better than none
THREADS = ('-fopenmp', '-fopenmp-simd')

VECTOR_FLAGS = {
    'AVX2': ('-mavx2', '-mfma'),
    'AVX512': ('-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mfma',
               '-mprefer-vector-width=512'),
}


class Build(NamedTuple):
    """A loaded library, or the reason why there is none."""
    library: ctypes.CDLL | None
    error: str | None


@functools.cache
def load(name: str, *defines: str) -> Build:
    """The library of ``<name>.c``, built if need be."""
    for threads in THREADS:
        try:
            return Build(ctypes.CDLL(str(build(name, threads, *defines))),
                         None)
        except subprocess.CalledProcessError as error:
            reason = f'the C compiler failed: {error.stderr.strip()}'
        # RuntimeError: there is no home; ValueError: no command in CC
        except (OSError, RuntimeError, ValueError) as error:
            reason = f'it could not be built by {_compiler()} ({error})'
    tell(f'ACON runs on the CPU without its kernel: {reason}.')
    return Build(None, reason)


@functools.cache
def tell(sentence: str) -> None:
    """Warn, once a process."""
    warnings.warn(sentence, RuntimeWarning, stacklevel=2)


def pointers(*tensors: Tensor | None) -> list[int]:
    """Where tensors lie, 0 where there is none; whoever calls must keep them
    alive by a name."""
    return [0 if t is None else t.data_ptr() for t in tensors]


def build(name: str, *flags: str) -> Path:
    """Path of the library, compiled unless it lies there already, whole."""
    source = Path(__file__).with_name(f'{name}.c')
    vectors = VECTOR_FLAGS.get(torch.backends.cpu.get_cpu_capability(), ())
    command = [
        *shlex.split(_compiler()), *FLAGS, *vectors, *flags, str(source)
    ]
    # sources include each other, and a home may be shared by machines
    key = hashlib.sha256(repr(
        (command, platform.machine(), platform.libc_ver())).encode())
    for path in sorted(source.parent.glob('*.c')):
        key.update(path.read_bytes())
    stem = f'{name}-{key.hexdigest()[:16]}'
    folder = _folder()
    # loading what a full disk or a crash left of one may end the process
    for kept in folder.glob(f'{stem}-*.so'):
        if _is_own(kept) and kept.stem == f'{stem}-{_digest(kept)}':
            return kept
    if not os.access(folder, os.W_OK):
        folder = _own_folder(f'{folder} cannot be written')
    # several processes may build at once: each moves a whole file
    with tempfile.TemporaryDirectory(dir=folder) as work:
        built = Path(work) / f'{stem}.so'
        subprocess.run([*command, '-o', str(built), '-lm'],
                       check=True,
                       capture_output=True,
                       text=True)
        target = folder / f'{stem}-{_digest(built)}.so'
        os.replace(built, target)
    return target


def _folder() -> Path:
    """Where libraries are kept: in the cache, if that is the user's alone."""
    home = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser()
    folder = home.absolute() / 'acon_mm'
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return _own_folder(f'{folder} cannot be made ({error.strerror})')
    # whoever can rename a folder can put another in its place
    for path in (folder, *folder.parents, *folder.resolve().parents):
        if not _is_own(path):
            return _own_folder(f'others can write into {path}')
    return folder


@functools.cache
def _own_folder(why: str) -> Path:
    """One of this process, which says why."""
    tell(f'The kernel of ACON is built again in each process: {why}.')
    folder = tempfile.mkdtemp(prefix='acon_mm-')
    atexit.register(_remove, folder, os.getpid())
    return Path(folder)


def _remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:  # a fork may still be at work
        shutil.rmtree(folder, ignore_errors=True)


def _is_own(path: Path) -> bool:
    """Whether only this user and root can change it, or in a folder such as
    /tmp what they have put there."""
    found, user = path.stat(), os.geteuid()
    if found.st_uid not in (0, user):
        return False
    # many systems give each user a group with the same number
    others = 0o002 if found.st_gid == user else 0o022
    return not found.st_mode & others or bool(found.st_mode & stat.S_ISVTX)


def _digest(path: Path) -> str:
    """What a file holds, in 16 letters."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _compiler() -> str:
    return os.environ.get('CC', 'cc')
