#!/usr/bin/env bash
# Install MMCV with its operators: requirements/mmcv.sh PYTHON [MMCV==X [JOBS]]
#
# Kept in the user's cache is the wheel that was compiled before for the same
# Python and PyTorch; without one, the registry's is tried, then compiled.
# `pip install mmcv` alone compiles it in an environment without PyTorch.
set -euo pipefail
pins=$(dirname "$0")/constraints.txt
python=$1 mmcv=${2:-$(grep '^mmcv==' "$pins")}
jobs=${3:-$(getconf _NPROCESSORS_ONLN)}

say() { printf '\n== %s\n' "$*"; }
try() {
    "$python" -W ignore -m pip --disable-pip-version-check install --quiet \
        --no-deps --force-reinstall --only-binary :all: "$@" "$mmcv" \
        2>/dev/null && works 2>/dev/null
}
# the wheel of another PyTorch installs as well, and so does one without CUDA
works() {
    "$python" -W ignore -c 'import torch
from mmcv.ops import get_compiling_cuda_version
if torch.cuda.is_available():
    assert get_compiling_cuda_version() != "not available"'
}

# for the card at hand alone: MMCV takes long to compile for each
arch=$("$python" -W ignore -c 'import torch
if torch.cuda.is_available():
    print("%d.%d" % torch.cuda.get_device_capability())')
if [ -n "$arch" ]; then
    export FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-$arch}
fi
kept=${XDG_CACHE_HOME:-$HOME/.cache}/acon_mm/wheels
kept+=/torch-$("$python" -W ignore -c 'import torch; print(torch.__version__)')
kept+=-${TORCH_CUDA_ARCH_LIST:-cpu}

if try --no-index --find-links "$kept"; then
    say "Installed the $mmcv that was compiled before, in $kept"
elif try; then
    say "Installed a prebuilt $mmcv"
else
    say "Compiling $mmcv; the wheel is kept in $kept"
    "$python" -W ignore -c 'import pkg_resources, wheel' 2>/dev/null ||
        "$python" -W ignore -m pip --disable-pip-version-check install \
            --quiet 'setuptools<82' wheel  # what its setup imports
    "$(dirname "$0")/mmcv_wheel.sh" "$python" "$mmcv" "$jobs" "$kept"
    try --no-index --find-links "$kept" || {
        echo "The $mmcv compiled here cannot be imported:" >&2
        works
    }
fi
