#!/usr/bin/env bash
# Make or renew the virtual environment with the versions that continuous
# integration runs: requirements/install.sh PYTHON VENV JOBS
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$2
pinned=requirements/constraints.txt
export MMCV_WITH_OPS=1 MAX_JOBS=$3

say() { printf '\n== %s\n' "$*"; }
python() { "$venv/bin/python" -W ignore "$@"; }
pip() { python -m pip --disable-pip-version-check "$@"; }
kept_torch() {
    python -c 'import sys, torch
if torch.__file__.startswith(sys.prefix): sys.exit(1)
print(torch.__version__, "of", torch.__file__)' 2>/dev/null
}

"$1" -c 'import sys
if sys.version_info[:2] not in ((3, 11), (3, 12)):
    sys.exit(f"Python {sys.version.split()[0]} does not fit the pinned "
             "versions: choose 3.11 or 3.12, as in make PYTHON=python3.11")'

if ! pip --version >/dev/null 2>&1; then
    say "Making $venv with $("$1" --version)"
    "$1" -m venv "$venv"
    # --system-site-packages would not see a torch that is itself in a venv
    if site=$("$1" -c 'import pathlib, torch
print(pathlib.Path(torch.__file__).parents[1])' 2>/dev/null); then
        echo "$site" >"$(python -c 'import sysconfig
print(sysconfig.get_path("purelib"))')/kept_torch.pth"
    fi
fi

say 'PyTorch and the build tools'
pip install -c "$pinned" ninja numpy packaging psutil setuptools wheel
if torch=$(kept_torch); then
    echo "Keeping torch $torch"
else
    pip install -r requirements/torch.txt
fi

say 'OpenMMLab and the rest. The first time, MMCV is compiled, which takes' \
    'about 12 minutes on two cores; pip keeps the result'
pip install --no-deps --no-build-isolation -r "$pinned"

if ! python -c 'import torch, mmcv._ext' 2>/dev/null; then
    # either may be why: OpenCV first, for that is a matter of seconds
    if ! python -c 'import cv2' 2>/dev/null; then
        say 'OpenCV finds no libGL: taking its build for servers instead'
        pip install --no-deps --force-reinstall \
            "$(sed -n 's/^opencv-python==/opencv-python-headless==/p' "$pinned")"
    fi
    if ! python -c 'import torch, mmcv._ext' 2>/dev/null; then
        say 'MMCV was compiled for another torch: compiling it again'
        pip install --no-deps --no-build-isolation --no-cache-dir \
            --force-reinstall "$(grep '^mmcv==' "$pinned")"
        python -c 'import torch, mmcv._ext'
    fi
fi
say "$venv is ready"
