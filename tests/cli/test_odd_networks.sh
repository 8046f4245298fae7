# SPDX-License-Identifier: Apache-2.0
# Networks of more than one output, of nodes with one name or one bias, of outputs that nobody reads, of a fixed batch, of
# three dimensions, of long names, of other numbers than float32: run, eval, compare and compress do what they say of the first output, or
# refuse.
. "$(dirname "$0")/common.sh"

PYTHONPATH=$source/tests/cli python3 -B - "$work" <<'EOF' || fail "making the networks"
from onnx_maker import *
weights = [((i * 37) % 101 - 50) / 200 for i in range(16 * 27)]
head = node('GlobalAveragePool', ['b'], 'p') + node('Flatten', ['p'], 'f') + node('Gemm', ['f', 'g'], 'y')
body = node('Conv', ['x', 'w'], 'a', pads()) + node('Relu', ['a'], 'b') + head
body += tensor('w', [16, 3, 3, 3], weights) + tensor('g', [16, 10], weights[:160])
for name, batch in (('one', 'N'), ('two', 'N'), ('four', 4)):
    more = value(12, 'b', [batch, 16, 32, 32]) if name == 'two' else b''
    save(f'{name}.onnx', body + value(11, 'x', [batch, 3, 32, 32]) + value(12, 'y', [batch, 10]) + more)
twins = node('Conv', ['x', 'w'], 'a', pads(), 'c') + node('Conv', ['a', 'v'], 'y', b'', 'c')
twins += tensor('w', [16, 3, 3, 3], weights) + tensor('v', [8, 16, 1, 1], weights[:128])
save('twins.onnx', twins + value(11, 'x', ['N', 3, 8, 8]) + value(12, 'y', ['N', 8, 8, 8]))
body = node('BatchNormalization', ['x', 's', 'b', 'm', 'v'], 'n') + node('Relu', ['n'], 'r') + node('Flatten', ['r'], 'f') + node('Gemm', ['f', 'g'], 'y')
for name, values in (('s', [1, 2, -.5, 1]), ('b', [0, .5, 1, 0]), ('m', [0, .1, .2, .3]), ('v', [1, 1, 2, 1])): body += tensor(name, [4], values)
body += tensor('g', [24, 10], weights[:240])
for name, dims in (('line', [4, 6]), ('plane', [4, 6, 1])): save(f'{name}.onnx', body + value(11, 'x', ['N'] + dims) + value(12, 'y', ['N', 10]))
array('line.npy', [2, 4, 6], [(i * 37 % 48 - 24) / 16 for i in range(48)])
array('plane.npy', [2, 4, 6, 1], [(i * 37 % 48 - 24) / 16 for i in range(48)])
rest = node('GlobalAveragePool', ['s'], 'p') + node('Flatten', ['p'], 'f') + node('Gemm', ['f', 'g'], 'y')
rest += tensor('w', [16, 3, 3, 3], weights) + tensor('g', [6, 10], weights[:60])
for name, values in (('sizes', [3, 6, 7]), ('3', [3]), ('9', [9]), ('1', [1])): rest += tensor(name, [len(values)], values, 7, 'q')
axis = part(5, part(1, 'axis') + number(3, 1) + number(20, 2))
for name, middle in (('split', node('Split', ['a', 'sizes'], ['r', 's', ''], axis)), ('slice', node('Slice', ['a', '3', '9', '1'], 's'))):
    save(f'{name}.onnx', node('Conv', ['x', 'w'], 'a', pads()) + middle + rest + value(11, 'x', ['N', 3, 32, 32]) + value(12, 'y', ['N', 10]))
