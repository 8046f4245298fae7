# SPDX-License-Identifier: Apache-2.0
# From nothing to a packed model on made-up images: train, compress, tune, eval, run, compare, export, selftest.
. "$(dirname "$0")/common.sh"

make_images "$work/data"
data=idx:$work/data
model=$work/model.onnx
expect 0 "$tool" train --arch mlp --data "$data" --input unit --epochs 2 --threads 1 --json -o "$model"
[ "$(json schema)" = insitu.train/1 ] || fail "schema of train"
expect 0 "$tool" check "$model" --json
[ "$(json ok)" = True ] || fail "check of our own network"

# 8-bit data into a network that says nothing of its input
expect_error 2 "$tool" eval "$model" --data "$data"
expect 0 "$tool" eval "$model" --data "$data" --input unit --json --threads 1
[ "$(json images)" = 60 ] || fail "images"
[ "$(json subset)" = False ] || fail "subset"
one=$(json correct)
expect 0 "$tool" eval "$model" --data "$data" --input unit --json --threads 2
[ "$(json correct)" = "$one" ] || fail "accuracy depends on threads"
expect 0 "$tool" eval "$model" --data "$data" --input unit --limit 10
says subset
expect_error 2 "$tool" eval "$model" --data "$data" --input unit --label-offset 5

# compress: a dry run writes nothing, the same command gives the same bytes, a recipe too
expect 0 "$tool" compress "$model" --ratio 0.1 --dry-run --input unit
[ -e "$work/a.isg" ] && fail "dry run wrote a file"
expect 0 "$tool" compress "$model" --ratio 0.1 --input unit --data "$data" --calibration 32 --threads 1 --json \
    --save-recipe "$work/recipe.json" -o "$work/a.isg"
[ "$(json file_bytes)" -eq "$(wc -c <"$work/a.isg")" ] || fail "file_bytes is not the file's size"
python3 -c "import sys; sys.exit(not $(json file_ratio) <= 0.1)" || fail "ratio missed without exit 5"
for key in paper_ratio resident_bytes peak_bytes; do [ "$(json $key)" != None ] || fail "no $key"; done
expect 0 "$tool" compress "$model" --ratio 0.1 --input unit --data "$data" --calibration 32 --threads 2 -o "$work/b.isg"
cmp "$work/a.isg" "$work/b.isg" || fail "compress depends on the number of threads"
python3 -m json.tool "$work/recipe.json" >/dev/null || fail "recipe is not JSON"
expect 0 "$tool" compress "$model" --paper-ratio 0.06 --input unit --json -o "$work/p.isg"
python3 -c "import sys; sys.exit(not 0.05 < $(json paper_ratio) <= 0.06)" || fail "paper ratio missed: $(json paper_ratio)"
expect 0 "$tool" info "$work/p.isg" --json
python3 -c "import sys; sys.exit(not 0.05 < $(json paper_ratio) <= 0.06)" || fail "info counts $(json paper_ratio)"
told=$(json paper_ratio)
expect 0 "$tool" compress "$model" --paper-ratio 0.06 --input unit --dry-run --json
[ "$(json paper_ratio)" = "$told" ] || fail "a dry run counts $(json paper_ratio), the file has $told"
expect_error 5 "$tool" compress "$model" --paper-ratio 0.0001 --input unit -o "$work/none.isg"
[ ! -e "$work/none.isg" ] || fail "a missed target left a file"
expect 0 "$tool" compress "$model" --recipe "$work/recipe.json" --input unit --data "$data" --calibration 32 -o "$work/c.isg"
# the layers that are slower than dense ones are told as info tells them of the file
expect 0 "$tool" compress "$model" --layer '.=bits=2' --input unit --threads 1 --isa scalar --json -o "$work/s.isg"
cp "$work/out" "$work/s.json"
expect 0 "$tool" info "$work/s.isg" --isa scalar --json
python3 - "$work/s.json" "$work/out" <<'PYTHON' || fail "compress and info disagree on slower_than_dense"
import json, sys
made, file = ({l["name"]: l["slower_than_dense"] for l in json.load(open(f))["layers"] if "slower_than_dense" in l} for f in sys.argv[1:])
assert made == file and made, (made, file)
PYTHON
expect 0 "$tool" info "$work/s.isg" --isa scalar
grep 'slower than dense$\|be faster with plain' "$work/out" | awk '{print $1, $NF}' >"$work/s.info"
expect 0 "$tool" compress "$model" --layer '.=bits=2' --input unit --threads 1 --isa scalar -o "$work/s.isg"
grep 'slower than dense$\|be faster with plain' "$work/out" | awk '{print $1, $NF}' | cmp -s - "$work/s.info" ||
    fail "compress does not mark what info marks: $(cat "$work/out")"
