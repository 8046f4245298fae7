# SPDX-License-Identifier: Apache-2.0
# insitu check lists every problem at once, of whatever kind and stage, as text and as JSON.
. "$(dirname "$0")/common.sh"

PYTHONPATH=$source/tests/cli python3 -B - "$work" <<'EOF' || fail "making the networks"
from onnx_maker import *
x, y = value(11, 'x', [1, 3, 8, 8]), value(12, 'y', [1, 4, 8, 8])
kernel = ints('kernel_shape', [3])
w = tensor('w', [4, 3, 3, 3], [0.1] * 108)
many = node('Foo', ['x'], 'a', name='foo') + node('Erf', ['a'], 'b', name='erf') + node('LRN', ['b'], 'c', name='lrn')
many += node('Conv', ['c', 'w'], 'd', ints('kernel_shape', [5, 5]), 'bad')
many += node('Bar', ['d'], 'e', name='bar', domain='com.example') + node('PRelu', ['e', 's'], 'y', name='prelu')
save('many.onnx', many + w + tensor('s', [4, 1, 1], [0.1] * 4) + x + y)
files = node('Conv', ['x', 'w'], 'a', name='c1') + node('Conv', ['a', 'v'], 'b', name='c2') + node('Foo', ['b'], 'y', name='foo')
save('files.onnx', files + external('w', [4, 3, 1, 1], 'a.bin') + external('v', [4, 4, 1, 1], 'b.bin') + x + y)
line, out = value(11, 'x', [1, 3, 16]), value(12, 'y', [1, 2, 12])
flat = tensor('w', [4, 3, 3], [0.1] * 36) + tensor('v', [4, 4, 3], [0.1] * 48) + tensor('i', [2], [0, 1], 7, 'q')
gather = node('Gather', ['e', 'i'], 'y', part(5, part(1, 'axis') + number(3, 1) + number(20, 2)), 'gath')
convs = node('Conv', ['x', 'w'], 'd', kernel, 'c1') + node('Conv', ['d', 'v'], 'e', kernel, 'c2')
save('pack.onnx', convs + gather + flat + line + out)
mixed = node('Foo', ['x'], 'a', name='foo') + node('Conv', ['a', 'w'], 'e', kernel, 'c1') + gather
save('mixed.onnx', mixed + flat + line + out)
# arithmetic on shapes behind an unknown operator may be folded once that is known: nothing is said of it
shape = node('Foo', ['x'], 'a', name='foo') + node('Shape', ['a'], 's') + node('Gather', ['s', 'i'], 'g') + node('Reshape', ['a', 'g'], 'y')
save('shape.onnx', shape + tensor('i', [2], [0, 1], 7, 'q') + line + out)
save('undefined.onnx', node('Relu', ['q'], 'a', name='r') + node('Foo', ['a'], 'y', name='foo') + line + value(12, 'z', [1]) + out)
save('cycle.onnx', node('Add', ['x', 'b'], 'a', name='n') + node('Add', ['a', 'x'], 'b') + node('Relu', ['b'], 'y') + line + out)
# faults of the file beside what is merely not supported, and what packing would refuse
twice = node('Foo', ['x'], 'a', name='foo') + node('Relu', ['x'], 'a', name='again') + node('Relu', ['x'], 'b') + node('Relu', ['x'], 'b')
ring = node('Add', ['a', 'p'], 'o', name='n1') + node('Relu', ['o'], 'p', name='n2')
save('faults.onnx', twice + ring + node('Conv', ['x', 'w'], 'e', kernel, 'c1') + gather + flat + line + out)
save('newer.onnx', node('Relu', ['x'], 'y', name='r') + line + value(12, 'y', [1, 3, 16]), 30, 14)
save('newer-bad.onnx', node('Relu', ['x'], 'y', ints('slopes', [1]), 'r') + line + value(12, 'y', [1, 3, 16]), 30, 14)
save('nothing.onnx', node('Relu', ['x'], 'a') + line + value(12, 'z', [1]))
save('size.onnx', node('Conv', ['x', 'w'], 'y', pads()) + w + value(11, 'x', ['N', 3, 'h', 'w']) + y)
EOF

# lists CODE FILE OP:NODE...: these problems in this order ("-" for the model), in the JSON and as lines
lists()
{
    expect "$1" "$tool" check --json "$work/$2"
    file=$2
    [ "$1" -eq 3 ] || grep -q '^insitu: error: ' "$work/err" || fail "$file: no error line with exit code $1"
    shift 2
    python3 - "$work/out" "$@" <<'EOF' || fail "$file: $(cat "$work/out")"
import json, sys
report = json.load(open(sys.argv[1]))
assert report["schema"] == "insitu.check/1" and report["ok"] is False
found = [p["op"] + ":" + p["node"] if p["op"] else "-" for p in report["problems"]]
assert found == sys.argv[2:], found
assert all(p["reason"] and (p["node_index"] >= 0) == bool(p["op"]) for p in report["problems"])
EOF
    "$tool" check "$work/$file" >"$work/out" 2>"$work/err"
    [ "$(wc -l <"$work/out")" -eq $(($# + 1)) ] || fail "$file as text: $(cat "$work/out")"
    says "$file: $# problem"
}
lists 4 many.onnx Foo:foo Erf:erf LRN:lrn Conv:bad Bar:bar PRelu:prelu
says "kernel_shape is not that of the weight"
lists 1 files.onnx - - Foo:foo
says "external data 'a.bin': No such file"
says "external data 'b.bin': No such file"
lists 3 pack.onnx Conv:c1 Conv:c2 Gather:gath
says "gath: Gather (opset 17): the runtime has no such operation"
lists 3 mixed.onnx Foo:foo Conv:c1 Gather:gath
lists 3 shape.onnx Foo:foo
lists 4 undefined.onnx Relu:r Foo:foo -
lists 4 cycle.onnx -
lists 4 faults.onnx - - Foo:foo - Conv:c1 Gather:gath
says "model (opset 17): name 'a' is declared twice, by node 0 and node 1"
says "model (opset 17): name 'b' is declared twice, by node 2 and node 3"
says "model (opset 17): cycle of 2 nodes: 'n1' -> 'n2' -> 'n1'"
lists 4 nothing.onnx -
# newer than known: read with a warning, once, and what is not known is not called wrong
lists 3 newer-bad.onnx Relu:r
says "unknown attribute 'slopes' .export with an opset from 7 to 27"
for verb in check info; do
    expect 0 "$tool" $verb -q "$work/newer.onnx"
    for what in "opset 30 is newer than 27" "IR version 14 is newer than 13"; do
        [ "$(grep -c "^insitu: warning: $work/newer.onnx: $what, the newest known" "$work/err")" -eq 1 ] || fail "$verb: $what: $(cat "$work/err")"
    done
done
lists 3 size.onnx -
says "--shape"
expect 0 "$tool" check "$work/size.onnx" --shape x=1x3x8x8
expect_error 2 "$tool" check "$work/size.onnx" --shape q=1
echo nothing >"$work/no.onnx"
lists 4 no.onnx -
printf '\211ISG\r\n\032\n and no more' >"$work/short.isg"
lists 4 short.isg -
finish
