# SPDX-License-Identifier: Apache-2.0
# insitu methods on a network of our own: bytes that can be counted by hand, the same for any number of threads.
. "$(dirname "$0")/common.sh"

make_images "$work/data"
data=idx:$work/data
model=$work/model.onnx
expect 0 "$tool" train --arch mlp --data "$data" --input unit --epochs 40 --batch 16 --threads 1 --quiet -o "$model"
expect 0 "$tool" compress "$model" --layer '.=bits=4' --input unit --quiet -o "$work/four.isg"
[ "$failures" -eq 0 ] || finish

# value EXPRESSION: of the last JSON, d
value()
{
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/out" "$1"
}
complains()
{
    grep -q -- "$1" "$work/err" || fail "the error is not '$1' but $(cat "$work/err")"
}
true_that()
{
    [ "$(value "$1")" = True ] || fail "not true: $1"
}

# every method, and a file of ours beside them
expect 0 "$tool" methods "$model" "$work/four.isg" --data "$data" --input unit --json --quiet --threads 1
cp "$work/out" "$work/one-thread"
expect 0 "$tool" methods "$model" "$work/four.isg" --data "$data" --input unit --json --quiet --threads 2
cmp -s "$work/out" "$work/one-thread" || fail "the result depends on threads"
true_that 'd["schema"] == "insitu.methods/1" and d["images"] == 60 and not d["subset"]'
true_that 'all(0 < m["ratio"] < 1 and 0 <= m["accuracy"] <= 1 for m in d["methods"] + d["files"])'
true_that 'all(sum(l["bytes"] for l in m["layers"]) < m["bytes"] for m in d["methods"])'
true_that 'd["files"][0]["file_bytes"] == '"$(wc -c <"$work/four.isg")"
original=$(value 'd["original"]["correct"]')
ours=$(value 'd["files"][0]["correct"]')
expect 0 "$tool" eval "$model" --data "$data" --input unit --quiet --json
[ "$(json correct)" = "$original" ] || fail "the original is not what eval says"
expect 0 "$tool" eval "$work/four.isg" --data "$data" --quiet --json
[ "$(json correct)" = "$ours" ] || fail "the file is not what eval says"

# uniform codes: a scale of 16 bits an output and so many bits a weight, whole bytes a layer
expect 0 "$tool" methods "$model" -m uniform:bits=3 -m uniform:bits=8 --json --quiet
true_that 'all(l["bytes"] == (l["co"] * 16 + 3 * l["co"] * l["ci"] * l["kh"] * l["kw"] + 7) // 8 for l in d["methods"][0]["layers"])'
true_that 'd["methods"][0]["weight_error"] > 100 * d["methods"][1]["weight_error"] > 0'
true_that '"accuracy" not in d["methods"][0] and "images" not in d'

# layers that are kept, or that a method has no form for
first=$(value 'd["methods"][0]["layers"][0]["name"]')
expect 0 "$tool" methods "$model" -m uniform:bits=2 --keep "^$first\$" --json --quiet
true_that '[l["way"] for l in d["methods"][0]["layers"]][:2] == ["kept", "method"]'
true_that 'd["methods"][0]["layers"][0]["bytes"] == 4 * d["methods"][0]["layers"][0]["co"] * d["methods"][0]["layers"][0]["ci"]'

# training: more images right than without, and the same for any number of threads
expect 0 "$tool" methods "$model" -m binary --data "$data" --input unit --json --quiet
before=$(value 'd["methods"][0]["correct"]')
tune="--tune-steps 30 --tune-batch 20"
expect 0 "$tool" methods "$model" -m binary --data "$data" --input unit $tune --json --quiet --threads 1
cp "$work/out" "$work/one-thread"
[ "$(value 'd["methods"][0]["correct"]')" -ge "$before" ] || fail "training made it worse"
true_that 'd["tune"]["steps"] == 30 and not d["methods"][0]["diverged"]'
expect 0 "$tool" methods "$model" -m binary --data "$data" --input unit $tune --json --quiet --threads 2
cmp -s "$work/out" "$work/one-thread" || fail "training depends on threads"

