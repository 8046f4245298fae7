# SPDX-License-Identifier: Apache-2.0
# Bad input of train, tune and compress: data of a wrong size, labels without an output, empty classes, poor calibration
# images, checkpoints that are cut or of another run, students larger than their teacher, numbers that explode. One clear
# line, the right exit code, and what stood at the output's place before stays.
. "$(dirname "$0")/common.sh"

make_images "$work/data"
data=idx:$work/data
quiet="--threads 1 --quiet"
model=$work/model.onnx
packed=$work/model.isg
expect 0 "$tool" train --arch mlp --data "$data" --input unit --steps 2 $quiet --checkpoint "$work/mlp.ckpt" -o "$model"
expect 0 "$tool" compress "$model" --layer '.=bits=4' --input unit $quiet -o "$packed"
[ "$failures" -eq 0 ] || finish

python3 - "$work" <<'PYTHON'
import os, shutil, struct, sys
work = sys.argv[1]
images, labels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
def changed(name, file, change):
    shutil.copytree(f"{work}/data", f"{work}/{name}")
    with open(f"{work}/{name}/{file}", "r+b") as f:
        data = change(bytearray(f.read()))
        f.seek(0)
        f.write(data)
        f.truncate()
def set_label(data, at, label):
    data[8 + at] = label
    return data
changed("short", images, lambda b: b[:-7])
changed("long", images, lambda b: b + b"\0")
changed("fewer", labels, lambda b: b[:4] + struct.pack(">I", 399) + b[8:-1])
changed("eleven", labels, lambda b: set_label(b, 12, 10))
changed("far", labels, lambda b: set_label(b, 12, 60))
changed("hole", labels, lambda b: b[:8] + bytes(8 if x == 3 else x for x in b[8:]))
changed("holes", labels, lambda b: b[:8] + bytes(8 if 3 <= x < 6 else x for x in b[8:]))
for name, record, count, rest in (("odd", b"\0" * 3073, 20, 5), ("label", b"\x0b" + b"\0" * 3072, 20, 0), ("none", b"", 0, 0)):
    os.makedirs(f"{work}/cifar-{name}")
    open(f"{work}/cifar-{name}/train.bin", "wb").write(record * count + b"\0" * rest)
