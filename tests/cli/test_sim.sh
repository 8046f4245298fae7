# SPDX-License-Identifier: Apache-2.0
# The accelerator model, spiking execution and bit errors through the tool; needs nothing but the build.
. "$(dirname "$0")/common.sh"

# value PYTHON: an expression over the last output as `d`
value()
{
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/out" "$1" ||
        fail "no value for $1"
}

expect 0 "$tool" sim --list
says mrr_crosslight
expect 0 "$tool" sim --list --json
[ "$(value 'len(d["profiles"])')" -ge 18 ] || fail "fewer than 18 profiles"
for name in $(value '" ".join(p["name"] for p in d["profiles"])'); do
    expect 0 "$tool" sim --check "$name"
    says ': ok'
done

expect 0 "$tool" sim --paper-eq8
says '545.2 ps'
says '7.9 us'
[ "$(grep -c '^note' "$work/out")" -ge 2 ] || fail "the two inconsistencies are not explained"
expect 0 "$tool" sim --paper-eq8 --json
[ "$(value 'round(d["generation_ps"], 1)')" = 545.2 ] || fail "generation of Eq. 8"
[ "$(value 'round(d["saved_us"], 1)')" = 7.9 ] || fail "loading of Eq. 8"

net="arch:resnet18 --form 2,44,3,6,3 --profile digital45_lpddr4"
# shellcheck disable=SC2086
expect 0 "$tool" sim $net --mode generate --json --html "$work/run.html" --sweep batch=1,8
[ "$(json schema)" = insitu.sim/1 ] || fail "schema"
[ "$(value 'round(d["result"]["total"]["dense_macs"] / 1e6, 1)')" = 555.4 ] || fail "multiply-adds of ResNet-18"
[ "$(value 'round((d["result"]["total"]["generation1_macs"] + d["result"]["total"]["generation2_macs"]) / 1e6)')" = 494 ] ||
    fail "multiply-adds that generate ResNet-18"
[ "$(value 'len(d["sweeps"])')" = 2 ] || fail "sweep"
[ "$(value 'd["sweeps"][0]["total"]["total_pj"] == d["result"]["total"]["total_pj"]')" = True ] || fail "sweep at batch 1"
# parts add up to the whole
[ "$(value 'abs(sum(v["typical"] for v in d["result"]["total"]["energy_pj"].values()) / d["result"]["total"]["total_pj"]["typical"] - 1) < 1e-9')" = True ] ||
    fail "energy by cause does not add up"
[ "$(value 'abs(sum(l["total_pj"]["typical"] for l in d["result"]["layers"]) / d["result"]["total"]["total_pj"]["typical"] - 1) < 1e-9')" = True ] ||
    fail "energy by layer does not add up"
grep -q '</html>' "$work/run.html" || fail "page is not complete"
if grep -E -q 'https?:|<script|src=|href=' "$work/run.html"; then fail "page is not self-contained"; fi
for mode in auto half factored resident dense; do
    # shellcheck disable=SC2086
    expect 0 "$tool" sim $net --mode "$mode"
done
expect 0 "$tool" sim arch:resnet18 --form 2,44,3,6,3 --profile mrr_crosslight --mode generate --detail
says 'energy by layer and cause'
[ "$(grep -c '^layer4.1.conv2  *dram ' "$work/out")" = 1 ] || fail "no traffic of a layer"
expect 0 "$tool" sim arch:resnet18 --compare --json --html "$work/compare.html"
[ "$(value 'len(d["rows"])')" -ge 18 ] || fail "comparison has too few machines"
[ "$(value 'all(len(r["forms"]) == 5 for r in d["rows"])')" = True ] || fail "comparison has not five forms"
# the published table is what the tool says
python3 - "$work/out" "$source/docs/results-sim.md" <<'PYTHON' || fail "docs/results-sim.md is out of date"
import json, sys
rows = {r["profile"]["name"]: r for r in json.load(open(sys.argv[1]))["rows"]}
table = [[c.strip() for c in line.split("|")[1:-1]] for line in open(sys.argv[2], encoding="utf-8") if line.startswith("| ")]
head = next(i for i, cells in enumerate(table) if len(cells) == 11)
stated = {cells[0]: cells for cells in table[head + 1:] if len(cells) == 11}
bad = [n for n in rows if n not in stated]
for name, cells in stated.items():
    gain = rows[name].get("gain_over_dense")
    if gain and (cells[6] != rows[name]["least_energy"] or not cells[7].startswith(f"{gain['typical']:.3g} (")):
        bad.append(f"{name}: {cells[6]} {cells[7]}, now {rows[name]['least_energy']} {gain['typical']:.3g}")
