# SPDX-License-Identifier: Apache-2.0
# Every golden bad file of tests/bad through the verbs that read it: exitN-what is refused with exit code N, in one line,
# and leaves nothing behind.
. "$(dirname "$0")/common.sh"

bad=$source/tests/bad
seeds=$source/fuzz/corpus
out=$work/out.d
mkdir "$out"
make_images "$work/data"
data=idx:$work/data
model=$work/model.onnx
packed=$work/model.isg
expect 0 "$tool" train --arch mlp --data "$data" --input unit --steps 1 --threads 1 --quiet -o "$model"
expect 0 "$tool" compress "$model" --layer '.=bits=4' --input unit --threads 1 --quiet -o "$packed"
[ "$failures" -eq 0 ] || finish

code_of() { basename "$1" | sed -n 's/^exit\([0-9]*\)-.*/\1/p'; }

# files FOLDER: the bad files of one kind; there must be some.
files()
{
    ls "$bad/$1"/exit* 2>/dev/null || fail "no bad files in tests/bad/$1" >&2
}

for f in $(files view); do
    code=$(code_of "$f")
    refused "$code" "$tool" bench "$f" --runs 1 --threads 1 --max-memory 1G --quiet
    case $f in *exit1-memory*) continue ;; esac # may be looked at, only not run
    refused "$code" "$tool" info "$f" --quiet
    refused "$code" "$tool" eval "$f" --data "$data" --input unit --quiet
    refused "$code" "$tool" sensitivity "$model" "$f" --quiet
    refused "$code" "$tool" tune "$f" --data "$data" --input unit --steps 1 --quiet -o "$out/o.isg"
    refused "$code" "$tool" export "$f" --quiet -o "$out/o.onnx"
done

for f in $(files onnx); do
    code=$(code_of "$f")
    refused "$code" "$tool" info "$f" --quiet
    refused "$code" "$tool" compress "$f" --ratio 0.5 --input unit --quiet -o "$out/o.isg"
    refused "$code" "$tool" export "$f" --quiet -o "$out/o.onnx"
    timeout 30 "$tool" check "$f" >"$work/out" 2>"$work/err"
    got=$?
    if [ "$code" -eq 3 ]; then
        [ $got -eq 3 ] && [ -s "$work/out" ] || fail "check does not list the problems of $f"
    else
        [ $got -eq "$code" ] || fail "check $f: exit $got, expected $code"
    fi
done

for f in $(files npy); do
    refused "$(code_of "$f")" "$tool" run "$packed" "$f" --quiet -o "$out/o.npy"
    refused "$(code_of "$f")" "$tool" eval "$packed" --data "npy:$f" --quiet
done

mkdir -p "$work/folder/0"
for f in $(files image); do
    code=$(code_of "$f")
    refused "$code" "$tool" run "$packed" "$f" --input raw,resize=12,crop=12 --quiet -o "$out/o.npy"
    rm -f "$work/folder/0"/*
    cp "$f" "$work/folder/0/"
    refused "$code" "$tool" eval "$packed" --data "folder:$work/folder" --input raw,resize=12,crop=12 --threads 1 --quiet
done

set=$work/set
for f in $(files idx) $(files cifar); do
    rm -rf "$set"
    mkdir "$set"
    case $f in
    *cifar100*) kind=cifar100 && cp "$f" "$set/test.bin" ;;
    *cifar10*) kind=cifar10 && cp "$f" "$set/test.bin" ;;
    *)
        kind=idx
        cp "$seeds/idx/images" "$set/t10k-images-idx3-ubyte"
        cp "$seeds/idx/labels" "$set/t10k-labels-idx1-ubyte"
        case $f in
        *.idx3) cp "$f" "$set/t10k-images-idx3-ubyte" ;;
        *) cp "$f" "$set/t10k-labels-idx1-ubyte" ;;
        esac
        ;;
    esac
    refused "$(code_of "$f")" "$tool" eval "$packed" --data "$kind:$set" --quiet
done

for f in $(files recipe); do
    refused "$(code_of "$f")" "$tool" compress "$model" --recipe "$f" --input unit --quiet -o "$out/o.isg"
    grep -q "$f" "$work/err" || fail "the error does not name $f"
done

for f in $(files spec); do
    refused "$(code_of "$f")" "$tool" eval "$packed" --data "$data" --input "$(cat "$f")" --quiet
    refused "$(code_of "$f")" "$tool" compress "$model" --layer ".=$(cat "$f")" --input unit --quiet -o "$out/o.isg"
    refused "$(code_of "$f")" "$tool" info "$model" --isa "$(cat "$f")" --quiet
done

for f in $(files checkpoint); do
    cp "$f" "$work/bad.ckpt"
    refused "$(code_of "$f")" "$tool" tune "$packed" --data "$data" --steps 1 --threads 1 --quiet --resume \
        --checkpoint "$work/bad.ckpt" -o "$out/o.isg"
    cmp -s "$f" "$work/bad.ckpt" || fail "a refused checkpoint was changed: $f"
done

# samples of what the unit tests do everywhere: cuts and flips of a packed model, of a network and of a checkpoint
expect 0 "$tool" tune "$packed" --data "$data" --steps 1 --threads 1 --quiet --checkpoint "$work/good.ckpt" -o "$work/t.isg"
python3 - "$work" <<'PYTHON'
import os, random, sys
work = sys.argv[1]
random.seed(3)
for source in ("model.isg", "model.onnx", "good.ckpt"):
    data = open(f"{work}/{source}", "rb").read()
    stem, ext = source.split(".")
    for i, n in enumerate([0, 1, 7, 8, 63, 64, 100, len(data) // 2, len(data) - 1]):
        open(f"{work}/cut-{stem}-{i}.{ext}", "wb").write(data[:n])
    for i in range(12):
        at = random.randrange(len(data)) if i % 2 else random.randrange(400)
        flipped = bytearray(data)
        flipped[at] ^= 1 << random.randrange(8)
        open(f"{work}/flip-{stem}-{i}.{ext}", "wb").write(flipped)
PYTHON
for f in "$work"/cut-*.isg "$work"/flip-*.isg "$work"/cut-*.onnx; do
    timeout 30 "$tool" info "$f" >"$work/out" 2>"$work/err"
    got=$?
    case $f-$got in
    *.isg-4 | *.isg-3 | *.onnx-4 | *.onnx-1) [ "$(wc -l <"$work/err")" -eq 1 ] || fail "$f: not one line" ;;
    *) fail "$f: exit $got" ;;
    esac
done
for f in "$work"/flip-*.onnx; do # a flip in a weight is another valid network
    timeout 30 "$tool" info "$f" >"$work/out" 2>"$work/err"
    got=$?
    [ $got -le 4 ] || fail "$f: exit $got"
done
for f in "$work"/cut-*.ckpt "$work"/flip-*.ckpt; do
    cp "$f" "$work/bad.ckpt"
    refused 4 "$tool" tune "$packed" --data "$data" --steps 1 --threads 1 --quiet --resume --checkpoint "$work/bad.ckpt" \
        -o "$out/o.isg"
done
finish
