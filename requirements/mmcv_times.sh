#!/usr/bin/env bash
# How long the operators of MMCV take to compile with PyTorch's headers parsed
# once, beside the plain build; both must pass the same tests. In an
# environment that has all but them: requirements/mmcv_times.sh PYTHON JOBS
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 jobs=$2
mmcv=$(grep '^mmcv==' requirements/constraints.txt)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
TIMEFORMAT='%R %U %S'

for header in precompiled plain; do
    echo "== $mmcv, headers $header"
    { time HEADER=$header requirements/mmcv_wheel.sh "$python" "$mmcv" \
        "$jobs" "$work/$header" >&3 2>&3; } 3>&2 2>"$work/$header.time"
    "$python" -m pip install --quiet --no-deps --no-index \
        --target "$work/$header/site" "$work/$header"/*.whl
    PYTHONPATH=$work/$header/site "$python" -m pytest -q tests/test_mmcv_ops.py
done
paste -d ' ' "$work/precompiled.time" "$work/plain.time" | awk '{
    printf "precompiled: %.0f s, %.0f s of CPU\n", $1, $2 + $3
    printf "plain: %.0f s, %.0f s of CPU\n", $4, $5 + $6
    printf "ratio: %.2f, of CPU %.2f\n", $1 / $4, ($2 + $3) / ($5 + $6)
}'
