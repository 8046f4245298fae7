#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Per model: the largest difference between ONNX Runtime and us, relative to the largest output. Fails above 1e-4; 77
# when ONNX Runtime or node is missing. Two numbers a/b are our interpreter and our runtime. Columns:
#   original    the file itself            dense       our export of it as imported     prepared  ... as prepared
#   factored    chains of convolutions, against the factored graph                      generated the same as dense weights
# Usage: tests/peer/compare.sh [-b BUILD] MODEL.onnx...
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build
if [ "${1:-}" = -b ]; then
    build=$2
    shift 2
fi
modules=${INSITU_ORT_DIR:-$build/peer}
command -v node >/dev/null || { echo "compare: node is not installed"; exit 77; }
[ -d "$modules/node_modules/onnxruntime-node" ] || { echo "compare: run scripts/get-onnxruntime first"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT INT TERM
status=0
for model in "$@"; do
    rm -rf "$work/case"
    mkdir "$work/case"
    "$build/insitu-peer" "$model" "$work/case" && node "$here/run.mjs" "$modules" "$work/case/case.json" || status=1
done
exit $status
