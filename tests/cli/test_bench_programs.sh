# SPDX-License-Identifier: Apache-2.0
# The programs behind `make bench`: wrong words and numbers are refused in one line, and kernels are told as parts of their peak.
. "$(dirname "$0")/common.sh"

# no CODE COMMAND...: that exit code and one line of an error at the end, no traceback, no signal.
no()
{
    wanted=$1
    shift
    timeout 30 "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    [ "$got" -eq "$wanted" ] && tail -n 1 "$work/err" | grep -q 'error: ' && ! grep -q Traceback "$work/err" ||
        fail "exit $got, expected $wanted: $*: $(cat "$work/err")"
}

for option in --nets=nope --nets= --rounds=0 --batch=0 --batch=-3 --batch=4097 --threads=0 --threads=1,x --warm=-1; do
    no 2 "$source/scripts/bench" "$build" $option
done
no 2 "$source/scripts/bench" "$work/nothing"

# a batch of 0 is no batch: outputs would have no room
python3 -B -c 'import sys; sys.path.insert(0, sys.argv[2])
from onnx_maker import *
save("net.onnx", node("Conv", ["x", "w"], "y") + tensor("w", [4, 3, 1, 1], [0.5] * 12) + value(11, "x", ["N", 3, 8, 8]) + value(12, "y", ["N", 4, 8, 8]))' \
    "$work" "$source/tests/cli" || fail "making the network"
expect 0 "$tool" compress "$work/net.onnx" --layer .=bits=4 --quiet -o "$work/net.isg"
for numbers in "1 0" "1 -1" "1 x" "0 1" "1025 1" "1 4097" "1 1k"; do
    no 1 "$build/bench/bench_contender" ours "$work/net.isg" $numbers
done
for batch in 1 7; do
    echo memory | "$build/bench/bench_contender" ours "$work/net.isg" 1 $batch >"$work/out" || fail "a batch of $batch"
    says '^ready '
done
no 1 "$build/bench/bench_onednn" f32 "$work/net.onnx" 0

# kernels: all but the reference beside the peak of their own numbers, on machines whose peak is known
no 2 "$build/bench/bench_kernels" nothing
for kernel in dwpairs_u8s8 dwrow_f32; do
    expect 0 "$build/bench/bench_kernels" $kernel
    grep "^${kernel}__" "$work/out" | grep -v __ref | grep -qv '% of peak$' && fail "$kernel: $(cat "$work/out")"
done

finish