# layers that a method has no form for stay in float32 if asked, and are not those that are kept
PYTHONPATH=$source/tests/cli python3 -B - "$work" <<'EOF' || fail "making a network"
from onnx_maker import *
w = [((i * 37) % 101 - 50) / 200 for i in range(144)]
net = node('Conv', ['x', 'w', 'b'], 'a', pads()) + node('Relu', ['a'], 'r') + node('Conv', ['r', 'v', 'b'], 'c', pads())
net += node('GlobalAveragePool', ['c'], 'p') + node('Flatten', ['p'], 'f') + node('Gemm', ['f', 'g'], 'y')
net += tensor('w', [4, 3, 3, 3], w[:108]) + tensor('v', [4, 4, 3, 3], w) + tensor('b', [4], w[:4]) + tensor('g', [4, 4], w[:16])
save('net.onnx', net + value(11, 'x', ['N', 3, 8, 8]) + value(12, 'y', ['N', 4]))
save('none.onnx', node('Relu', ['x'], 'y') + value(11, 'x', ['N', 4]) + value(12, 'y', ['N', 4]))
huge = node('Gemm', ['x', 'h'], 'y') + tensor('h', [4, 4], [1e9 * v for v in w[:16]])
save('huge.onnx', huge + value(11, 'x', ['N', 4]) + value(12, 'y', ['N', 4]))
array('x.npy', [20, 3, 8, 8], [((i * 73) % 211 - 105) / 99 for i in range(20 * 192)])
array('y.npy', [20], [i % 4 for i in range(20)], 'q')
EOF
net=$work/net.onnx
expect 0 "$tool" methods "$net" -m patdnn -m uniform --rest-bits 32 --quiet
says '^rest      patdnn.*: 1 of 3 layers in float32'
grep -q '^kept' "$work/out" && fail "layers of the rest are told as kept"
expect 0 "$tool" methods "$net" -m uniform -m patdnn --rest-bits 32 --json --quiet
true_that '[[l["way"] for l in m["layers"]].count("rest") for m in d["methods"]] == [0, 1]'
true_that 'd["methods"][1]["layers"][2]["bytes"] == 64 and d["methods"][1]["layers"][2]["weight_error"] == 0'

# one method that cannot hold a weight does not take the table from the others, unless it was asked for
expect 0 "$tool" methods "$work/huge.onnx" --quiet
says '^afloat'
says '^left out  uniform:bits=8: weights beyond its scales'
refused 1 "$tool" methods "$work/huge.onnx" -m uniform
complains 'a scale is beyond binary16'

# images of one part are trained on and measured only if that is said; a bias that two layers share counts once before
one=npy:$work/x.npy,$work/y.npy
refused 2 "$tool" methods "$net" -m uniform --data "$one" --tune-steps 2
complains 'have one part'
expect 0 "$tool" methods "$net" -m uniform --data "$one" --tune-steps 2 --train-split --seed 3 --json --quiet
true_that 'd["split"] == "train" and d["tune"]["seed"] == 3'
true_that 'd["original"]["bytes"] == 4 * (108 + 144 + 16 + 4) and d["methods"][0]["bytes"] == 4 * 8 + sum(l["bytes"] for l in d["methods"][0]["layers"])'

# text, list, CSV
expect 0 "$tool" methods "$model" -m ternary -m uniform --data "$data" --input unit --limit 10
says '^ternary '
says '^uniform:bits=8 '
says '^original  accuracy .* of 10 images, subset'
expect 0 "$tool" methods --list
says '^uniform '
expect 0 "$tool" methods --list --json
true_that 'd["list"][0]["name"] == "uniform" and d["list"][0]["parameters"][0]["name"] == "bits"'
expect 0 "$tool" methods "$model" -m uniform:bits=2 --csv=- --quiet
says '^"uniform:bits=2",2\.'
expect 0 "$tool" methods "$model" -m binary --csv="$work/rows.csv" --quiet
[ "$(wc -l <"$work/rows.csv")" -eq 2 ] || fail "rows of the CSV"

# paths as long as there are stay whole and apart
deep=$work/$(printf 'd%.0s' $(seq 200))/$(printf 'e%.0s' $(seq 200))
mkdir -p "$deep"
cp "$work/four.isg" "$deep/one.isg"
cp "$work/four.isg" "$deep/two.isg"
expect 0 "$tool" methods "$model" "$deep/one.isg" "$deep/two.isg" -m binary --csv=- --quiet
says '/one\.isg",'
says '/two\.isg",'

# what cannot be
refused 2 "$tool" methods
refused 2 "$tool" methods "$model" -m no
complains "no method 'no'"
refused 2 "$tool" methods "$model" -m uniform:bits=9
complains 'bits is a whole number from 2 to 8'
refused 2 "$tool" methods "$model" --keep '['
refused 2 "$tool" methods "$model" --keep 'no such layer'
complains 'matches no layer'
refused 2 "$tool" methods "$model" --keep '.'
refused 2 "$tool" methods "$model" --limit 5
complains 'needs --data'
refused 2 "$tool" methods "$model" --data "$data" --input unit --learning-rate 0.1
complains 'needs --tune-steps'
refused 2 "$tool" methods "$model" --data "$data" --input unit --tune-steps 2 --max-memory 1G
complains 'training does not know its need'
refused 2 "$tool" methods "$model" --max-memory 1
complains 'needs --data'
refused 2 "$tool" methods "$model" -m uniform --keep .
complains 'has no form for any layer that --keep leaves'
refused 3 "$tool" methods "$work/none.onnx"
complains 'no method has a form for any of its layers'
refused 2 "$tool" methods "$model" --rest-bits 1
refused 2 "$tool" methods "$model" --csv=- --json
refused 2 "$tool" methods "$model" --csv="$model"
refused 2 "$tool" methods --list "$model"
refused 3 "$tool" methods "$work/four.isg"
complains 'its weight is not plain float32'
finish
