# SPDX-License-Identifier: Apache-2.0
# A long run in pieces: killed at random moments, stopped by a signal, cut into sittings; it ends as if never stopped.
. "$(dirname "$0")/common.sh"

make_images "$work/data"
before= # exec in the background, so that a signal reaches the tool itself
train()
{
    name=$1
    shift
    $before "$tool" train --arch resnet20 --data "idx:$work/data" --input unit --epochs 3 --batch 16 --threads 1 --flip \
        --ema 0.9 --log "$work/$name.csv" --json --quiet -o "$work/$name.onnx" "$@"
}
same()
{
    cmp -s "$work/whole.csv" "$work/$1.csv" || fail "$1: another log than the run that was not stopped"
    cmp -s "$work/whole.onnx" "$work/$1.onnx" || fail "$1: another network than the run that was not stopped"
}

expect 0 train whole
steps=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["training"]["steps"])' "$work/out")

# kill -9 three times wherever it happens to be, then to the end
seed=${SEED:-$$}
echo "seed $seed"
for try in 1 2 3; do
    before=exec train killed --checkpoint "$work/killed.ckpt" --checkpoint-seconds 0.02 --resume >/dev/null 2>&1 &
    pid=$!
    sleep "$(python3 -c 'import random, sys; random.seed(sys.argv[1]); print(0.1 + 0.9 * random.random())' "$seed-$try")"
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    rm -f "$work/killed.onnx"
done
expect 0 train killed --checkpoint "$work/killed.ckpt" --checkpoint-seconds 0.02 --resume
same killed

# a signal writes a checkpoint before it ends the run
before=exec train term --checkpoint "$work/term.ckpt" --checkpoint-seconds 0.02 --resume >/dev/null 2>&1 &
pid=$!
while kill -0 "$pid" 2>/dev/null && [ ! -e "$work/term.ckpt" ]; do sleep 0.05; done
# meanwhile nobody else may write that checkpoint
if kill -STOP "$pid" 2>/dev/null && [ -e "$work/term.ckpt.lock" ]; then
    before=
    expect_error 1 train second --checkpoint "$work/term.ckpt" --resume
    grep -q 'another run' "$work/err" || fail "two runs on one checkpoint: $(cat "$work/err")"
fi
kill -CONT "$pid" 2>/dev/null
kill -TERM "$pid"
wait "$pid"
code=$?
[ "$code" -eq 130 ] || [ "$code" -eq 0 ] || fail "SIGTERM gave $code"
expect 0 train term --checkpoint "$work/term.ckpt" --resume
same term

# sittings of a fraction of a second; the schedule does not know of them
for sitting in $(seq 1 400); do
    expect 0 train short --seconds 0.3 --checkpoint "$work/short.ckpt" --resume
    [ "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["training"]["steps"])' "$work/out")" = "$steps" ] &&
        break
done
same short

# a checkpoint of another run, and one that was cut, are refused and left alone
cp "$work/short.ckpt" "$work/kept.ckpt"
expect_error 2 train other --lr 0.1 --checkpoint "$work/short.ckpt" --resume
cmp -s "$work/short.ckpt" "$work/kept.ckpt" || fail "a refused checkpoint was overwritten"
head -c 5000 "$work/kept.ckpt" >"$work/cut.ckpt"
expect_error 4 train other --checkpoint "$work/cut.ckpt" --resume
[ "$(wc -c <"$work/cut.ckpt")" -eq 5000 ] || fail "a damaged checkpoint was overwritten"
[ -e "$work/other.onnx" ] && fail "a refused run wrote a network"
finish
