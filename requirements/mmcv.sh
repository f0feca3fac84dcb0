#!/usr/bin/env bash
# Install MMCV with its operators: requirements/mmcv.sh PYTHON MMCV==X JOBS
#
# A wheel that was compiled before for the same Python and PyTorch is kept in
# the user's cache; else one that the registry has is tried; else it is
# compiled, with PyTorch's headers parsed once (HEADER=plain: in each file).
set -euo pipefail
python=$1 mmcv=$2
export MMCV_WITH_OPS=1 MAX_JOBS=$3

say() { printf '\n== %s\n' "$*"; }
pip() { "$python" -W ignore -m pip --disable-pip-version-check "$@"; }
# the wheel of another PyTorch installs as well
works() { "$python" -W ignore -c 'import torch, mmcv._ext' 2>/dev/null; }

kept=${XDG_CACHE_HOME:-$HOME/.cache}/acon_mm/wheels/$("$python" -c '
import os, torch
cuda = torch.cuda.is_available() or os.environ.get("FORCE_CUDA") == "1"
arch = os.environ.get("TORCH_CUDA_ARCH_LIST", "cuda") if cuda else "cpu"
print(f"torch-{torch.__version__}-{arch}".replace(" ", "_"))')

progress() {
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$work/log"
        if [[ $line =~ ^\ *\[([0-9]+)/([0-9]+)\]\  ]]; then
            printf '%d of %d files after %d min %02d s\n' \
                "${BASH_REMATCH[@]:1:2}" $((SECONDS / 60)) $((SECONDS % 60))
        fi
    done
}

if pip install --quiet --no-deps --no-index --find-links "$kept" \
    --force-reinstall "$mmcv" 2>/dev/null && works; then
    say "Installed the $mmcv that was compiled before, in $kept"
    exit
fi
if [ "${HEADER:-}" != plain ] && pip install --quiet --no-deps \
    --only-binary :all: --force-reinstall "$mmcv" 2>/dev/null && works; then
    say "Installed the prebuilt $mmcv of the package registry"
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say "Compiling $mmcv; the wheel is kept in $kept"
if [ "${HEADER:-}" != plain ]; then
    # a copy: CXX cannot name a path with a space
    cp "$(dirname "$0")/precompiled.sh" "$work/c++"
    export PRECOMPILED=$work PRECOMPILED_CXX=${CXX:-c++} CXX=$work/c++
fi
SECONDS=0
if ! pip wheel --verbose --no-deps --no-build-isolation --no-cache-dir \
    --no-binary :all: --wheel-dir "$work/wheel" "$mmcv" 2>&1 | progress; then
    tail -n 40 "$work/log" >&2
    exit 1
fi
mkdir -p "$kept"
mv "$work"/wheel/*.whl "$kept"
pip install --quiet --no-deps --force-reinstall --no-index \
    --find-links "$kept" "$mmcv"
"$python" -W ignore -c 'import torch, mmcv._ext'
