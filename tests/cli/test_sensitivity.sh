# SPDX-License-Identifier: Apache-2.0
# insitu sensitivity on a network of our own: a layer compressed alone scores as a file in which only it is compressed.
. "$(dirname "$0")/common.sh"

make_images "$work/data"
data=idx:$work/data
model=$work/model.onnx
expect 0 "$tool" train --arch mlp --data "$data" --input unit --epochs 40 --batch 16 --threads 1 --quiet -o "$model"
expect 0 "$tool" compress "$model" --layer '.=bits=1' --input unit --quiet -o "$work/all.isg"
[ "$failures" -eq 0 ] || finish

# layer KEY: KEY of every layer of the last JSON, one a line
layer()
{
    python3 -c 'import json, sys; [print(l[sys.argv[2]]) for l in json.load(open(sys.argv[1]))["layers"]]' "$work/out" "$1"
}
correct_of()
{
    expect 0 "$tool" eval "$1" --data "$data" --input unit --quiet --json
    json correct
}

expect 0 "$tool" sensitivity "$model" "$work/all.isg" --data "$data" --json --threads 1
cp "$work/out" "$work/one-thread"
[ "$(json schema)" = insitu.sensitivity/1 ] || fail "schema"
[ "$(json images)" = 60 ] && [ "$(json subset)" = False ] || fail "images"
[ "$(json file_bytes)" -eq "$(wc -c <"$work/all.isg")" ] || fail "file_bytes"
layer name >"$work/names"
layer correct >"$work/alone"
whole=$(json correct)
drop=$(json drop)
original=$(json original_accuracy)
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --data "$data" --json --threads 2
cmp -s "$work/out" "$work/one-thread" || fail "the result depends on threads"
[ "$(correct_of "$work/all.isg")" = "$whole" ] || fail "the whole file is not what eval says"
python3 -c "import sys; sys.exit(abs($(correct_of "$model") / 60 - $original) > 1e-9)" || fail "the original is not what eval says"

# the only compressed layer of a file costs what the file does, and what that layer costs in another
[ "$(wc -l <"$work/names")" -ge 2 ] || fail "too few layers: $(cat "$work/names")"
while read -r name; do
    expect 0 "$tool" compress "$model" --layer "^$name\$=bits=1" --input unit --quiet -o "$work/single.isg"
    single=$(correct_of "$work/single.isg")
    alone=$(paste "$work/names" "$work/alone" | awk -v n="$name" '$1 == n { print $2 }')
    [ "$single" = "$alone" ] || fail "$name alone: $alone correct, a file of it $single"
    expect 0 "$tool" sensitivity "$model" "$work/single.isg" --data "$data" --json --quiet
    [ "$(json worst)" = "$name" ] || fail "worst is $(json worst), not $name"
    [ "$(layer kept | grep -c True)" -eq $(($(wc -l <"$work/names") - 1)) ] || fail "kept layers: $(layer kept)"
    [ "$(layer snr_db | grep -c None)" -eq $(($(wc -l <"$work/names") - 1)) ] || fail "kept layers make noise"
    snr=$(json snr_db)
    [ "$(layer snr_db | grep -cx -e "$snr")" -eq 1 ] || fail "the file's SNR $snr is not its layer's"
done <"$work/names"

