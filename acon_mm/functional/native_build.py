"""Building ``native.c`` with the machine's C compiler when first used.

It takes about a second, once: the library is kept in the user's cache, as
those of Triton and Inductor are.
"""
import ctypes
import functools
import hashlib
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch

SOURCE = Path(__file__).with_name('native.c')

DEFINES = {torch.float32: '-DFLOAT32', torch.bfloat16: '-DBFLOAT16'}

# the clamps of native.c are one instruction each only if no float is NaN and
# zero has no sign; NaN goes through all the same, as a factor of the result
FLAGS = ('-O3', '-ffinite-math-only', '-fno-signed-zeros', '-fno-math-errno',
         '-fno-trapping-math', '-fopenmp', '-fPIC', '-shared')

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
def load(dtype: torch.dtype) -> Build:
    """The library for elements of this dtype, built if need be."""
    try:
        library = ctypes.CDLL(str(build(dtype)))
    except subprocess.CalledProcessError as error:
        return Build(None, f'the C compiler failed: {error.stderr.strip()}')
    except OSError as error:
        return Build(None, f'it could not be built by {_compiler()} ({error})')
    pointer, size, number = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
    layout = [*[size] * 4, number, number]
    library.forward.argtypes = [*[pointer] * 7, *layout, number]
    library.backward.argtypes = [*[pointer] * 11, *layout, size, number]
    library.forward.restype = library.backward.restype = None
    return Build(library, None)


def build(dtype: torch.dtype) -> Path:
    """Path of the library, compiled unless it lies there already."""
    vectors = VECTOR_FLAGS.get(torch.backends.cpu.get_cpu_capability(), ())
    command = [
        *shlex.split(_compiler()), *FLAGS, *vectors, DEFINES[dtype],
        str(SOURCE)
    ]
    key = hashlib.sha256(SOURCE.read_bytes() + repr(command).encode())
    folder = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache')
    folder = folder.expanduser() / 'acon_mm'
    target = folder / f'native-{key.hexdigest()[:16]}.so'
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # several processes may build at once: each moves a whole file
        with tempfile.TemporaryDirectory(dir=folder) as work:
            built = Path(work) / target.name
            subprocess.run([*command, '-o', str(built)],
                           check=True,
                           capture_output=True,
                           text=True)
            os.replace(built, target)
    return target


def _compiler() -> str:
    return os.environ.get('CC', 'cc')