expect 0 "$tool" tune "$work/s.isg" --data "$data" --steps 1 --threads 1 --isa scalar -o "$work/st.isg"
says 'be faster with plain float32 weights'
[ -s "$work/s.info" ] || fail "no layer is slower than dense: this tests nothing"
expect 0 "$tool" compress "$model" --layer '.=bits=2' --input unit --dry-run --json
grep -q slower_than_dense "$work/out" && fail "a dry run speaks of a file"
expect_error 5 "$tool" compress "$model" --target-size 300 --input unit -o "$work/d.isg"
[ -e "$work/d.isg" ] && fail "a missed target left a file"
expect_error 2 "$tool" compress "$model" --layer nosuchlayer=keep --input unit -o "$work/d.isg"
cp "$model" "$work/copy.onnx"
expect_error 2 "$tool" compress "$work/copy.onnx" --ratio 0.1 -o "$work/copy.onnx"
cmp -s "$model" "$work/copy.onnx" || fail "input was overwritten"

# the packed file carries its contract
expect 0 "$tool" info "$work/a.isg" --json
[ "$(json schema)" = insitu.info/1 ] || fail "schema of info"
expect 0 "$tool" selftest "$work/a.isg" --json
[ "$(json ok)" = True ] || fail "selftest"
expect_error 3 "$tool" selftest "$model"
expect 0 "$tool" eval "$work/a.isg" --data "$data" --json
expect 0 "$tool" bench "$work/a.isg" --baseline "$model" --runs 3 --threads 1 --json
for key in median_ms p90_ms speedup load_average; do [ "$(json $key)" != None ] || fail "no $key"; done
grep -q '"millijoules"' "$work/out" || fail "bench --json says nothing of energy"
[ "$(json costs)" = built-in ] || fail "bench without --plan does not say that it used the built-in costs"
XDG_CACHE_HOME=$work/cache
export XDG_CACHE_HOME
expect 0 "$tool" bench "$work/a.isg" --plan --runs 2 --threads 2
grep -q '^insitu: measured the costs' "$work/err" || fail "the first --plan did not measure"
says 'predicted'
says 'roofline .* ms: .* times'
says 'a core does .* GMAC/s of f32, .* of int8, .* of bf16, and reads .* GB/s'
cp "$work"/cache/insitu/costs-*.txt "$work/costs.txt" || fail "no file of costs"
expect 0 "$tool" bench "$work/a.isg" --plan --baseline "$model" --runs 2 --threads 1 --json
[ -s "$work/err" ] && fail "the second --plan measured again, or said something: $(cat "$work/err")"
[ "$(json costs)" = machine ] || fail "bench --plan does not say whose costs"
for key in strategy mode tile_pixels tile_rows tasks threads predicted_ms median_ms predicted_dense_ms slower_than_dense \
    macs bytes roofline_ms f32_macs_per_second int8_macs_per_second bf16_macs_per_second bytes_per_second; do
    grep -q "\"$key\"" "$work/out" || fail "bench --plan --json has no $key"
done
expect 0 "$tool" bench "$work/a.isg" --plan --recalibrate --runs 1 --threads 1
grep -q '^insitu: measured the costs' "$work/err" || fail "--recalibrate did not measure"
expect_error 2 "$tool" bench "$work/a.isg" --recalibrate

