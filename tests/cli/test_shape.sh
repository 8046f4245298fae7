# SPDX-License-Identifier: Apache-2.0
# A network whose input has unknown dimensions: every verb says which option fixes them, and takes it.
. "$(dirname "$0")/common.sh"

PYTHONPATH=$source/tests/cli python3 -B - "$work" <<'EOF' || fail "making the networks"
from onnx_maker import *
weights = [((i * 37) % 101 - 50) / 200 for i in range(16 * 27)]
body = node('Conv', ['x', 'w'], 'a', pads()) + node('Relu', ['a'], 'b') + node('GlobalAveragePool', ['b'], 'p')
body += node('Flatten', ['p'], 'f') + node('Gemm', ['f', 'g'], 'y')
body += tensor('w', [16, 3, 3, 3], weights) + tensor('g', [16, 10], weights[:160])
for name, dims in (('open', ['N', 3, 'h', 'w']), ('fixed', ['N', 3, 8, 8])):
    save(f'{name}.onnx', body + value(11, 'x', dims) + value(12, 'y', ['N', 10]))
array('x.npy', [10, 3, 8, 8], [((i * 7919) % 997) / 997 for i in range(1920)])
array('y.npy', [10], range(10))
EOF

open=$work/open.onnx
fixed=$work/fixed.onnx
data=npy:$work/x.npy,$work/y.npy
shape=--shape=x=?x3x8x8
mkdir "$work/out.d"
expect 0 "$tool" compress "$fixed" --bi 1 --bo 2 --quiet -o "$work/small.isg"

# both VERB...: refused with a hint without --shape, as with the fixed network with it
both()
{
    refused 3 "$tool" "$@" "$open" $last
    grep -q "give its shape (--shape)" "$work/err" || fail "$1: $(cat "$work/err")"
    expect 0 "$tool" "$@" $shape "$open" $last
    rm -rf "$work/out.d"/*
}
both info --quiet
both bench --runs 1 --quiet
both bench --baseline "$open" --runs 1 --quiet
both eval --data "$data" --quiet
both compare "$fixed" --quiet
both compress --bi 1 --bo 2 --quiet -o "$work/out.d/o.isg"
both export --quiet -o "$work/out.d/o.onnx"
both sim --profile digital22_hbm2 --quiet
both train --data "$data" --input identity --steps 1 --quiet -o "$work/out.d/o.onnx"
last=$work/x.npy
both run --quiet -o "$work/out.d/o.npy"
last=
refused 3 "$tool" tune "$work/small.isg" --teacher "$open" --data "$data" --steps 1 --quiet -o "$work/out.d/o.isg"
expect 0 "$tool" tune "$work/small.isg" --teacher "$open" $shape --data "$data" --steps 1 --quiet -o "$work/out.d/o.isg"
"$tool" run "$open" $shape "$work/x.npy" -o "$work/a.npy" >"$work/a" 2>&1
"$tool" run "$fixed" "$work/x.npy" -o "$work/b.npy" >"$work/b" 2>&1
cmp -s "$work/a.npy" "$work/b.npy" || fail "the shape given is not the shape run"

# it says nothing of an .isg file, and must fit
for verb in info "bench --runs 1" "compare $work/small.isg" "eval --data $data" "export -o $work/o.onnx" check; do
    expect_error 2 "$tool" $verb $shape "$work/small.isg"
    grep -q "option --shape goes with an .onnx file" "$work/err" || fail "$verb: $(cat "$work/err")"
done
for wrong in x x=3x8x8 x=1x4x8x8 z=1x3x8x8 x=1x3x0x8; do
    expect_error 2 "$tool" info "$open" --shape="$wrong"
done
expect_error 2 "$tool" sim arch:mlp --profile digital22_hbm2 $shape
finish
