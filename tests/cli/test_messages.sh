# SPDX-License-Identifier: Apache-2.0
# What is said of memory limits, of a file of another format version, of the mode and of the build.
. "$(dirname "$0")/common.sh"

PYTHONPATH=$source/tests/cli python3 -B - "$work" <<'EOF' || fail "making the network"
from onnx_maker import *
weights = [((i * 37) % 101 - 50) / 200 for i in range(16 * 27)]
body = node('Conv', ['x', 'w'], 'a', pads()) + node('Relu', ['a'], 'b') + node('GlobalAveragePool', ['b'], 'p')
body += node('Flatten', ['p'], 'f') + node('Gemm', ['f', 'g'], 'y')
body += tensor('w', [16, 3, 3, 3], weights) + tensor('g', [16, 10], weights[:160])
save('net.onnx', body + value(11, 'x', ['N', 3, 8, 8]) + value(12, 'y', ['N', 10]))
array('x.npy', [40, 3, 8, 8], [((i * 7919) % 997) / 997 for i in range(40 * 192)])
array('y.npy', [40], [i % 10 for i in range(40)])
EOF
net=$work/net.onnx
data=npy:$work/x.npy,$work/y.npy
mkdir "$work/out.d"

# memory: what is needed and what was allowed, as given
refused 1 "$tool" eval "$net" --data "$data" --threads 2 --max-memory 1k
grep -q "2 threads need [0-9]* bytes of workspace each, together more than the 1000 allowed" "$work/err" ||
    fail "eval: $(cat "$work/err")"
refused 1 "$tool" eval "$net" --data "$data" --threads 1 --max-memory 1k
bytes=$(sed -n 's/.* 1 thread needs \([0-9]*\) bytes of workspace each.*/\1/p' "$work/err")
expect 0 "$tool" eval "$net" --data "$data" --threads 1 --max-memory "${bytes:-1}"
expect 0 "$tool" eval "$net" --data "$data" --threads 2 --max-memory "$((${bytes:-1} * 2))"
expect 1 "$tool" eval "$net" --data "$data" --threads 2 --max-memory "$((${bytes:-1} * 2 - 1))"
refused 1 "$tool" compress "$net" --bi 1 --bo 2 --max-memory 1k --quiet -o "$work/out.d/o.isg"
grep -q "net.onnx: compressing takes [0-9]* bytes at least, more than the 1000 allowed" "$work/err" ||
    fail "compress: $(cat "$work/err")"
refused 1 "$tool" compress "$net" --bi 1 --bo 2 --max-memory 12k --quiet -o "$work/out.d/o.isg"
grep -q "error: nothing is written: the plan needs [0-9]* bytes of workspace, more than the 12000 allowed" "$work/err" ||
    fail "compress: $(cat "$work/err")"
expect 0 "$tool" compress "$net" --bi 1 --bo 2 --quiet -o "$work/net.isg"
refused 1 "$tool" selftest "$work/net.isg" --max-memory 1k
grep -q "the plan needs [0-9]* bytes of workspace, more than the 1000 allowed" "$work/err" ||
    fail "selftest: $(cat "$work/err")"

# the mode of an accuracy
for mode in f32 bf16; do
    expect 0 "$tool" eval "$net" --data "$data" --mode=$mode --json
    [ "$(json mode)" = $mode ] || fail "eval --mode=$mode --json: $(cat "$work/out")"
done

# another format version
python3 - "$work/net.isg" "$work/later.isg" <<'EOF'
import sys
image = bytearray(open(sys.argv[1], "rb").read())
image[8:12] = bytes((2, 0, 7, 0))
open(sys.argv[2], "wb").write(image)
EOF
for verb in info selftest check "export -o $work/out.d/o.onnx" "sim --profile digital22_hbm2"; do
    expect_error 4 "$tool" $verb "$work/later.isg"
    grep -q "format version 2.7, this build reads 1.x" "$work/err" || fail "$verb: $(cat "$work/err")"
done

# what it is built from, behind the line that scripts read
expect 0 "$tool" --version
sed -n 1p "$work/out" | grep -q '^insitu [0-9.]* (file format [0-9.]*)$' || fail "first line: $(cat "$work/out")"
says '^compiler  *[a-z]'
says '^instructions  *scalar'
finish
