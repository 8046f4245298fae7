# SPDX-License-Identifier: Apache-2.0
# scripts/reproduce on a grid of four cells with a recipe of one step: it plans, does each step once, does again what a
# changed recipe or a lost file concerns, stops at a failure and says which step.
. "$(dirname "$0")/common.sh"

mkdir "$work/build" "$work/data"
ln -s "$tool" "$work/build/insitu"
python3 - "$work/data" <<'PYTHON'
import random, struct, sys
random.seed(5)
for name, count in (("train", 80), ("t10k", 40)):
    with open(sys.argv[1] + "/" + name + "-images-idx3-ubyte", "wb") as f:
        f.write(struct.pack(">IIII", 0x803, count, 28, 28) + bytes(random.randrange(256) for _ in range(count * 784)))
    with open(sys.argv[1] + "/" + name + "-labels-idx1-ubyte", "wb") as f:
        f.write(struct.pack(">II", 0x801, count) + bytes(i % 10 for i in range(count)))
PYTHON
recipe() # TUNE_OPTIONS
{
    echo "fig5a-order 1 2"
    echo "fig5a-compress --bits=32,32,32 --fc-bits=32 --paper-rules \\"
    echo "               --calibration=16"
    echo "fig5a-tune --epochs=1 --steps=1 --batch=16 --teacher=dense.onnx $1"
}
export INSITU_RECIPES="$work/recipes" INSITU_FASHION="$work/data" INSITU_THREADS=1
reproduce() { "$source/scripts/reproduce" --build "$work/build" "$@"; }
recipe --lr=0.001 >"$work/recipes"

expect 0 reproduce --list --only fig5a
[ "$(grep -c ' fig5a/.* about ' "$work/out")" -eq 12 ] || fail "the plan is not twelve steps"
says '^0 of 12 steps are done; the 12 that are left take about [0-9]'
[ -e "$work/build/reproduce/fig5a/1x1-start.isg" ] && fail "--list did something"

expect 0 reproduce --only fig5a
says '^\[1 of 12\] fig5a/1x1-compress: about .*; all that is left: about '
says '^| 2 | [0-9.]* ([0-9.]*) | [0-9.]* ([0-9.]*) |'
grid=$work/build/reproduce/fig5a/grid.csv
[ "$(wc -l <"$grid")" -eq 5 ] || fail "the grid has not four cells"
[ -s "$work/build/reproduce/fig5a.svg" ] || fail "no picture"
cp "$grid" "$work/before.csv"

expect 0 reproduce --only=fig5a
says '^12 of 12 steps are done; the 0 that are left take about 0 s'
grep -q '^\[' "$work/out" && fail "a step was done twice"
rm "$work/build/reproduce/fig5a/2x1-test.json"
expect 0 reproduce --only fig5a
[ "$(grep -c '^\[' "$work/out")" -eq 1 ] || fail "more than the lost step was done"
cmp -s "$grid" "$work/before.csv" || fail "the grid changed"

# another recipe: what it concerns is done again, and what is made of that
recipe --lr=0.002 >"$work/recipes"
expect 0 reproduce --only fig5a
[ "$(grep -c '^\[.*-tune' "$work/out")" -eq 4 ] || fail "a changed recipe was not followed"
[ "$(grep -c '^\[.*-compress' "$work/out")" -eq 0 ] || fail "a recipe of tuning compressed again"

# a step that fails ends the run with the tool's code and its name
recipe --lr=-1 >"$work/recipes"
expect 2 reproduce --only fig5a
grep -q '^reproduce: error: step fig5a/1x1-tune failed' "$work/err" || fail "the failed step is not named"
expect 2 reproduce --only nothing
expect 2 reproduce --all
echo >"$work/recipes"
expect 1 reproduce --only fig5a
grep -q 'no line fig5a-' "$work/err" || fail "a recipe that is missing is not named"
finish