pool = node('MaxPool', ['x'], ['', 'i'], part(5, part(1, 'kernel_shape') + number(8, 32) + number(8, 32) + number(20, 7)), 'pool')
pool += node('Cast', ['i'], 'c', part(5, part(1, 'to') + number(3, 1) + number(20, 2))) + node('Flatten', ['c'], 'f') + node('Gemm', ['f', 'g'], 'y')
save('where.onnx', pool + tensor('g', [3, 10], weights[:30]) + value(11, 'x', ['N', 3, 32, 32]) + value(12, 'y', ['N', 10]))
for name, names in (('namesakes', ('a\nb', 'a\nb')), ('others', ('a', 'b')), ('long', ('/n' + 'am' * 66 + '/Conv', '/' + 'x' * 40))):
    body = node('Conv', ['x', 'w'], 'i', pads(), 'first') + node('Relu', ['i'], 'j') + node('Conv', ['j', 'u'], 'k', pads(), names[0])
    body += node('Relu', ['k'], 'l') + node('Conv', ['l', 'v'], 'm', b'', names[1]) + node('Relu', ['m'], 'b') + head
    body += tensor('w', [8, 3, 3, 3], weights[:216]) + tensor('u', [12, 8, 3, 3], weights * 2) + tensor('v', [16, 12, 1, 1], weights[:192])
    save(f'{name}.onnx', body + tensor('g', [16, 10], weights[:160]) + value(11, 'x', ['N', 3, 32, 32]) + value(12, 'y', ['N', 10]))
for name, second in (('shared', 'c'), ('apart', 'd')):
    body = node('Conv', ['x', 'w', 'c'], 'a', pads(), 'first') + node('Relu', ['a'], 'r') + node('Conv', ['r', 'v', second], 'b', b'', 'kept') + head
    for bias in {'c', second}: body += tensor(bias, [16], [0.1] * 16)
    body += tensor('w', [16, 3, 3, 3], weights) + tensor('v', [16, 16, 1, 1], weights[:256]) + tensor('g', [16, 10], weights[:160])
    save(f'{name}.onnx', body + value(11, 'x', ['N', 3, 32, 32]) + value(12, 'y', ['N', 10]))
for name, kind, code in (('float16', 10, 'e'), ('float64', 11, 'd')):
    body = node('Conv', ['x', 'w'], 'y', pads()) + tensor('w', [16, 3, 3, 3], weights, kind, code)
    save(f'{name}.onnx', body + value(11, 'x', ['N', 3, 8, 8], kind) + value(12, 'y', ['N', 16, 8, 8], kind))
    save(f'mixed-{name}.onnx', body + value(11, 'x', ['N', 3, 8, 8]) + value(12, 'y', ['N', 16, 8, 8]))
save('string.onnx', node('Identity', ['x'], 'y') + value(11, 'x', ['N', 3], 8) + value(12, 'y', ['N', 3], 8))
array('x.npy', [2, 3, 32, 32], [((i * 7919) % 997) / 997 for i in range(2 * 3072)])
array('d.npy', [32, 3, 32, 32], [((i * 7919) % 997) / 997 for i in range(32 * 3072)])
array('l.npy', [32], [i % 10 for i in range(32)], 'q')
array('x4.npy', [4, 3, 32, 32], [0.5] * (4 * 3072))
array('x6.npy', [6, 3, 32, 32], [((i * 7919) % 997) / 997 - i / 40000 for i in range(6 * 3072)])
array('y6.npy', [6], [0, 4, 3, 1, 4, 2])
EOF

# the first output is that of the network without the second
expect 0 "$tool" run "$work/one.onnx" "$work/x.npy" -o "$work/one.npy"
expect 0 "$tool" run "$work/two.onnx" "$work/x.npy" -o "$work/two.npy"
cmp -s "$work/one.npy" "$work/two.npy" || fail "the first of two outputs"
mkdir "$work/out.d"
expect 0 "$tool" compress "$work/two.onnx" --bi 1 --bo 8 --quiet -o "$work/two.isg"
grep -q "without a golden pair" "$work/out" || fail "16394 outputs are too many for a golden pair"
expect 0 "$tool" run "$work/two.isg" "$work/x.npy"
expect 0 "$tool" compare "$work/two.onnx" "$work/two.isg" --random 1

# nodes of one name
expect 0 "$tool" compress "$work/twins.onnx" --bi 1 --bo 2 --quiet -o "$work/twins.isg"
expect 0 "$tool" export --factored "$work/twins.isg" -o "$work/twins2.onnx"
expect 0 "$tool" compare "$work/twins.isg" "$work/twins2.onnx" --random 1 --tolerance 1e-4

