# SPDX-License-Identifier: Apache-2.0
# Full disks, folders that cannot be written, outputs that are inputs, kill -9, Ctrl-C: a clear line, the right exit code,
# and nothing lost.
. "$(dirname "$0")/common.sh"

out=$work/out.d
mkdir "$out"
make_images "$work/data"
data=idx:$work/data
model=$work/model.onnx
packed=$work/model.isg
pack="--layer .=bits=4 --input unit --threads 1 --quiet"
expect 0 "$tool" train --arch mlp --data "$data" --input unit --steps 1 --threads 1 --quiet -o "$model"
expect 0 "$tool" compress "$model" $pack -o "$packed"
[ "$failures" -eq 0 ] || finish
cp "$model" "$work/model.copy"
cp "$packed" "$work/packed.copy"

# no temporary beside the results
clean() { [ -z "$(find "$work" -name '*.tmp')" ] || fail "temporary left: $(find "$work" -name '*.tmp')"; }

# places that cannot be written
refused 1 "$tool" compress "$model" $pack -o "$work"
refused 1 "$tool" compress "$model" $pack -o "$work/absent/o.isg"
refused 1 "$tool" compress "$model" $pack -o "$model/o.isg" # below a regular file
refused 2 "$tool" compress "$model" $pack -o ''
if [ -w /dev/full ]; then
    refused 1 "$tool" compress "$model" $pack -o /dev/full
    "$tool" info "$packed" >/dev/full 2>"$work/err"
    [ $? -eq 1 ] && grep -q '^insitu: error: ' "$work/err" || fail "a full disk behind stdout was not noticed"
fi
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$work" && mkdir -m 755 "$work/locked"
    if setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$tool" -a -r "$model"; then
        refused 1 setpriv --reuid 65534 --regid 65534 --clear-groups "$tool" compress "$model" $pack -o "$work/locked/o.isg"
    fi
else
    mkdir -m 555 "$work/locked"
    refused 1 "$tool" compress "$model" $pack -o "$work/locked/o.isg"
fi

# a limit on file size stands for a disk that fills up in the middle of the write: the old file stays whole
cp "$packed" "$out/old.isg"
(ulimit -f 1 && exec "$tool" compress "$model" $pack -o "$out/old.isg") >"$work/out" 2>"$work/err"
[ $? -eq 1 ] && grep -q '^insitu: error: .*old.isg' "$work/err" || fail "file size limit: $(cat "$work/err")"
cmp -s "$packed" "$out/old.isg" || fail "a failed write changed the old file"
rm "$out/old.isg"
clean

# outputs that are inputs, by name, hard link and symbolic link
ln "$packed" "$work/hard.isg"
ln -s model.isg "$work/soft.isg"
ln "$model" "$work/hard.onnx"
ln -s model.onnx "$work/soft.onnx"
for name in "$model" "$work/hard.onnx" "$work/soft.onnx" "$work/./model.onnx"; do
    refused 2 "$tool" compress "$model" $pack -o "$name"
    refused 2 "$tool" compress "$model" $pack --save-recipe "$name" -o "$out/o.isg"
    refused 2 "$tool" export "$model" -o "$name"
    refused 2 "$tool" tune "$packed" --teacher "$model" --data "$data" --steps 1 -o "$name"
done
for name in "$packed" "$work/hard.isg" "$work/soft.isg"; do
    refused 2 "$tool" tune "$packed" --data "$data" --steps 1 -o "$name"
    refused 2 "$tool" tune "$packed" --data "$data" --steps 1 --checkpoint "$name" -o "$out/o.isg"
    refused 2 "$tool" tune "$packed" --data "$data" --steps 1 --log "$name" -o "$out/o.isg"
done
refused 2 "$tool" tune "$packed" --data "$data" --steps 1 --checkpoint "$out/o.isg" -o "$out/o.isg"
refused 2 "$tool" tune "$packed" --data "$data" --steps 1 -o "$work/data/train-images-idx3-ubyte"
refused 2 "$tool" compress "$model" $pack --classes "$work/hard.onnx" -o "$work/soft.onnx"
cp "$source/tests/bad/onnx/exit1-io-external-missing.onnx" "$work/external.onnx"
head -c 4096 /dev/zero >"$work/missing.data"
refused 2 "$tool" compress "$work/external.onnx" $pack -o "$work/missing.data"
[ "$(wc -c <"$work/missing.data")" -eq 4096 ] || fail "external data were overwritten"
cmp -s "$model" "$work/model.copy" || fail "the network was changed"
cmp -s "$packed" "$work/packed.copy" || fail "the packed model was changed"

