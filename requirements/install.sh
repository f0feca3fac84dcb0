#!/usr/bin/env bash
# Make or renew the virtual environment with the versions that continuous
# integration runs: requirements/install.sh PYTHON VENV JOBS
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$2
pinned=requirements/constraints.txt
mmcv=$(grep '^mmcv==' "$pinned")
export MMCV_WITH_OPS=1 MAX_JOBS=$3

say() { printf '\n== %s\n' "$*"; }
python() { "$venv/bin/python" -W ignore "$@"; }
install() {
    python -m pip --disable-pip-version-check install --no-build-isolation "$@"
}

"$1" -c 'import sys
if sys.version_info[:2] not in ((3, 11), (3, 12)):
    sys.exit(f"Python {sys.version.split()[0]} does not fit the pinned "
             "versions: choose 3.11 or 3.12, as in make PYTHON=python3.11")'

if ! python -m pip --version >/dev/null 2>&1; then
    say "Making $venv with $("$1" --version)"
    "$1" -m venv "$venv"
fi

say 'Installing OpenMMLab without MMCV, and the tools'
# shellcheck disable=SC2046  # one word for each requirement
install --no-deps $(grep -v -e '^#' -e '^mmcv==' "$pinned")

kept=$(python -c 'import sysconfig
print(sysconfig.get_path("purelib"))')/kept_torch.pth
if ! python -c 'import torch' 2>/dev/null; then
    # --system-site-packages would not see a torch that is itself in a venv
    "$1" -c 'import pathlib, torch
print(pathlib.Path(torch.__file__).parents[1])' >"$kept" 2>/dev/null || true
fi
if [ -s "$kept" ]; then
    say "Keeping the PyTorch in $(cat "$kept")"
else
    say 'Installing PyTorch'
    install -r requirements/torch.txt
fi

say 'Installing MMCV. The first time it is compiled, which takes about 12' \
    'minutes on two cores; pip keeps the result'
install --no-deps "$mmcv"

if ! python -c 'import cv2' 2>/dev/null; then
    say 'OpenCV finds no libGL here: installing its build for servers'
    install --no-deps --force-reinstall \
        "$(sed -n 's/^opencv-python==/opencv-python-headless==/p' "$pinned")"
fi
if ! python -c 'import torchvision' 2>/dev/null; then
    # in a folder of its own, which only the tests of MMPretrain look into:
    # MMEngine imports any torchvision it sees, and there is no CPU build
    install --no-deps --upgrade --target "$venv/torchvision" \
        "$(grep '^torchvision==' requirements/torchvision.txt)"
fi
if ! python -c 'import torch, mmcv._ext' 2>/dev/null; then
    say 'That MMCV was compiled for another PyTorch: compiling it again'
    install --no-deps --no-cache-dir --force-reinstall "$mmcv"
    python -c 'import torch, mmcv._ext'
fi
say "$venv is ready"