# tune keeps the file's size
expect 0 "$tool" tune "$work/a.isg" --teacher "$model" --data "$data" --steps 2 --threads 1 --quiet -o "$work/t.isg"
[ "$(wc -c <"$work/t.isg")" -eq "$(wc -c <"$work/a.isg")" ] || fail "tune changed the file's size"
expect 0 "$tool" selftest "$work/t.isg"
# unless it is told other bits
eight=$work/eight.isg
expect 0 "$tool" compress "$model" --bi 2 --bo 4 --bits 8 --input unit --quiet -o "$eight"
expect 0 "$tool" tune "$eight" --data "$data" --epochs 1 --threads 1 --quiet --checkpoint "$work/b.ckpt" -o "$work/u.isg"
expect 0 "$tool" tune "$eight" --bits 2,4,2 --data "$data" --steps 2 --threads 1 --quiet -o "$work/few.isg"
expect 0 "$tool" info "$eight" --json
before=$(json paper_ratio)
expect 0 "$tool" info "$work/few.isg" --json
python3 -c "import sys; sys.exit(not $(json paper_ratio) < $before)" || fail "tune --bits left the codes as they were"
expect 0 "$tool" selftest "$work/few.isg"
# and a checkpoint of other bits is refused
expect_error 2 "$tool" tune "$eight" --bits 2,4,2 --data "$data" --epochs 1 --threads 1 --quiet --resume \
    --checkpoint "$work/b.ckpt" -o "$work/u.isg"
expect_error 2 "$tool" tune "$eight" --bits 9 --data "$data" --steps 2 -o "$work/few.isg"
# without epochs, steps and time it trains nothing: the same outputs, and what int8 needs
expect_error 3 "$tool" eval "$eight" --mode int8 --data "$data"
expect 0 "$tool" tune "$eight" --epochs 0 --activations 8 --data "$data" --threads 1 --quiet --json -o "$work/ranges.isg"
expect_error 2 "$tool" tune "$eight" --epochs 0 --data "$data" -o "$work/none.isg"
expect 0 "$tool" bench "$work/ranges.isg" --mode=int8 --baseline "$model" --runs 2 --threads 1 --json
[ "$(json mode)" = int8 ] && [ "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["baseline"]["mode"])' "$work/out")" = f32 ] ||
    fail "a baseline without ranges does not run in f32 beside int8"
expect_error 2 "$tool" tune "$eight" --epochs 0 --activations 8 --resume --checkpoint "$work/b.ckpt" --data "$data" -o "$work/none.isg"
expect 0 "$tool" tune "$eight" --epochs 0 --activations 8 --data "$data" --threads 1 --quiet --json -o "$work/ranges.isg"
grep -q '"training"' "$work/out" && fail "tune --epochs=0 trained"
expect 0 "$tool" compare "$eight" "$work/ranges.isg" --tolerance 0
expect 0 "$tool" eval "$work/ranges.isg" --mode int8 --data "$data" --quiet

# the numbers of a mode against f32 of the same file
expect 0 "$tool" compare "$work/ranges.isg" "$work/ranges.isg" --tolerance 0
expect_error 5 "$tool" compare "$work/ranges.isg" "$work/ranges.isg" --mode bf16 --tolerance 1e-9
expect 0 "$tool" compare "$work/ranges.isg" "$work/ranges.isg" --mode int8 --layers

# export and compare
expect 0 "$tool" export "$work/a.isg" -o "$work/dense.onnx"
expect 0 "$tool" compare "$work/a.isg" "$work/dense.onnx" --tolerance 1e-4 --json
[ "$(json ok)" = True ] || fail "dense export differs"
expect 0 "$tool" export "$work/a.isg" --factored -o "$work/factored.onnx"
expect 0 "$tool" compare "$work/a.isg" "$work/factored.onnx" --tolerance 1e-4
expect_error 5 "$tool" compare "$model" "$work/a.isg" --tolerance 1e-9
expect_error 2 "$tool" compare "$model" "$work/a.isg" --random 1 --data "$data"

# a damaged file is refused at every place tried
size=$(wc -c <"$work/a.isg")
for cut in 0 7 63 64 200 $((size / 2)) $((size - 1)); do
    head -c "$cut" "$work/a.isg" >"$work/cut.isg"
    expect_error 4 "$tool" info "$work/cut.isg"
done
python3 -c 'import sys; b = bytearray(open(sys.argv[1], "rb").read()); b[len(b) // 2] ^= 1; open(sys.argv[2], "wb").write(b)' \
    "$work/a.isg" "$work/flip.isg"
expect_error 4 "$tool" selftest "$work/flip.isg"

# a signal stops a long run with 130
"$tool" train --arch resnet20 --data "$data" --input unit --epochs 1000 --batch 16 --threads 1 --quiet -o "$work/long.onnx" 2>"$work/err" &
pid=$!
sleep 2
kill -TERM "$pid"
wait "$pid"
[ $? -eq 130 ] || fail "SIGTERM did not give 130"
[ -e "$work/long.onnx" ] && fail "an interrupted run left its output"
finish
