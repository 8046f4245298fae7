# SPDX-License-Identifier: Apache-2.0
# Wrong numbers, wrong data and wrong words: refused in one line with the exit code that docs/cli.md gives.
. "$(dirname "$0")/common.sh"

out=$work/out.d
mkdir "$out"
make_images "$work/data"
data=idx:$work/data
model=$work/model.onnx
packed=$work/model.isg
expect 0 "$tool" train --arch mlp --data "$data" --input unit --steps 1 --threads 1 --quiet -o "$model"
expect 0 "$tool" compress "$model" --layer '.=bits=4' --input unit --threads 1 --quiet -o "$packed"
[ "$failures" -eq 0 ] || finish
XDG_CACHE_HOME=$work/cache
export XDG_CACHE_HOME

# numbers
for option in --limit=0 --limit=-1 --limit=1e3 --batch=0 --batch=4097 --batch=99999999999999999999 --threads=1025 \
    --label-offset=-1 --label-offset=10 --label-offset=99999999999 --max-memory=0 --max-memory=1T --seed=x --strategy=fast; do
    refused 2 "$tool" eval "$packed" --data "$data" --quiet $option
done
refused 1 "$tool" eval "$packed" --data "$data" --quiet --max-memory 1k
refused 1 "$tool" bench "$packed" --runs 1 --threads 1 --quiet --max-memory 1k
grep -q 'needs [0-9]* bytes of workspace, more than the 1000 allowed' "$work/err" || fail "--max-memory does not say what is needed"
refused 1 "$tool" bench "$packed" --plan --runs 1 --threads 1 --quiet --max-memory 1k
expect 0 "$tool" info "$packed" --max-memory 1k
case $(uname -m) in x86_64) lacking=neon ;; *) lacking=avx2 ;; esac
for verb in info bench selftest; do
    refused 2 "$tool" $verb "$packed" --isa=$lacking
    grep -q "this CPU has no $lacking" "$work/err" || fail "$verb does not say which instructions are missing"
done
expect 0 "$tool" eval "$packed" --data "$data" --quiet --batch 4096 --threads 1024
for option in --paper-ratio=0 --paper-ratio=1 --paper-ratio=nan --ratio=0x --ratio=1 --ratio=-1 --ratio=nan --target-size=0 --target-size=-5k --bits=0 --bits=3,6 --bits=3,6,9; do
    refused 2 "$tool" compress "$model" --input unit --quiet -o "$out/o.isg" "$option"
done
refused 2 "$tool" compress "$model" --input unit --quiet -o "$out/o.isg" --ratio=0.5 --paper-ratio=0.5
for option in --lr=0 --lr=-1 --lr=nan --lr=1e999 --momentum=1 --validation=1 --ema=1 --distill=2 --optimizer=magic; do
    refused 2 "$tool" tune "$packed" --data "$data" --steps 1 --quiet -o "$out/o.isg" "$option"
done

# words
refused 2 "$tool" Eval "$packed"
refused 2 "$tool" "$(printf 'ev\033[2Jal')"
refused 2 "$tool" --json
refused 2 "$tool" info "$packed" --jso
refused 2 "$tool" info -x "$packed"
refused 2 "$tool" info --json=1 "$packed"
refused 2 "$tool" eval "$packed" --data
refused 2 "$tool" eval "$packed" -- --data "$data"
refused 1 "$tool" info -- --json
refused 1 "$tool" info "$work"
refused 1 "$tool" info ''

# data
for spec in nothing idx idx: "IDX:$work/data" "folder" "npy:"; do
    refused 2 "$tool" eval "$packed" --data "$spec" --quiet
done
refused 1 "$tool" eval "$packed" --data "idx:$work/absent" --quiet
mkdir -p "$work/none" "$work/classes/a" "$work/classes/b"
timeout 30 "$tool" eval "$packed" --data "folder:$work/none" >"$work/out" 2>"$work/err" && fail "an empty folder was evaluated"
timeout 30 "$tool" eval "$packed" --data "folder:$work/classes" >"$work/out" 2>"$work/err" && fail "empty classes were evaluated"
python3 - "$work" <<'PYTHON'
import struct, sys
work = sys.argv[1]
def npy(name, descr, shape, data):
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)).encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    open(f"{work}/{name}", "wb").write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + data)
def floats(n, value=0.5):
    return struct.pack("<%df" % n, *[value] * n)
