# SPDX-License-Identifier: Apache-2.0
# Training on a device: the plain C one gives the processor's curve but for rounding, goes on where it was stopped, and what
# cannot be had is refused with one line. A GPU, where there is one, is held to the same curve.
. "$(dirname "$0")/common.sh"

make_images "$work/data"
data="--data idx:$work/data --input unit --threads 1 --quiet"

# train NAME OPTIONS...; near NAME: its log against that of the processor, number by number
train()
{
    name=$1
    shift
    # shellcheck disable=SC2086
    expect 0 "$tool" train --arch resnet20 $data --epochs 1 --batch 32 --flip --optimizer sgd --lr 0.00001 --log "$work/$name.csv" -o "$work/$name.onnx" "$@"
}
near()
{
    python3 - "$work/cpu.csv" "$work/$1.csv" <<'PYTHON' || fail "$1: another curve than the processor's"
import csv, sys
a, b = (list(csv.reader(open(p))) for p in sys.argv[1:3])
assert len(a) == len(b) and a[0] == b[0]
for x, y in zip(a[1:], b[1:]):
    assert x[:3] == y[:3]
    # an activation that rounding moves across 0 opens or shuts a gradient: the norm says less than the loss
    for i, limit in ((3, 0.002), (4, 0.002), (7, 0.1)):
        assert abs(float(x[i]) - float(y[i])) <= limit * (1 + abs(float(x[i]))), (x, y)
PYTHON
}
train cpu --device cpu
train reference --device reference
near reference

# a factored student, distilled; stopped and resumed bit for bit
# shellcheck disable=SC2086
expect 0 "$tool" compress "$work/cpu.onnx" --bi 2 --bo 8 --input unit --quiet -o "$work/start.isg"
tune()
{
    name=$1
    shift
    # shellcheck disable=SC2086
    expect 0 "$tool" tune "$work/start.isg" --teacher "$work/cpu.onnx" --data "idx:$work/data" --threads 1 --quiet --epochs 1 \
        --batch 32 --distill 0.9 --renormalise --lr 0.00001 --log "$work/$name.csv" -o "$work/$name.isg" "$@"
}
tune cpu
tune whole --device reference
near whole
for sitting in 1 2 3 4 5 6 7 8 9; do
    tune pieces --device reference --seconds 0.4 --checkpoint "$work/pieces.ckpt" --resume
    cmp -s "$work/whole.csv" "$work/pieces.csv" && break
done
tune pieces --device reference --checkpoint "$work/pieces.ckpt" --resume
cmp -s "$work/whole.csv" "$work/pieces.csv" || fail "a resumed run on a device has another log"
cmp -s "$work/whole.isg" "$work/pieces.isg" || fail "a resumed run on a device has another network"

# refused
bad="$tool train --arch resnet20 $data --epochs 1 -o $work/bad.onnx"
refused 2 $bad --device nonsense
refused 3 $bad --precision tf32
refused 3 $bad --device reference --precision bf16
refused 2 $bad --device reference --checkpoint "$work/pieces.ckpt" --resume
[ ! -e "$work/bad.onnx" ] || fail "a refused run wrote its output"

"$tool" train --arch mlp $data --steps 1 --device cuda -o "$work/gpu.onnx" >/dev/null 2>"$work/err"
case $? in
0)
    train cuda --device cuda
    near cuda
    ;;
3)
    [ "$(grep -c '^insitu: error: ' "$work/err")" -eq 1 ] || fail "no CUDA is not one error line: $(cat "$work/err")"
    echo "no GPU is tested: $(cat "$work/err")"
    ;;
*) fail "a GPU failed: $(cat "$work/err")" ;;
esac
finish