# text, CSV, order
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --data "$data" --limit 10
says '^all, from the file '
says '^original  accuracy .* of 10 images, subset'
says '^worst     '
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --quiet
says '^inputs    16 of random numbers'
says 'SNR .* dB alone'
cp "$work/out" "$work/seed1"
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --seed 1 --quiet
cmp -s "$work/out" "$work/seed1" || fail "made-up inputs are not repeatable"
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --seed 2 --quiet
cmp -s "$work/out" "$work/seed1" && fail "--seed changes nothing"
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --quiet --csv -
cp "$work/out" "$work/stdout.csv"
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --quiet --csv "$work/file.csv"
cmp -s "$work/stdout.csv" "$work/file.csv" || fail "--csv=- and --csv=FILE differ"
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --data "$data" --quiet --sort worst --csv "$work/sorted.csv"
python3 - "$work/sorted.csv" "$work/names" <<'PYTHON' || fail "CSV: $(cat "$work/sorted.csv")"
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
assert sorted(r["layer"] for r in rows) == sorted(open(sys.argv[2]).read().split())
order = [(-float(r["drop"]), float(r["snr_db"])) for r in rows]
assert order == sorted(order)
assert all(0 < int(r["bytes"]) < int(r["dense_bytes"]) and r["bits_basis"] == "1" for r in rows)
PYTHON

# a file that loses more than it may: the report, then one line
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --data "$data" --quiet --max-drop 1
expect 0 "$tool" sensitivity "$model" "$model" --data "$data" --input unit --quiet --max-drop 0
python3 -c "import sys; sys.exit(not $drop > 0)" || fail "one bit loses nothing: the test needs another network"
expect_error 5 "$tool" sensitivity "$model" "$work/all.isg" --data "$data" --quiet --max-drop 0 --json
[ "$(json ok)" = False ] || fail "a missed target is ok"
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --data "$data" --quiet --max-drop "$drop"

# what is refused
python3 - "$work/x.npy" <<'PYTHON'
import struct, sys
head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1, 12, 12), }"
head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
open(sys.argv[1], "wb").write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + struct.pack("<432f", *[i / 432 for i in range(432)]))
PYTHON
expect 0 "$tool" sensitivity "$model" "$work/all.isg" --data "npy:$work/x.npy"
says '^inputs    3$'
refused 2 "$tool" sensitivity "$model" "$work/all.isg" --data "npy:$work/x.npy" --max-drop 0.1 --quiet
for option in --max-drop=0.1 --input=unit --label-offset=1 --train-split; do
    refused 2 "$tool" sensitivity "$model" "$work/all.isg" --quiet "$option"
done
for option in --max-drop=-1 --max-drop=2 --max-drop=nan --limit=0 --batch=0 --sort=best --csv="$model" --label-offset=5; do
    refused 2 "$tool" sensitivity "$model" "$work/all.isg" --data "$data" --quiet "$option"
done
refused 2 "$tool" sensitivity "$model" "$work/all.isg" --quiet --json --csv -
refused 2 "$tool" sensitivity "$model"
refused 1 "$tool" sensitivity "$model" "$work/absent.isg" --quiet
refused 1 "$tool" sensitivity "$model" "$work/all.isg" --quiet --csv "$work/absent/file.csv"
refused 1 "$tool" sensitivity "$model" "$work/all.isg" --quiet --max-memory 1k
head -c 1000 "$work/all.isg" >"$work/cut.isg"
refused 4 "$tool" sensitivity "$model" "$work/cut.isg" --quiet
other=$work/other.onnx
expect 0 "$tool" train --arch resnet20 --data "$data" --input unit --steps 1 --batch 16 --threads 1 --quiet -o "$other"
refused 2 "$tool" sensitivity "$other" "$work/all.isg" --quiet
grep -q 'not two forms of one network' "$work/err" || fail "strangers: $(cat "$work/err")"

# ranks, and a signal
expect 0 "$tool" compress "$other" --bi 2 --bo 4 --input unit --quiet -o "$work/other.isg"
expect 0 "$tool" sensitivity "$other" "$work/other.isg" --limit 2 --quiet
says ' 2,4 *3,6,3 '
"$tool" sensitivity "$other" "$work/other.isg" --limit 20000 --threads 1 --quiet >"$work/out" 2>"$work/err" &
pid=$!
sleep 1
kill -TERM "$pid"
wait "$pid"
[ $? -eq 130 ] || fail "SIGTERM did not give 130"
[ -s "$work/out" ] && fail "an interrupted run reported"
finish
