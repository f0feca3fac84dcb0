#!/usr/bin/env bash
# Run the tests that need a CUDA device, the benchmarks and a training on it,
# and hold what they show against what is required: the last thing printed is
# a table, and the exit code is 1 unless all of it passes. The benchmarks'
# tables are left in docs/benchmarks. `make gpu-check` runs this in its
# environment, with the PyTorch of its PYTHON.
#
# For a machine with a GPU and no network, first on one with a network:
#   tools/gpu_check.sh download wheels
# then, there, with the wheels and a Python that has a CUDA build of PyTorch:
#   PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels make gpu-check PYTHON=python3
# or, where that Python lacks little beside OpenMMLab, in seconds and without
# a new environment, with wheels (MMCV's compiled there) of what it lacks:
#   WHEELS=$PWD/wheels tools/gpu_check.sh
# The training is on BCCD in the folder DATA (configs/study/README.md says
# how it lies there), else on drawn images.
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

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! command -v python >/dev/null; then
    mkdir "$work/bin"
    ln -s "$(command -v python3)" "$work/bin/python"
    PATH=$work/bin:$PATH
fi
if [ -n "${WHEELS:-}" ]; then
    say "Unpacking $WHEELS"
    python -m pip install --quiet --no-index --no-deps --no-compile \
        --ignore-requires-python --target "$work/site" "$WHEELS"/*.whl
    # distutils, for Python 3.12 and later
    printf 'try:\n    import _distutils_hack\n%s\nexcept ImportError:\n%s\n' \
        '    _distutils_hack.add_shim()' '    pass' \
        >"$work/site/sitecustomize.py"
    export PYTHONPATH=$PWD:$work/site${PYTHONPATH:+:$PYTHONPATH}
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

failed=0
# The table is worth having whatever failed before it.
attempt() {
    say "$1"
    shift
    "$@" || { echo "failed: $*"; failed=1; }
}
benchmark() { python -W ignore tools/benchmark.py "$@"; }

attempt Tests python -m pytest -q -m gpu tests
for dtype in float32 bfloat16; do
    attempt "The op, $dtype" \
        benchmark op --overwrite --repeats 9 --dtype $dtype
    attempt "The op, $dtype, channels last" \
        benchmark op --overwrite --repeats 9 --dtype $dtype --channels-last
done
for dtype in float32 float16; do
    attempt "Models, $dtype" benchmark model --overwrite --warmup 2 \
        --repeats 7 --batch 4 --dtype $dtype
done
attempt 'Statistics in a training' benchmark hook --overwrite

data=${DATA:-data}
mkdir "$work/data"
if [ -d "$data/bccd" ]; then
    config=study/retinanet_r18_fpn_400i_bccd
    ln -s "$(realpath "$data/bccd")" "$work/data/bccd"
else
    config=shapes/retinanet_r18_fpn_400i_shapes
    say "There is no $data/bccd: training on drawn images"
    python -W ignore tools/make_shapes.py "$work/data" --format coco
fi
train() (
    config=$PWD/configs/$config.py
    cd "$work"
    python -W ignore -m mim train mmdet "$config" --gpus 1 --amp \
        --work-dir "$work/run" --cfg-options \
        model.backbone.type=acon_mm.ResNet train_cfg.max_iters=200 \
        train_cfg.val_interval=200 default_hooks.logger.interval=10
)
attempt 'A training by mim' train

attempt 'The page of the tables' benchmark summary
attempt 'What is required' benchmark required --training "$work/run"
exit $failed