print("\n".join(bad))
sys.exit(bool(bad))
PYTHON
expect 0 "$tool" sim arch:resnet18 --compare
says 'generate pays'

# wrong use
expect_error 2 "$tool" sim arch:resnet18
expect_error 2 "$tool" sim arch:nothing --profile digital45_lpddr4
expect_error 2 "$tool" sim arch:resnet18 --profile no_such_machine
expect_error 2 "$tool" sim arch:resnet18 --profile digital45_lpddr4 --mode sideways
expect_error 2 "$tool" sim arch:resnet18 --profile digital45_lpddr4 --form 2,44
expect_error 2 "$tool" sim arch:resnet18 --profile digital45_lpddr4 --sweep batch=
expect_error 2 "$tool" sim arch:resnet18 --profile digital45_lpddr4 --sweep no.such.key=1
refused 2 "$tool" sim arch:resnet18 --profile digital45_lpddr4 --sweep batch=2,0
expect_error 2 "$tool" sim arch:resnet18 --profile digital45_lpddr4 --batch 0
expect_error 2 "$tool" sim arch:resnet18 --inject "$work/x.isg"
expect_error 1 "$tool" sim arch:resnet18 --profile "$work/absent.json"
expect_error 3 "$tool" sim arch:resnet18 --profile spiker100

# broken profiles: exit 4 and one line with file, key and reason
python3 - "$source/profiles/digital45_lpddr4.json" "$work" <<'PYTHON' || fail "cannot make broken profiles"
import copy, json, sys
good = json.load(open(sys.argv[1]))
def write(name, change):
    p = copy.deepcopy(good)
    change(p)
    json.dump(p, open(f"{sys.argv[2]}/{name}.json", "w"))