def array(name, images):
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 1, 12, 12), }" % len(images)
    head += " " * (-(11 + len(head)) % 64) + "\n"
    data = b"".join(struct.pack("<144f", *x) for x in images)
    open(f"{work}/{name}.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data)
noise = [[(i * 144 + k) * 7919 % 997 / 997 for k in range(144)] for i in range(16)]
array("good", noise)
array("nan", noise[:5] + [[0.5] * 143 + [float("nan")]] + noise[6:])
array("few", noise[:7])
array("pixels", [[255 * v for v in x] for x in noise])
array("wide", [[65535 * v for v in x] for x in noise])
array("white", [[255.0] * 144] * 16)
array("black", [[0.0] * 144] * 16)
array("alike", noise[:1] * 16)
array("flat", noise[:13] + [[0.0] * 144, [1.0] * 144, [0.5] * 144])
open(f"{work}/cut.ckpt", "wb").write(open(f"{work}/mlp.ckpt", "rb").read()[:1000])
open(f"{work}/empty.ckpt", "wb").close()
PYTHON

# kept CODE WORDS COMMAND...: refused with that exit code and an error line that holds WORDS; what stands at the output
# (-o is added here) and the checkpoint $ckpt stay as they are.
ckpt=$work/mlp.ckpt
kept()
{
    code=$1
    words=$2
    shift 2
    echo "stood here before" >"$work/old"
    cp "$ckpt" "$work/ckpt.copy"
    refused "$code" "$@" -o "$work/old"
    grep -q -- "$words" "$work/err" || fail "the error does not say '$words': $(cat "$work/err")"
    [ "$(cat "$work/old")" = "stood here before" ] || fail "a refused run changed its output: $*"
    cmp -s "$ckpt" "$work/ckpt.copy" || fail "a refused run changed its checkpoint: $*"
    [ -z "$(find "$work" -name '*.tmp')" ] || fail "a refused run left $(find "$work" -name '*.tmp')"
}
train() { echo "$tool train --arch mlp --input unit --steps 20 $quiet --data"; }
tune() { echo "$tool tune $packed --steps 20 $quiet --data"; }

# files of a wrong size, and labels that the format or the network does not have
for verb in "$(train)" "$(tune)"; do
    kept 4 "short/train-images-idx3-ubyte: IDX shape needs" $verb "idx:$work/short"
    kept 4 "long/train-images-idx3-ubyte: IDX shape needs" $verb "idx:$work/long"
    kept 4 "fewer/train-labels-idx1-ubyte: 399 labels for 400 images" $verb "idx:$work/fewer"
    kept 4 "cifar-odd/train.bin: .* no whole number of" $verb "cifar10:$work/cifar-odd"
    kept 4 "cifar-none/train.bin: .* no whole number of" $verb "cifar10:$work/cifar-none"
    kept 4 "cifar-label/train.bin: record 0 has label 11 of 10 classes" $verb "cifar10:$work/cifar-label"
done
kept 2 "eleven: image 12 has label 10, output 10 of a network that has 10" $(tune) "idx:$work/eleven"
kept 2 "data: image 9 has label 9, output 10 of a network that has 10" $(tune) "$data" --label-offset 1
kept 2 "eleven: image 12 has label 10" "$tool" train "$model" --input unit --steps 1 $quiet --data "idx:$work/eleven"

# warned WORDS COMMAND...: it works, with exactly one warning, which --quiet does not hide
warned()
{
    words=$1
    shift
    expect 0 "$@"
    [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q "^insitu: warning: $words\$" "$work/err" || fail "$*: $(cat "$work/err")"
}
for verb in "$tool train --arch mlp --input unit --steps 2 -o $work/w.onnx" "$tool tune $packed --steps 2 -o $work/w.isg"; do
    warned "idx:$work/hole: class 3 has no images" $verb $quiet --data "idx:$work/hole"
    warned "idx:$work/holes: 3 of 10 classes have no images: 3, 4, 5" $verb $quiet --data "idx:$work/holes"
done
warned "idx:$work/far: 50 of 61 classes have no images: 10, 11, 12, 13, 14, 15, 16, 17, ..." \
    "$tool" train --arch mlp --input unit --steps 2 $quiet --data "idx:$work/far" -o "$work/w.onnx"
expect 0 "$tool" train --arch mlp --input unit --steps 2 $quiet --data "$data" -o "$work/w.onnx"
[ -s "$work/err" ] && fail "a warning without a reason: $(cat "$work/err")"

# calibration images that are few, equal or blank are told of, but not with --quiet; those of no numbers are refused
compress="$tool compress $model --bi 1 --bo 2 --bits 3,3,3 --input raw --threads 1"
told()
{
    expect 0 $compress --data "npy:$work/$1.npy" -o "$work/w.isg"
    [ "$(grep -c warning "$work/err")" -eq 1 ] && grep -q "^insitu: warning: npy:$work/$1.npy: $2\$" "$work/err" ||
        fail "$1: $(cat "$work/err")"
    expect 0 $compress --data "npy:$work/$1.npy" --quiet -o "$work/w.isg"
    [ -s "$work/err" ] && fail "--quiet says $(cat "$work/err")"
}
told few "calibrated with 7 images, where 64 to 256 are better"
told alike "all 16 calibration images are the same"
told flat "3 of 16 calibration images are of one number"
expect 0 $compress --data "npy:$work/good.npy" -o "$work/w.isg"
grep -q warning "$work/err" && fail "a warning without a reason: $(cat "$work/err")"
# numbers that the contract cannot mean: scaled twice, of 16 bits, not scaled at all; not with --quiet
# ranged WORDS COMMAND...: exactly one warning of that; WORDS empty: none
ranged()
{
    words=$1
    shift
    expect 0 "$@" --threads 1
    wanted=${words:+1}
    [ "$(grep -c warning "$work/err")" -eq "${wanted:-0}" ] || fail "$*: $(cat "$work/err")"
    [ -z "$words" ] || grep -q "^insitu: warning: npy:.*\.npy: $words" "$work/err" || fail "$*: $(cat "$work/err")"
    expect 0 "$@" --threads 1 --quiet
    [ -s "$work/err" ] && fail "--quiet says $(cat "$work/err")"
}
small="numbers from 0.* to 0.9.*, where the input contract expects pixels of 0 to 255$"
large="numbers from 0.* to 65.*, where the input contract expects pixels of 0 to 255$"
as_is="numbers from 0 to 25.* are fed as they are, where the input contract makes 0 to 1 of pixels (see --input)$"
for preset in unit torchvision tf; do
    ranged "$small" $compress --input $preset --data "npy:$work/good.npy" -o "$work/w.isg"
    ranged "$large" $compress --input $preset --data "npy:$work/wide.npy" -o "$work/w.isg"
    ranged "" $compress --input $preset --data "npy:$work/pixels.npy" -o "$work/w.isg"
done
for input in raw identity scale=.5 mean=.5; do
    for array in good wide pixels; do ranged "" $compress --input $input --data "npy:$work/$array.npy" -o "$work/w.isg"; done
done
ranged "$as_is" "$tool" run "$packed" "$work/pixels.npy"
ranged "" "$tool" run "$packed" "$work/good.npy"
ranged "numbers from 255 to 255 are fed as they are" "$tool" run "$packed" "$work/white.npy"
ranged "" "$tool" run "$packed" "$work/white.npy" --input unit
ranged "" "$tool" run "$packed" "$work/black.npy" --input unit
ranged "" "$tool" run "$packed" "$work/pixels.npy" --input unit
ranged "$small" "$tool" run "$packed" "$work/good.npy" --input unit
ranged "" "$tool" run "$model" "$work/pixels.npy"
kept 1 "error: npy:$work/nan.npy: calibration image 5 holds a number that is not finite" \
    $compress --data "npy:$work/nan.npy" --quiet
kept 1 "error: npy:$work/nan.npy: calibration image 5 holds a number that is not finite" \
    "$tool" tune "$packed" --epochs 0 --activations 8 --input raw --data "npy:$work/nan.npy" --quiet

# checkpoints: cut, empty, of another architecture, of other options
ckpt=$work/cut.ckpt
kept 4 "cut.ckpt: the checkpoint is damaged" $(train) "$data" --resume --checkpoint "$ckpt"
ckpt=$work/empty.ckpt
kept 4 "empty.ckpt: not a checkpoint" $(train) "$data" --resume --checkpoint "$ckpt"
ckpt=$work/mlp.ckpt
kept 2 "error: $ckpt: made by a run with other options, network or data" \
    "$tool" train --arch resnet20 --input unit --steps 2 $quiet --data "$data" --resume --checkpoint "$ckpt"
kept 2 "error: $ckpt: made by a run with other" $(train) "$data" --lr 0.1 --resume --checkpoint "$ckpt"
kept 2 "error: $ckpt: made by a run with other" $(tune) "$data" --resume --checkpoint "$ckpt"

# a student that is larger than what it stands for, a teacher of another shape
expect 0 "$tool" train --arch mlp --outputs 12 --data "$data" --input unit --steps 1 $quiet -o "$work/twelve.onnx"
expect 0 "$tool" train --arch resnet20 --data "$data" --input unit --steps 1 --batch 16 $quiet -o "$work/resnet.onnx"
expect 0 "$tool" compress "$work/resnet.onnx" --layer '.=bits=8' --input unit $quiet -o "$work/resnet.isg"
kept 2 "model.isg: teacher and student have different" $(tune) "$data" --teacher "$work/twelve.onnx"
kept 5 "resnet.isg: its weights take .*, those of its teacher only" \
    "$tool" tune "$work/resnet.isg" --steps 2 --batch 16 $quiet --data "$data" --teacher "$packed"
kept 5 "resnet.onnx: the factors asked for take 1.* times the bytes" \
    "$tool" compress "$work/resnet.onnx" --bi 8 --bo 60 --bits 32,32,32 --input unit $quiet
"$tool" compress "$work/resnet.onnx" --bi 8 --bo 60 --bits 32,32,32 --input unit $quiet --dry-run >"$work/out" 2>"$work/err"
[ $? -eq 5 ] && [ -s "$work/out" ] || fail "a dry run of too large factors: $(cat "$work/err")"

# what a teacher said: no teacher, no number of views, damaged, cut, of other views; kept as it is
ckpt=$work/views
views="--teacher $model --flip --teacher-cache $ckpt"
expect 0 "$tool" tune "$packed" --steps 2 $quiet --data "$data" $views --teacher-views 2 -o "$work/w.isg"
kept 2 "a file of a teacher's outputs needs a number of views" $(tune) "$data" $views
kept 2 "views of a teacher need distillation" $(tune) "$data" --teacher-views 2
kept 2 "$ckpt: of another teacher, other images or other views" $(tune) "$data" $views --teacher-views 2 --seed 9
kept 4 "mlp.ckpt: not a teacher's outputs" $(tune) "$data" --teacher "$model" --teacher-cache "$work/mlp.ckpt" --teacher-views 2
for change in 'b[:-9]' 'b[:100] + bytes([b[100] ^ 1]) + b[101:]'; do
    python3 -c "import sys; b = open(sys.argv[1], 'rb').read(); open(sys.argv[2], 'wb').write($change)" "$ckpt" "$work/broken"
    kept 4 "broken: the teacher's outputs are damaged" \
        $(tune) "$data" --teacher "$model" --flip --teacher-views 2 --teacher-cache "$work/broken"
done

# numbers that explode: the step and the layer are named
kept 1 "error: mlp: step [0-9]*: the loss is not a finite number, first seen in fc" $(train) "$data" --lr 1e30
kept 1 "error: mlp: step 1: the loss is not a finite number, first seen in the input" \
    "$tool" train --arch mlp --input scale=1e38 --steps 2 $quiet --data "$data"
kept 1 "model.isg: step [0-9]*: fc[0-9].* holds a number that is not finite" $(tune) "$data" --lr 1e30

# the last step, which no step follows, and a network that is finite where its outputs are not
kept 1 "step 1: fc.* holds a number that is not finite" \
    "$tool" train --arch mlp --input unit --optimizer sgd --lr 1e30 --weight-decay 1e30 --steps 1 --validation 0 $quiet \
    --data "$data"
for validation in .1 0; do
    kept 1 "after step 1: the output is not a finite number" \
        "$tool" train --arch mlp --input unit --optimizer sgd --lr 1e20 --steps 1 $quiet --data "$data" --validation $validation
done

# training that only leads away changes nothing, and says so
expect 0 "$tool" train --arch mlp --data "$data" --input unit --epochs 30 --optimizer sgd --lr .1 $quiet -o "$work/good.onnx"
expect 0 "$tool" compress "$work/good.onnx" --layer '.=bits=6' --input unit $quiet -o "$work/good.isg"
expect 0 "$tool" tune "$work/good.isg" --teacher "$work/good.onnx" --steps 4 --lr 3 $quiet --data "$data" --json -o "$work/w.isg"
grep -q '"kept_start":[[:space:]]*true' "$work/out" || fail "a start that was kept is not told of: $(cat "$work/out")"
expect 0 "$tool" tune "$work/good.isg" --teacher "$work/good.onnx" --steps 4 --lr 3 $quiet --data "$data" -o "$work/w.isg"
grep -q '^kept  *the start' "$work/out" || fail "a start that was kept is not told of"
# compress keeps what it made where its short training cannot go on: one item's numbers are too large, none of those
# that calibrate
python3 - "$work" <<'PYTHON'
import array, random, struct, sys
def npy(name, kind, shape, numbers):
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    with open(f"{sys.argv[1]}/{name}.npy", "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + numbers.tobytes())
random.seed(1)
pixels = array.array("f", (random.random() for _ in range(400 * 144)))
pixels[399 * 144:] = array.array("f", [3e38] * 144)
npy("large-x", "<f4", (400, 1, 12, 12), pixels)
npy("large-y", "<i8", (400,), array.array("q", (i % 10 for i in range(400))))
PYTHON
expect 0 "$tool" compress "$model" --ratio .5 --tune 1 --calibration 16 --input raw $quiet \
    --data "npy:$work/large-x.npy,$work/large-y.npy" -o "$work/w.isg"
grep -q "warning: .*w.isg: not tuned: " "$work/err" || fail "no warning of a training that diverged: $(cat "$work/err")"
expect 0 "$tool" selftest "$work/w.isg"

# what can be known before the work
kept 2 "./log: two outputs are the same file" $(train) "$data" --checkpoint "$work/log" --log "$work/./log"
kept 2 "--resume needs --checkpoint" $(train) "$data" --resume
kept 2 "the number of seconds is out of range" $(train) "$data" --seconds=-5
kept 2 "the weight of the orthonormality loss is out of range" $(tune) "$data" --ortho=-1
kept 2 "training does not know its need beforehand" $(train) "$data" --max-memory 1k
kept 2 "option --activations" $(tune) "$data" --activations 16
kept 2 "--distill needs --teacher" $(tune) "$data" --distill .5
ln -s data/train-images-idx3-ubyte "$work/link"
cp "$work/data/train-images-idx3-ubyte" "$work/images.copy"
refused 2 $(train) "$data" -o "$work/link"
cmp -s "$work/data/train-images-idx3-ubyte" "$work/images.copy" || fail "training wrote over its data"
for place in missing/x data; do
    refused 1 $(train) "$data" -o "$work/$place"
    refused 1 $(train) "$data" -o "$work/w.onnx" --log "$work/$place"
    refused 1 $(train) "$data" -o "$work/w.onnx" --checkpoint "$work/$place"
done

# a teacher of its own input contract
expect 0 "$tool" compress "$model" --layer '.=bits=8' --input unit,mean=.5 $quiet -o "$work/other.isg"
kept 2 "other.isg expects other numbers than the student" $(tune) "$data" --teacher "$work/other.isg"

# ranges of int8 are kept by measuring them again
expect 0 "$tool" tune "$packed" --data "$data" --epochs 0 --activations 8 $quiet -o "$work/ranges.isg"
expect 0 "$tool" tune "$work/ranges.isg" --data "$data" --steps 1 $quiet -o "$work/again.isg"
expect 0 "$tool" eval "$work/again.isg" --data "$data" --train-split --mode int8 $quiet

# nothing to do
kept 2 "--epochs=0 needs --seconds or --steps" "$tool" train --arch mlp --input unit --epochs 0 $quiet --data "$data"

# durations
for word in 0 -1 10x 1d '' nan 10ms s; do
    kept 2 "option --max-time" $(train) "$data" --max-time="$word"
done
for word in 90 90s 10m 2h 1.5h .5m; do
    expect 0 "$tool" train --arch mlp --input unit --steps 1 $quiet --data "$data" --max-time "$word" -o "$work/w.onnx"
done
expect 0 "$tool" train --arch mlp --input unit --epochs 1000000 --validation 0 $quiet --data "$data" --max-time .005m \
    --checkpoint "$work/short.ckpt" --json -o "$work/w.onnx"
python3 -c 'import json, sys; t = json.load(open(sys.argv[1]))["training"]; assert t["epochs"] < 1000000' "$work/out" ||
    fail "--max-time did not end the sitting"

# options without effect, and such that fight
for option in --ortho=.1 --paper-clamp --execution=factored; do
    kept 2 "is of factored networks" $(train) "$data" $option
done
kept 2 "option --temperature needs --teacher" $(train) "$data" --temperature 5
kept 2 "option --momentum goes with --optimizer=sgd" $(train) "$data" --momentum .5
kept 2 "goes with --checkpoint or --log" $(train) "$data" --checkpoint-seconds 5
kept 2 "option --checkpoint-seconds: more than 0" $(train) "$data" --checkpoint-seconds 0 --log "$work/l.csv"
kept 2 "are one option" $(train) "$data" --seconds 5 --max-time 7
kept 2 "does nothing where nothing is trained" "$tool" tune "$packed" --data "$data" --epochs 0 --activations 8 --lr 5 $quiet
expect 0 "$tool" train --arch mlp --input unit --steps 40 $quiet --data "$data" --json -o "$work/w.onnx"
grep -q '"steps":.*40' "$work/out" || fail "--steps 40: $(cat "$work/out")"

# a checkpoint that exists must be meant, and whoever holds it is found through links
kept 2 "exists; go on from it with --resume" $(train) "$data" --checkpoint "$work/short.ckpt"
kept 2 "the lock of the checkpoint has that name" $(train) "$data" --checkpoint "$work/k" --log "$work/k.lock"
ln -s short.ckpt "$work/short.link"
ln -s "$work/far.ckpt" "$work/far.link"
"$tool" train --arch mlp --input unit --epochs 1000000 --validation 0 $quiet --data "$data" --checkpoint "$work/short.ckpt" \
    --resume -o "$work/held.onnx" >/dev/null 2>&1 &
pid=$!
tries=0
while [ ! -e "$work/short.ckpt.lock" ] && [ $tries -lt 200 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
kept 1 "another run is writing it" "$tool" train --arch mlp --input unit --epochs 1000000 --validation 0 $quiet --data "$data" \
    --checkpoint "$work/short.link" --resume
kill -TERM $pid
wait $pid
expect 0 "$tool" train --arch mlp --input unit --steps 2 $quiet --data "$data" --checkpoint "$work/far.link" -o "$work/w.onnx"
[ -f "$work/far.ckpt" ] && [ -L "$work/far.link" ] || fail "a link to a checkpoint that was not there yet"

# where something cannot be read back, or the report goes
mkfifo "$work/fifo"
kept 2 "must be a file that can be read back" $(train) "$data" --checkpoint "$work/fifo"
refused 2 $(tune) "$data" -o "$work/fifo"
kept 2 "standard output is where the report goes" $(train) "$data" --log /dev/stdout
"$tool" train --arch mlp --input unit --steps 2 $quiet --data "$data" -o /dev/stdout >"$work/piped" 2>"$work/err" &&
    fail "an output among the report"

kept 2 "a log cannot be a pipe by its name" $(train) "$data" --log "$work/fifo"
kept 2 "option --steps: at least 1" "$tool" tune "$packed" --data "$data" --steps 0 $quiet
cp "$work/short.ckpt" "$work/short.copy"
"$tool" train --arch mlp --input unit --epochs 1000000 --validation 0 $quiet --data "$data" --checkpoint /dev/fd/5 --resume \
    -o "$work/w.onnx" 5<>"$work/short.ckpt" >"$work/out" 2>"$work/err" && fail "a checkpoint on a descriptor"
grep -q "must be a file that can be read back" "$work/err" || fail "a checkpoint on a descriptor: $(cat "$work/err")"
cmp -s "$work/short.ckpt" "$work/short.copy" || fail "a refused run changed the checkpoint behind a descriptor"
"$tool" train --arch mlp --input unit --steps 2 $quiet --data "$data" --log /dev/fd/5 -o "$work/w.onnx" 5</dev/null \
    >"$work/out" 2>"$work/err" && fail "a descriptor that cannot be written"
grep -q "Bad file descriptor" "$work/err" || fail "a descriptor that cannot be written: $(cat "$work/err")"

# links that lead to nothing yet, and to the checkpoint's lock
ln -s tgt "$work/lnk"
refused 2 "$tool" train --arch mlp --input unit --steps 2 $quiet --data "$data" --log "$work/lnk" -o "$work/tgt"
kept 2 "the lock of the checkpoint has that name" $(train) "$data" --checkpoint "$work/short.link" --resume \
    --log "$work/short.ckpt.lock"

# a descriptor is added to, each line once
echo before >"$work/shared.txt"
"$tool" train --arch mlp --input unit --steps 30 --epochs 100 $quiet --data "$data" --log /dev/fd/5 --checkpoint-seconds 0.001 \
    -o "$work/w.onnx" 5>>"$work/shared.txt" >"$work/out" 2>"$work/err" || fail "a log on a descriptor: $(cat "$work/err")"
[ "$(head -1 "$work/shared.txt")" = before ] || fail "the log replaced what was there"
[ "$(wc -l <"$work/shared.txt")" -eq 32 ] || fail "a log of 30 steps has $(wc -l <"$work/shared.txt") lines"

# a log that cannot be written at the end loses neither the checkpoint nor the network
mkdir "$work/gone"
(
    tries=0
    while [ ! -e "$work/kept.ckpt.lock" ] && [ $tries -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    rm -rf "$work/gone"
) &
expect 1 "$tool" train --arch mlp --input unit --epochs 1000000 --seconds 2 --validation 0 $quiet --data "$data" \
    --log "$work/gone/l.csv" --checkpoint "$work/kept.ckpt" --checkpoint-seconds 60 -o "$work/kept.onnx"
wait
[ -s "$work/kept.ckpt" ] && [ -s "$work/kept.onnx" ] || fail "a lost log took the training with it"
expect 0 "$tool" check "$work/kept.onnx"
finish