# kill -9 at any moment: under the final name the old bytes or the whole new ones
expect 0 "$tool" compress "$model" $pack -o "$work/whole.isg"
cp "$work/whole.isg" "$out/new.isg"
for delay in 0.01 0.03 0.05 0.08 0.12 0.2; do
    "$tool" compress "$model" $pack --license "x$delay" -o "$out/new.isg" >/dev/null 2>&1 &
    pid=$!
    sleep "$delay"
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    expect 0 "$tool" selftest "$out/new.isg" --quiet
done
rm -f "$out"/* "$out"/.??*

# Ctrl-C, a hang-up and a polite kill: 130, a whole checkpoint, and --resume goes on from it
for signal in INT TERM HUP; do
    ckpt=$work/$signal.ckpt
    # a shell starts background jobs with SIGINT ignored: python restores it
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$tool" tune "$packed" --data "$data" --epochs 100000 --threads 1 --quiet \
        --checkpoint "$ckpt" --checkpoint-seconds 0.05 -o "$out/o.isg" >"$work/out" 2>"$work/err" &
    pid=$!
    tries=0
    while [ ! -e "$ckpt" ] && [ $tries -lt 200 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -s $signal "$pid"
    wait "$pid"
    got=$?
    [ $got -eq 130 ] || fail "SIG$signal gave $got: $(cat "$work/err")"
    [ "$(grep -c '^insitu: error: ' "$work/err")" -eq 1 ] || fail "SIG$signal: not one line"
    [ -e "$out/o.isg" ] && fail "SIG$signal left an output"
    step=$(sed -n 's/.*after step \([0-9]*\).*/\1/p' "$work/err")
    timeout 3 "$tool" tune "$packed" --data "$data" --epochs 100000 --threads 1 --resume --checkpoint "$ckpt" --quiet \
        --log "$work/log.csv" -o "$out/o.isg" >"$work/out" 2>"$work/err"
    again=$(sed -n 's/.*after step \([0-9]*\).*/\1/p' "$work/err")
    [ "${again:-0}" -gt "${step:-999999999}" ] || fail "SIG$signal: resumed run at '$again', stopped at '$step'"
done

# the same before the first step, while a slow teacher speaks: nothing is trained, whole views are kept for the next run
expect 0 "$tool" train --arch resnet20 --data "$data" --input unit --steps 1 --threads 1 --quiet -o "$work/teacher.onnx"
# stop_views LEAST OPTION...: until more views than that are kept
stop_views()
{
    least=$1 kept=
    shift
    for delay in 1 2 4 8; do
        "$tool" tune "$packed" --teacher "$work/teacher.onnx" --data "$data" --flip --teacher-views 2000 --steps 1 \
            --threads 1 --checkpoint "$work/views.ckpt" --resume --quiet -o "$out/o.isg" "$@" >"$work/out" 2>"$work/err" &
        pid=$!
        sleep "$delay"
        kill -s TERM "$pid"
        wait "$pid"
        got=$?
        [ $got -eq 130 ] || fail "SIGTERM before the first step gave $got: $(cat "$work/err")"
        [ "$(grep -c '^insitu: error: ' "$work/err")" -eq 1 ] || fail "SIGTERM before the first step: not one line"
        grep -q 'stopped before a step was taken' "$work/err" || fail "before the first step: $(cat "$work/err")"
        [ -z "$(ls -A "$out")" ] || fail "SIGTERM before the first step left $(ls -A "$out")"
        [ ! -e "$work/views.ckpt" ] || fail "a checkpoint of nothing"
        kept=$(sed -n "s/.* with \([1-9][0-9]*\) of the teacher's.*/\1/p" "$work/err")
        [ "${kept:-0}" -le "$least" ] || break # a slow machine was still busy with what comes before
    done
}
stop_views 0 --teacher-cache "$work/views.cache"
first=$kept
stop_views "${first:-0}" --teacher-cache "$work/views.cache"
[ "${kept:-0}" -gt "${first:-9999}" ] || fail "stopped with '$first' views, then with '$kept'"

# timeout(1) signals the process and its group: the second signal is not somebody's impatience
for round in 1 2 3 4 5 6 7 8; do
    rm -f "$work/twice.ckpt"
    "$tool" tune "$packed" --data "$data" --epochs 100000 --threads 1 --quiet --checkpoint "$work/twice.ckpt" \
        --checkpoint-seconds 0.05 -o "$out/o.isg" >"$work/out" 2>"$work/err" &
    pid=$!
    tries=0
    while [ ! -e "$work/twice.ckpt" ] && [ $tries -lt 200 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -s TERM "$pid"
    kill -s TERM "$pid" 2>/dev/null
    wait "$pid"
    got=$?
    [ $got -eq 130 ] || fail "two signals at once gave $got: $(cat "$work/err")"
done
clean
finish