npy("x.npy", "<f4", (2, 1, 12, 12), floats(288))
npy("wide.npy", "<f4", (2, 1, 12, 13), floats(312))
npy("none.npy", "<f4", (0, 1, 12, 12), b"")
npy("nan.npy", "<f4", (2, 1, 12, 12), floats(288, float("nan")))
npy("y.npy", "<i8", (2,), struct.pack("<2q", 1, 2))
npy("three.npy", "<i8", (3,), struct.pack("<3q", 1, 2, 3))
npy("minus.npy", "<i8", (2,), struct.pack("<2q", 1, -2))
npy("eleven.npy", "<i8", (2,), struct.pack("<2q", 1, 10))
npy("huge.npy", "<i8", (2,), struct.pack("<2q", 1, 1 << 40))
npy("broken.npy", "<f4", (2,), floats(2))
PYTHON
x=npy:$work/x.npy
expect 0 "$tool" eval "$packed" --data "$x,$work/y.npy" --quiet
refused 1 "$tool" run "$packed" "$work/x.npy" --quiet --max-memory 1k
refused 2 "$tool" eval "$packed" --data "$x" --quiet
refused 2 "$tool" eval "$packed" --data "npy:$work/wide.npy,$work/y.npy" --quiet
refused 2 "$tool" eval "$packed" --data "$x,$work/eleven.npy" --quiet
refused 1 "$tool" eval "$packed" --data "npy:$work/nan.npy,$work/y.npy" --quiet
for labels in three minus huge broken; do
    refused 4 "$tool" eval "$packed" --data "$x,$work/$labels.npy" --quiet
done
refused 4 "$tool" eval "$packed" --data "npy:$work/none.npy,$work/y.npy" --quiet
refused 2 "$tool" tune "$packed" --data "npy:$work/wide.npy,$work/y.npy" --steps 1 --quiet -o "$out/o.isg"
refused 2 "$tool" tune "$packed" --data "$x,$work/eleven.npy" --steps 1 --quiet -o "$out/o.isg"

# numbers that are none, all the way
refused 1 "$tool" run "$packed" "$work/nan.npy" --quiet
refused 1 "$tool" tune "$packed" --data "npy:$work/nan.npy" --epochs 0 --activations 8 --quiet -o "$out/o.isg"

# a file that no verb could open or run is not written
for offset in 100 -5; do
    refused 2 "$tool" compress "$model" --layer '.=bits=4' --input unit --label-offset "$offset" --quiet -o "$out/o.isg"
done
refused 2 "$tool" compress "$model" --layer '.=bits=4' --label-offset 1 --quiet -o "$out/o.isg"
refused 2 "$tool" compress "$model" --bi 2 --bo 4 --fc-bits 77 --quiet -o "$out/o.isg"
refused 1 "$tool" compress "$model" --layer '.=bits=4' --max-memory 10 --quiet -o "$out/o.isg"
[ ! -e "$out/o.isg" ] || fail "a refused run left $out/o.isg"

# options that would do nothing
refused 2 "$tool" eval "$packed" --data "$x,$work/y.npy" --per-layer --quiet
refused 2 "$tool" eval "$packed" --data "$x,$work/y.npy" --snn 4 --mode int8 --quiet
refused 2 "$tool" run "$packed" "$work/x.npy" --percentile 99 --quiet
refused 2 "$tool" train "$model" --outputs 20 --data "$x,$work/y.npy" --steps 1 --quiet -o "$out/o.onnx"
for idle in --bits=3,3,3 --fc-bits=4 --paper-rules --quantizer=paper --calibration=9 --no-compensate; do
    refused 2 "$tool" compress "$model" --ratio 0.5 "$idle" --quiet -o "$out/o.isg"
    grep -q -- "${idle%%=*}" "$work/err" || fail "$idle: the error does not name it"
done
net=arch:mlp
for idle in --mode=auto --form=dense8 --sweep=batch=1,2 --detail --profile=digital-edge --per-layer --limit=3; do
    refused 2 "$tool" sim "$net" --compare "$idle"
done
refused 2 "$tool" sim --list "$net"
refused 2 "$tool" sim --list --profile digital-edge
refused 2 "$tool" sim --check digital-edge "$net"
refused 2 "$tool" sim --check digital-edge --paper-eq8
refused 2 "$tool" sim "$net" --profile digital-edge --snn 8 --percentile 99
printf 'one\ntwo\n' >"$work/names"
refused 2 "$tool" compress "$model" --layer '.=bits=4' --input unit --classes "$work/names" --quiet -o "$out/o.isg"

