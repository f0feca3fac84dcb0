#!/usr/bin/env bash
# Make or renew a virtual environment with pinned versions, those that
# continuous integration runs unless another folder holds the lists:
# requirements/install.sh PYTHON VENV JOBS [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$2 jobs=$3 pins=${4:-requirements}
# Python compiles what it imports, a small part of PyTorch
export PIP_NO_COMPILE=1

say() { printf '\n== %s\n' "$*"; }
python() { "$venv/bin/python" -W ignore "$@"; }
install() {
    python -m pip --disable-pip-version-check install --no-build-isolation "$@"
}
pinned() { grep -E "^($1)==" "$pins/${2:-constraints}.txt"; }

"$1" -c 'import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"Python {sys.version.split()[0]} does not fit the pinned "
             "versions: choose 3.10 to 3.13, as in make PYTHON=python3.11")'

if ! python -m pip --version >/dev/null 2>&1; then
    say "Making $venv with $("$1" --version)"
    "$1" -m venv "$venv"
fi

say 'Installing OpenMMLab without MMCV, and the tools'
# those first that the others, where they come as sources, are built with
install --no-deps -r <(pinned 'setuptools|wheel|packaging|numpy')
install --no-deps -r <(grep -v -E -e '^#' -e '^(onedl-)?mmcv==' \
    "$pins/constraints.txt")

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
    install -r "$pins/torch.txt"
fi

python -c 'import torch
from importlib.util import find_spec
from torch.utils.cpp_extension import CUDA_HOME
if (torch.cuda.is_available() and CUDA_HOME is None
        and not find_spec("mmcv")):
    raise SystemExit("MMCV is compiled for the GPU that PyTorch sees, and "
                     "there is no nvcc: install the CUDA toolkit of torch "
                     f"{torch.version.cuda}, or put CUDA_VISIBLE_DEVICES=-1 "
                     "in front of make to do without the GPU")'

if ! python -c 'import cv2' 2>/dev/null; then
    say 'OpenCV finds no libGL here: installing its build for servers'
    install --no-deps --force-reinstall \
        "$(pinned opencv-python | sed 's/==/-headless==/')"
fi

say 'Installing MMCV'
requirements/mmcv.sh "$venv/bin/python" "$(pinned '(onedl-)?mmcv')" "$jobs"

# ImageNet weights (torchvision://resnet50) and MMPretrain need torchvision.
# MMEngine imports any that it sees, so one that cannot be imported beside
# this PyTorch (a CPU build has none) stays in a folder off the path.
if ! python -c 'import torchvision' 2>/dev/null; then
    install --no-deps --upgrade --target "$venv/torchvision" \
        "$(pinned torchvision torchvision)"
    if PYTHONPATH=$venv/torchvision python -c 'import torchvision' \
        2>/dev/null; then
        (cd "$venv" && echo "$PWD/torchvision") \
            >"$(dirname "$kept")/torchvision.pth"
    else
        say 'torchvision does not fit this PyTorch, so ImageNet weights' \
            'cannot be fetched by name (torchvision://resnet50)'
    fi
fi
say "$venv is ready"
