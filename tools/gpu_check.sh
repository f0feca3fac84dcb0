#!/usr/bin/env bash
# Run the tests that need a CUDA device and the benchmarks on it; the tables
# are left in docs/benchmarks. `make gpu-check` runs this in its environment.
#
# For a machine with a GPU and no network, first on one with a network:
#   tools/gpu_check.sh download wheels
# then, there, with the wheels and a Python that has a CUDA build of PyTorch:
#   PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels make gpu-check PYTHON=python3
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

if [ "${1:-}" = download ]; then
    folder=${2:?name the folder: tools/gpu_check.sh download FOLDER}
    say "Downloading to $folder what has no place in PyTorch's own packages"
    python -m pip download --no-deps --no-build-isolation --dest "$folder" \
        --requirement requirements/constraints.txt \
        --requirement requirements/torchvision.txt
    exit
fi

python -c 'import torch
if not torch.cuda.is_available():
    raise SystemExit(f"gpu-check needs a CUDA device, and torch "
                     f"{torch.__version__} finds none: give make a Python "
                     "with a CUDA build of PyTorch, as PYTHON=python3")
print(torch.cuda.get_device_name(), "torch", torch.__version__)'

# an environment made while no GPU was to be seen has those of the CPU
if ! python -W ignore -c 'from mmcv.ops import get_compiling_cuda_version
raise SystemExit(get_compiling_cuda_version() == "not available")'; then
    say 'MMCV has no CUDA operators: installing them for this card'
    requirements/mmcv.sh python \
        "$(grep '^mmcv==' requirements/constraints.txt)" "$(nproc)"
fi

say 'Tests'
python -m pytest -m gpu tests

say 'Benchmarks'
for dtype in float32 bfloat16; do
    python -W ignore tools/benchmark.py op --overwrite --dtype $dtype
    python -W ignore tools/benchmark.py op --overwrite --dtype $dtype \
        --channels-last
done
python -W ignore tools/benchmark.py model --overwrite
python -W ignore tools/benchmark.py hook --overwrite
python -W ignore tools/benchmark.py summary
