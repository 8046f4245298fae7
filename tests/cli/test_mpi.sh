# SPDX-License-Identifier: Apache-2.0
# mpirun -n 2 insitu train and tune: the result of one process, one error line for all, dead ranks, signals, resuming.
. "$(dirname "$0")/common.sh"

[ -e "$build/insitu-mpi.so" ] || {
    echo "skipped: built without MPI"
    exit 77
}
command -v mpirun >/dev/null || {
    echo "skipped: no mpirun"
    exit 77
}
# For this test only: mpirun as root, more ranks than cores, no copies between processes (containers forbid them).
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl=self,vader,tcp
export OMPI_MCA_btl_vader_single_copy_mechanism=none
make_images "$work/data"

# every rank notes its process and may be sent elsewhere
cat >"$work/rank" <<'SCRIPT'
#!/bin/sh
echo $$ >"$PIDS.$OMPI_COMM_WORLD_RANK"
[ "$OMPI_COMM_WORLD_RANK" = 1 ] && [ -n "${ELSEWHERE:-}" ] && cd "$ELSEWHERE"
exec "$@"
SCRIPT
chmod +x "$work/rank"
export PIDS="$work/pid"
cd "$work" || exit 1

before=
ranks()
{
    n=$1
    shift
    if [ "$n" = 1 ]; then
        "$@"
    else
        $before mpirun -q -n "$n" "$work/rank" "$@"
    fi
}
train()
{
    n=$1 name=$2
    shift 2
    ranks "$n" "$tool" train --arch resnet20 --data idx:data --input unit --epochs 3 --batch 64 --threads 1 --flip \
        --ema 0.9 --log "$name.csv" --json --quiet -o "$name.onnx" "$@"
}
same()
{
    cmp -s "$1.csv" "$2.csv" || fail "$2: another log than $1: $(diff "$1.csv" "$2.csv" | head -4)"
    cmp -s "$1.$3" "$2.$3" || fail "$2: another network than $1"
}

# batches of 64 in chunks of 16, the last one of an epoch short: two and four ranks change no bit
expect 0 train 1 whole
expect 0 train 2 two
says '"ranks":.*2'
says '"step_bytes"'
[ "$(grep -c '"schema"' out)" -eq 1 ] || fail "more than one rank reported"
same whole two onnx
expect 0 train 4 four
same whole four onnx

# the same for factors beside their teacher, BatchNorm put back; three ranks add in another order
expect 0 "$tool" compress whole.onnx --input unit --data idx:data --ratio 0.1 -o small.isg --quiet
tune()
{
    n=$1 name=$2
    shift 2
    ranks "$n" "$tool" tune small.isg --teacher whole.onnx --data idx:data --epochs 1 --batch 64 --threads 1 --ortho 0.05 \
        --renormalise --log "$name.csv" --quiet -o "$name.isg" "$@"
}
expect 0 tune 1 tuned1
expect 0 tune 2 tuned2
same tuned1 tuned2 isg
says 'ranks  *2, each hands in'
expect 0 tune 3 tuned3
python3 - tuned1.csv tuned3.csv <<'PYTHON' || fail "three ranks: the losses differ by more than 1e-4 of them"
import sys
a, b = ([float(line.split(",")[3]) for line in open(name).readlines()[1:]] for name in sys.argv[1:])
sys.exit(len(a) != len(b) or any(abs(x - y) > 1e-4 * abs(x) for x, y in zip(a, b)))
PYTHON

# one_line CODE COMMAND...: that exit code, one error line and nothing else
one_line()
{
    expect "$@"
    [ "$(wc -l <err)" -eq 1 ] && grep -q '^insitu: error: ' err || fail "not exactly one error line: $*: $(cat err)"
    [ -s out ] && fail "a failure wrote to stdout: $*"
}