# dumps: one item, a folder whose name fits, never over the model or the input
python3 - "$work" <<'PYTHON'
import struct, sys
head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 12, 12), }"
head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
open(sys.argv[1] + "/one.npy", "wb").write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + struct.pack("<144f", *[0.5] * 144))
PYTHON
refused 2 "$tool" run "$packed" "$work/x.npy" --quiet --dump "$work/dump"
refused 1 "$tool" run "$packed" "$work/one.npy" --quiet --dump "$(printf './%.0s' $(seq 2040))"
expect 0 "$tool" run "$packed" "$work/one.npy" --quiet --dump "$work/dump"
first=$(find "$work/dump" -name '000-*')
cp "$work/one.npy" "$first"
refused 2 "$tool" run "$packed" "$first" --quiet --dump "$work/dump"
cmp -s "$work/one.npy" "$first" || fail "a dump replaced its input"

# a tolerance of zero is one, a limit of zero is none
expect 0 "$tool" compare "$packed" "$packed" --tolerance 0 --quiet
refused 2 "$tool" compare "$packed" "$packed" --limit 0 --quiet
expect 0 "$tool" compress "$model" --layer '.=bits=2' --quiet -o "$work/coarse.isg"
expect 5 "$tool" compare "$packed" "$work/coarse.isg" --tolerance 0 --quiet

# "-" is no file: the report goes to standard output; ./- is one
cd "$work" || exit 1
for line in "compress $model --layer .=bits=4 --input unit" "compress $model --layer .=bits=4 --dry-run --save-recipe -" \
    "tune $packed --data $data --steps 1" "train $model --data $data --input unit --steps 1" "export $packed" \
    "tune $packed --data $data --steps 1 --log - -o $out/o.isg" "run $packed x.npy" "report --grid grid.csv" \
    "sim $net --profile digital22_hbm2 --html -"; do
    case " $line " in *" - "*) output= ;; *) output="-o -" ;; esac
    refused 2 "$tool" $line --quiet $output
    grep -q 'error: [a-z]*: -: standard output is where the report goes' "$work/err" || fail "$line: $(cat "$work/err")"
    [ ! -e ./- ] || fail "$line wrote a file of that name"
done
expect 0 "$tool" export "$packed" -o ./-
[ -s ./- ] || fail "./- is no file"
cd - >/dev/null || exit 1

# what is not known is not claimed; a line is a line; a pipe is a file
expect 0 "$tool" compress "$model" --layer '.=bits=2' --dry-run --json --quiet
grep -q '"weight_error":.null' "$work/out" || fail "a dry run claims errors"
expect 0 "$tool" export "$packed" -o "$work/two
lines.onnx"
[ "$(wc -l <"$work/err")" -le 1 ] || fail "a path broke a note: $(cat "$work/err")"
cat "$model" | "$tool" info /dev/stdin >"$work/piped" 2>&1 || fail "a model from a pipe: $(cat "$work/piped")"

# what a verb needs of a model it takes from one reading: from a pipe it says the same as from the file; or refuses in a line
piped()
{
    verb=$1
    shift
    "$tool" "$verb" "$packed" "$@" >"$work/filed" 2>"$work/err" || fail "$verb $*: $(cat "$work/err")"
    cat "$packed" | "$tool" "$verb" /dev/stdin "$@" >"$work/piped" 2>"$work/err" || fail "$verb, piped: $(cat "$work/err")"
    sed "s|$packed|/dev/stdin|" "$work/filed" | cmp -s - "$work/piped" || fail "$verb from a pipe: $(cat "$work/piped")"
}
piped check
piped eval --data "$data" --snn 2 --calibration 20 --threads 1 --quiet
piped eval --data "$data" --threads 1 --quiet
piped tune --data "$data" --epochs 0 --bits 4,4,4 --threads 1 --quiet -o "$work/tuned.isg"
: >"$work/there.npy"
piped run "$work/x.npy" --quiet -o "$work/there.npy"
echo 'file=$1 && shift && cat "$file" | "$@"' >"$work/pipe.sh"
refused 2 sh "$work/pipe.sh" "$packed" "$tool" sim /dev/stdin --profile digital45_lpddr4 --snn 2 --data "$data"
refused 2 sh "$work/pipe.sh" "$packed" "$tool" sim /dev/stdin --inject "$out/o.isg" --ber basis=0.1
refused 2 sh "$work/pipe.sh" "$model" "$tool" tune "$packed" --teacher /dev/stdin --data "$data" --steps 1 --quiet -o "$out/o.isg"

# files of words
refused 4 "$tool" compress "$model" --layer '.=bits=4' --input unit --classes "$model" --quiet -o "$out/o.isg"
refused 1 "$tool" compress "$model" --layer '.=bits=4' --input unit --classes "$work/absent" --quiet -o "$out/o.isg"
finish