write("good", lambda p: None)
write("unit", lambda p: p["tiers"][0]["read"].pop("unit"))
write("negative", lambda p: p["tiers"][0]["read"].__setitem__("value", -1))
write("unknown", lambda p: p["engine"].__setitem__("colour", "red"))
write("tiny", lambda p: p["tiers"][0]["size"].update(value=1, unit="B"))
write("list", lambda p: p.__setitem__("tiers", []))
open(f"{sys.argv[2]}/cut.json", "w").write(open(sys.argv[1]).read()[:500])
PYTHON
expect 0 "$tool" sim --check "$work/good.json"
expect 0 "$tool" sim arch:resnet18 --profile "$work/good.json"
for pair in unit:tiers negative:tiers unknown:colour tiny:tiers list:tiers cut:; do
    file=$work/${pair%%:*}.json
    for command in "sim --check $file" "sim arch:resnet18 --profile $file"; do
        # shellcheck disable=SC2086
        expect_error 4 "$tool" $command
        [ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line: $(cat "$work/err")"
        grep -q "$file: .*${pair#*:}" "$work/err" || fail "file or key missing: $(cat "$work/err")"
    done
done

# a small network of our own: spikes and bit errors
make_images "$work/data"
expect 0 "$tool" train --arch resnet20 --data "idx:$work/data" --input unit -o "$work/net.onnx" --steps 2 \
    --batch 8 -q
expect 0 "$tool" compress "$work/net.onnx" --bi 2 --bo 8 --bits 4,6,4 --input unit -o "$work/net.isg" -q
expect 0 "$tool" eval "$work/net.isg" --data "idx:$work/data" --snn 2,6 --limit 6 --calibration 8 --json -q
[ "$(value '[s["steps"] for s in d["snn"]]')" = "[2, 6]" ] || fail "steps"
# counts are whole; what is printed is their mean over the 6 images, rounded
[ "$(value 'round(6 * d["snn"][1]["synaptic_ops"]) == sum(round(6 * l["synaptic_ops"]) for l in d["layers"])')" = True ] ||
    fail "synaptic operations of the layers do not add up"
expect 0 "$tool" eval "$work/net.isg" --data "idx:$work/data" --snn 2 --limit 6 --calibration 8 --json -q -t 1
cp "$work/out" "$work/one"
expect 0 "$tool" eval "$work/net.isg" --data "idx:$work/data" --snn 2 --limit 6 --calibration 8 --json -q -t 2
cmp -s "$work/one" "$work/out" || fail "spikes depend on the number of threads"
expect_error 2 "$tool" eval "$work/net.isg" --data "idx:$work/data" --snn 6,2
expect_error 2 "$tool" eval "$work/net.isg" --data "idx:$work/data" --snn 0
expect_error 2 "$tool" eval "$work/net.isg" --data "idx:$work/data" --snn 4 --percentile 0
expect 0 "$tool" sim "$work/net.isg" --profile firefly300 --snn 4 --data "idx:$work/data" --limit 3 --calibration 8 \
    --json -q
[ "$(value 'd["result"]["total"]["synaptic_ops"] > 0')" = True ] || fail "measured spikes do not reach the model"

expect 0 "$tool" sim "$work/net.isg" --ber basis=1e-2,u=1e-2,v=1e-2 --inject "$work/bad.isg" --json
[ "$(value 'sum(s["flipped"] for s in d["bit_errors"]) > 0')" = True ] || fail "nothing was flipped"
[ "$(value '[s["flipped"] for s in d["bit_errors"] if s["rate"] == 0] == [0, 0, 0]')" = True ] || fail "other streams changed"
cmp -s "$work/net.isg" "$work/bad.isg" && fail "the copy is no different"
expect 0 "$tool" info "$work/bad.isg"
expect 0 "$tool" eval "$work/bad.isg" --data "idx:$work/data" -q
expect 0 "$tool" sim "$work/net.isg" --ber basis=1e-2,u=1e-2,v=1e-2 --inject "$work/again.isg"
cmp -s "$work/bad.isg" "$work/again.isg" || fail "the same seed gives another copy"
expect 0 "$tool" sim "$work/net.isg" --ber all=0 --inject "$work/same.isg"
cmp -s "$work/net.isg" "$work/same.isg" || fail "no errors give no copy"
expect 0 "$tool" sim "$work/net.isg" --ber profile --profile hetmem22_rram --inject "$work/tier.isg"
expect_error 2 "$tool" sim "$work/net.isg" --ber basis=2 --inject "$work/x.isg"
expect_error 2 "$tool" sim "$work/net.isg" --ber colour=0.1 --inject "$work/x.isg"
expect_error 2 "$tool" sim "$work/net.isg" --ber basis=0.1 --inject "$work/net.isg"
expect_error 4 "$tool" sim "$work/net.onnx" --ber weight=0.1 --inject "$work/x.isg"

# the page in a real browser, where there is one
if command -v chromium >/dev/null 2>&1; then
    timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$work/chromium" \
        --dump-dom "file://$work/run.html" >"$work/dom" 2>"$work/chromium.log" || fail "chromium fails on the page"
    grep -q 'aria-label="roofline"' "$work/dom" || fail "chromium shows no roofline"
else
    echo "chromium is not here: the page was not opened in a browser"
fi
finish