# errors end all ranks with one line: of usage, of all ranks, of one rank, of the numbers, of the writing rank
mkdir elsewhere
one_line 2 train 2 bad --bogus
one_line 2 train 2 bad --batch 1
one_line 1 train 2 bad --data idx:missing
ELSEWHERE=elsewhere one_line 1 train 2 bad
grep -q 'rank 1: data/train-images' err || fail "the error does not say which rank: $(cat err)"
one_line 1 train 2 bad --lr 1e30
one_line 1 train 2 bad --checkpoint missing/c.ckpt --checkpoint-seconds 0.01
one_line 2 tune 2 bad --label-offset 1
one_line 1 ranks 2 "$tool" train --arch mlp --data idx:data --input unit --steps 1 --quiet -o missing/bad.onnx

# started COMMAND...: in the background until the checkpoint is there
started()
{
    rm -f pid.0 pid.1 run.ckpt
    before=exec "$@" >run.out 2>run.err &
    launcher=$!
    for _ in $(seq 1 1200); do
        [ -e run.ckpt ] && break
        kill -0 "$launcher" 2>/dev/null || break
        sleep 0.05
    done
    [ -e run.ckpt ] || fail "no checkpoint: $(cat run.err)"
}
# ended: within two minutes, not with 0; $code has what it was
ended()
{
    for _ in $(seq 1 1200); do
        kill -0 "$launcher" 2>/dev/null || break
        sleep 0.1
    done
    if kill -0 "$launcher" 2>/dev/null; then
        fail "the job hangs after $1"
        kill -9 "$launcher" "$(cat pid.0)" "$(cat pid.1)" 2>/dev/null
    fi
    wait "$launcher"
    code=$?
    [ "$code" -ne 0 ] || fail "$1: exit 0"
}
# finished NAME: the checkpoint is good, for any number of ranks, and leads where the run that was not stopped went
finished()
{
    expect 0 train "$2" "$1" --checkpoint run.ckpt --resume
    same whole "$1" onnx
    rm -f "$1.onnx"
}

for dead in 1 0; do
    started train 2 killed --checkpoint run.ckpt --checkpoint-seconds 0.02 --resume
    kill -9 "$(cat pid.$dead)"
    ended "kill -9 of rank $dead"
    [ "$(grep -c '^insitu: error: .*rank '$dead' (process [0-9]* on .*) has ended before the run was over$' run.err)" -eq 1 ] ||
        fail "rank $dead: not one line that says what happened: $(cat run.err)"
    [ -e killed.onnx ] && fail "a run that lost a rank wrote a network"
    finished killed $((2 - dead))
done

# SIGUSR1, which mpirun hands on: the step ends, a checkpoint is written, one line says so
stopped_after()
{
    [ "$(wc -l <run.err)" -eq 1 ] || fail "$1: $(cat run.err)"
    sed -n 's/^insitu: error: training stopped after step \([0-9]*\)$/\1/p' run.err
}
started train 2 stopped --checkpoint run.ckpt --checkpoint-seconds 0.02 --resume
kill -USR1 "$launcher"
ended SIGUSR1
[ -n "$(stopped_after SIGUSR1)" ] || fail "SIGUSR1: $(cat run.err)"
finished stopped 1

# SIGTERM: mpirun waits, passes it on, waits again and kills; the checkpoint is of the step that the message names
export OMPI_MCA_odls_base_sigkill_timeout=8
started train 2 ended --epochs 5000 --checkpoint run.ckpt --checkpoint-seconds 0.02
rm -f run.ckpt
kill -TERM "$launcher"
ended SIGTERM
step=$(stopped_after SIGTERM)
[ -n "$step" ] || fail "SIGTERM: $(cat run.err)"
expect 0 train 1 ended --epochs 5000 --checkpoint run.ckpt --resume --seconds 0.01
python3 - "$step" <<'PYTHON' || fail "SIGTERM: no checkpoint of step $step to go on from"
import json, sys
steps = json.load(open("out"))["training"]["steps"]
sys.exit(not int(sys.argv[1]) <= steps <= int(sys.argv[1]) + 2)
PYTHON
finish