# names are shown whole, and the columns stay in line: they can be given back to --layer
long=/n$(printf 'am%.0s' $(seq 66))/Conv
short=/$(printf 'x%.0s' $(seq 40))
expect 0 "$tool" compress "$work/long.onnx" --layer ".=bits=4" --layer "^$long\$=bits=3" --quiet --json -o "$work/long.isg"
says "\"$long\""
for line in "compress $work/long.onnx --layer .=bits=4 --dry-run" "info $work/long.isg" "bench $work/long.isg --runs 1 --threads 1" \
    "compare $work/long.onnx $work/long.isg --layers" "sensitivity $work/long.onnx $work/long.isg"; do
    expect 0 "$tool" $line --quiet
    for name in "$long" "$short"; do
        grep -q "^ *$name " "$work/out" || fail "$line: the name was cut: $(cat "$work/out")"
    done
done

# what is measured of a layer goes to it and not to its namesake: calibration, ranges of int8, spikes
for name in namesakes others; do
    expect 0 "$tool" compress "$work/$name.onnx" --bi 1 --bo 4 --bits 4,6,4 --data "npy:$work/d.npy,$work/l.npy" --input raw \
        --activations 8 --seed 1 --quiet -o "$work/$name.isg"
    expect 0 "$tool" run "$work/$name.isg" "$work/x.npy" --mode int8 -o "$work/$name.npy"
    expect 0 "$tool" sim "$work/$name.onnx" --profile firefly300 --snn 4 --data "npy:$work/d.npy,$work/l.npy" --input raw \
        --limit 3 --calibration 8 --json -q
    python3 -c 'import json, sys
for l in json.load(open(sys.argv[1]))["result"]["layers"]: print({k: v for k, v in l.items() if k != "name"})' \
        "$work/out" >"$work/$name.layers"
done
cmp -s "$work/namesakes.npy" "$work/others.npy" || fail "calibration of layers of one name"
cmp -s "$work/namesakes.layers" "$work/others.layers" || fail "spikes of layers of one name"

# a Split of which one part is read is that Slice, in every verb; of other nodes only the first output is trained through
train="train --data npy:$work/d.npy,$work/l.npy --input raw --batch 16 --steps 3 --threads 1 --quiet"
for name in split slice; do
    expect 0 "$tool" check "$work/$name.onnx"
    expect 0 "$tool" run "$work/$name.onnx" "$work/x.npy" -o "$work/$name.npy"
    expect 0 "$tool" compress "$work/$name.onnx" --bi 1 --bo 2 --quiet -o "$work/$name.isg"
    expect 0 "$tool" run "$work/$name.isg" "$work/x.npy" -o "$work/$name.isg.npy"
    expect 0 "$tool" $train "$work/$name.onnx" -o "$work/$name-trained.onnx"
    expect 0 "$tool" run "$work/$name-trained.onnx" "$work/x.npy" -o "$work/$name-trained.npy"
done
for what in .npy .isg.npy -trained.npy; do
    cmp -s "$work/split$what" "$work/slice$what" || fail "a part of a Split: $what"
done
refused 3 "$tool" $train "$work/where.onnx" -o "$work/out.d/o.onnx"
grep -q "MaxPool node pool: another output than its first is used" "$work/err" || fail "only Indices: $(cat "$work/err")"

# a bias of two nodes: what compensates one layer leaves the other as it was
for name in shared apart; do
    expect 0 "$tool" compress "$work/$name.onnx" --bi 1 --bo 2 --layer kept=keep --data "npy:$work/d.npy,$work/l.npy" \
        --input raw --seed 1 --quiet -o "$work/$name.isg"
    expect 0 "$tool" run "$work/$name.isg" "$work/x.npy" -o "$work/$name.npy"
done
cmp -s "$work/shared.npy" "$work/apart.npy" || fail "a shared bias is compensated for all of its nodes"

