# SPDX-License-Identifier: Apache-2.0
# Helpers of the shell tests; sourced with the build folder as $1 and the source folder as $2.
build=$1
source=$2
tool=$build/insitu
shared=$source/../shared
work=$(mktemp -d "${TMPDIR:-/tmp}/insitu-cli-XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0

fail()
{
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# expect CODE COMMAND...: exit code, and for failures exactly one "insitu: error: " line.
expect()
{
    wanted=$1
    shift
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    if [ "$got" -ne "$wanted" ]; then
        fail "exit $got, expected $wanted: $*"
        sed 's/^/    /' "$work/err"
    fi
    if [ "$wanted" -ne 0 ] && [ "$(grep -c '^insitu: error: ' "$work/err")" -gt 1 ]; then
        fail "more than one error line: $*"
    fi
}

# expect_error CODE COMMAND...: the same, and an error line must be there.
expect_error()
{
    expect "$@"
    grep -q '^insitu: error: ' "$work/err" || fail "no error line: $*"
}

# refused CODE COMMAND...: within 30 s that exit code, exactly one line on stderr, "insitu: error: ...", nothing on stdout,
# and nothing new in $work/out.d, where bad runs are told to write.
refused()
{
    wanted=$1
    shift
    timeout 30 "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ "$got" -eq "$wanted" ] || fail "exit $got, expected $wanted: $*: $(cat "$work/err")"
    [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q '^insitu: error: ' "$work/err" ||
        fail "not exactly one error line: $*: $(cat "$work/err")"
    [ -s "$work/out" ] && fail "a failure wrote to stdout: $*"
    if [ -d "$work/out.d" ] && [ -n "$(ls -A "$work/out.d")" ]; then
        fail "a failure left $(ls -A "$work/out.d"): $*"
        rm -rf "$work/out.d"
        mkdir "$work/out.d"
    fi
}

# cached NAME: what the build's cache of CMake holds.
cached()
{
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}

# json KEY: value of a top-level key of the last output, which must be valid JSON.
json()
{
    python3 -c 'import json, sys; v = json.load(open(sys.argv[1])).get(sys.argv[2]); print(v)' "$work/out" "$1" ||
        fail "no valid JSON for $1"
}

says()
{
    grep -q -- "$1" "$work/out" || fail "output does not say '$1'"
}

need_shared()
{
    [ -d "$shared/models" ] && return
    if [ "${CI:-}" = true ]; then
        echo "FAIL: ../shared is missing"
        exit 1
    fi
    echo "skipped: ../shared is not here"
    exit 77
}

# A small IDX folder of made-up 12x12 images: brightness follows the label, so that a network can learn it.
make_images()
{
    mkdir -p "$1"
    python3 - "$1" <<'PYTHON'
import random, struct, sys
random.seed(7)
for name, count in (("train", 400), ("t10k", 60)):
    labels = bytes(i % 10 for i in range(count))
    pixels = b"".join(bytes((l * 24 + random.randrange(20)) % 256 for _ in range(144)) for l in labels)
    with open(sys.argv[1] + "/" + name + "-images-idx3-ubyte", "wb") as f:
        f.write(struct.pack(">IIII", 0x803, count, 12, 12) + pixels)
    with open(sys.argv[1] + "/" + name + "-labels-idx1-ubyte", "wb") as f:
        f.write(struct.pack(">II", 0x801, count) + labels)
PYTHON
}

finish()
{
    [ "$failures" -eq 0 ] || exit 1
    echo "ok"
    exit 0
}
