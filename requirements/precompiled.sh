#!/usr/bin/env bash
# A C++ compiler for PyTorch's extensions that parses PyTorch's headers once
# instead of once a file: CXX=requirements/precompiled.sh PRECOMPILED=FOLDER.
#
# GCC can keep what it has parsed. The first file makes that precompiled
# header, with its own flags; those that come meanwhile do not wait. Another
# compiler, or GCC where the header fails, compiles as it always does.
#
# PRECOMPILED_STD=-std=c++20 is used in place of the standard asked for: MMCV
# says C++17, which PyTorch refuses from 2.14 on.
set -eu
compiler=${PRECOMPILED_CXX:-c++}
header=$PRECOMPILED/torch.hpp
[ -z "${PRECOMPILED_STD:-}" ] || set -- "${@/#-std=c++*/$PRECOMPILED_STD}"

flags=() source='' skip=''
for word; do
    case $skip$word in
        skip*) skip='' ;;
        -o | -MF | -MT | -MQ) skip=skip ;;
        -c | -M*) ;;
        *.cpp | *.cc) source=$word ;;
        *) flags+=("$word") ;;
    esac
done
# without a source it links, or tells its version
[ -n "$source" ] || exec "$compiler" "$@"

if mkdir "$PRECOMPILED/begun" 2>/dev/null &&
    "$compiler" --version | grep -q 'Free Software Foundation'; then
    echo '#include <torch/types.h>' >"$header"
    # debug information is half of the header, and nobody debugs MMCV here
    "$compiler" "${flags[@]}" -g0 -x c++-header "$header" \
        -o "$PRECOMPILED/parsed" 2>/dev/null &&
        mv "$PRECOMPILED/parsed" "$header.gch"
fi
if [ -e "$header.gch" ] &&
    "$compiler" -include "$header" "$@" -g0 2>/dev/null; then
    exit
fi
exec "$compiler" "$@"