# a normalisation of [N,C,L] that no convolution takes in is that of [N,C,L,1], also when it comes back from an .isg file
for name in line plane; do
    expect 0 "$tool" check "$work/$name.onnx"
    expect 0 "$tool" compress "$work/$name.onnx" --layer .=bits=8 --quiet -o "$work/$name.isg"
    expect 0 "$tool" export "$work/$name.isg" -o "$work/$name-back.onnx"
    for file in $name.onnx $name.isg $name-back.onnx; do
        expect 0 "$tool" run "$work/$file" "$work/$name.npy" -o "$work/$file.npy"
    done
done
for suffix in .onnx .isg -back.onnx; do
    cmp -s "$work/line$suffix.npy" "$work/plane$suffix.npy" || fail "a normalisation of three dimensions: $suffix"
done

# numbers that are not float32: what is said is their type
make_images "$work/data"
for type in float16 float64; do
    expect 3 "$tool" check "$work/$type.onnx"
    says "'x': an input of type $type, where only float32 is supported"
    for verb in "info" "compress --bi 1 --bo 2 --quiet -o $work/out.d/o.isg" \
        "train --data idx:$work/data --input unit,resize=8,crop=8 --steps 1 --quiet -o $work/out.d/o.onnx"; do
        refused 3 "$tool" $verb "$work/$type.onnx"
        grep -q "of type $type, where only float32 is supported" "$work/err" || fail "$verb: $(cat "$work/err")"
    done
    refused 4 "$tool" info "$work/mixed-$type.onnx"
    grep -q "of different element types, float32 and $type" "$work/err" || fail "$type: $(cat "$work/err")"
done
expect 3 "$tool" check "$work/string.onnx"
says "input 'x' has element type string, which is not supported"

# a fixed batch of 4: six items go by two runs, of which the second is filled up; the results are those of single ones
expect 0 "$tool" run "$work/one.onnx" "$work/x6.npy" -o "$work/one.npy"
cp "$work/out" "$work/one.txt"
expect 0 "$tool" run "$work/four.onnx" "$work/x6.npy" -o "$work/four.npy"
cmp -s "$work/out" "$work/one.txt" || fail "run shows other items of a fixed batch"
cmp -s "$work/one.npy" "$work/four.npy" || fail "run of a fixed batch"
expect 0 "$tool" run "$work/four.onnx" "$work/x.npy" "$work/x4.npy" "$work/x.npy" -o "$work/eight.npy"
for limit in 1 4 6; do
    for threads in 1 2; do
        set -- --data "npy:$work/x6.npy,$work/y6.npy" --limit $limit --threads $threads --json
        expect 0 "$tool" eval "$work/one.onnx" "$@"
        correct=$(json correct)
        expect 0 "$tool" eval "$work/four.onnx" "$@"
        [ "$(json correct)" = "$correct" ] && [ "$(json images)" = $limit ] || fail "eval of a fixed batch: $(cat "$work/out")"
        [ "$(json batch)" = 4 ] || fail "eval says another batch: $(cat "$work/out")"
    done
done
expect 0 "$tool" compare "$work/four.onnx" "$work/four.onnx" --input-npy "$work/x6.npy" --json
[ "$(json items)" = 6 ] || fail "compare of a fixed batch: $(cat "$work/out")"
expect 0 "$tool" compare "$work/four.onnx" "$work/four.onnx" --random 1
expect_error 2 "$tool" compare "$work/one.onnx" "$work/four.onnx" --input-npy "$work/x6.npy"
expect_error 2 "$tool" eval "$work/four.onnx" --data "npy:$work/x6.npy,$work/y6.npy" --batch 3

# where data are single items it is refused
refused 3 "$tool" compress "$work/four.onnx" --bi 1 --bo 2 --activations 8 --data "npy:$work/x4.npy" --input raw --quiet \
    -o "$work/out.d/four.isg"
refused 3 "$tool" eval "$work/four.onnx" --data "npy:$work/x6.npy,$work/y6.npy" --snn 2
refused 3 "$tool" run "$work/four.onnx" "$work/x6.npy" --snn 2 -o "$work/out.d/o.npy"
refused 3 "$tool" sim "$work/four.onnx" --profile firefly300 --snn 2 --data "npy:$work/x6.npy,$work/y6.npy"
finish
