#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ONNX Runtime and we agree on every network of ../shared/models. $1: build folder, $2: source folder.
set -u
models=$2/../shared/models
if [ ! -d "$models" ]; then
    [ "${CI:-}" = true ] && { echo "peer: ../shared/models is missing"; exit 1; }
    echo "peer: ../shared/models is missing"
    exit 77
fi
exec "$2/tests/peer/compare.sh" -b "$1" "$models"/*.onnx
