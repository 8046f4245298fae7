# SPDX-License-Identifier: Apache-2.0
# Replays the golden numbers of the authors' code: test_golden.sh BUILD_DIR SOURCE_DIR.
set -u
golden="$2/../shared/reference/golden"
if [ ! -d "$golden" ]; then
    echo "no golden numbers at $golden"
    [ "${CI:-}" = true ] && exit 1
    exit 77
fi
exec "$1/insitu-golden" "$golden"
