#!/usr/bin/env bash
# Compile a wheel of MMCV with its operators, for the PyTorch beside PYTHON:
# requirements/mmcv_wheel.sh PYTHON MMCV==X JOBS FOLDER
#
# PyTorch's headers are parsed once, by precompiled.sh; HEADER=plain has each
# file parse them, as pip alone would.
set -euo pipefail
python=$1 mmcv=$2 folder=$4
export MMCV_WITH_OPS=1 MAX_JOBS=$3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "${HEADER:-}" != plain ]; then
    # a copy, since CXX cannot name a path with a space
    cp "$(dirname "$0")/precompiled.sh" "$work/c++"
    export PRECOMPILED=$work PRECOMPILED_CXX=${CXX:-c++} CXX=$work/c++
    if grep -qs '__cplusplus < 202002L' "$("$python" -W ignore -c '
import pathlib, torch
print(pathlib.Path(torch.__file__).parent)')/include/ATen/ATen.h"; then
        export PRECOMPILED_STD=-std=c++20
    fi
fi

# MMCV's setup.py looks among its locals for what exec() defined; Python 3.13
# (PEP 667) has it there only if it was put into the frame
mkdir "$work/site"
cat >"$work/site/sitecustomize.py" <<'END'
import builtins
import sys

if sys.version_info >= (3, 13):
    plain = builtins.exec

    def execute(code, *namespaces, **named):
        if not namespaces and not named:
            frame = sys._getframe(1)
            namespaces = frame.f_globals, frame.f_locals
        plain(code, *namespaces, **named)

    builtins.exec = execute
END
export PYTHONPATH=$work/site${PYTHONPATH:+:$PYTHONPATH}

if [ -n "${FORCE_CUDA:-}" ]; then
    # a toolkit may lack what PyTorch's own packages have
    CPATH=$("$python" -c 'import glob, sysconfig
root = sysconfig.get_path("purelib")
print(*glob.glob(f"{root}/nvidia/*/include"), sep=":")'):${CPATH:-}
    export CPATH
fi

progress() {
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$work/log"
        if [[ $line =~ ^\ *\[([0-9]+)/([0-9]+)\]\  ]]; then
            printf '%d of %d files after %d min %02d s\n' \
                "${BASH_REMATCH[@]:1:2}" $((SECONDS / 60)) $((SECONDS % 60))
        fi
    done
}

if ! "$python" -W ignore -m pip --disable-pip-version-check wheel --verbose \
    --no-deps --no-build-isolation --no-cache-dir --no-binary :all: \
    --wheel-dir "$work/wheel" "$mmcv" 2>&1 | progress; then
    tail -n 40 "$work/log" >&2
    exit 1
fi
mkdir -p "$folder"
mv "$work"/wheel/*.whl "$folder"
