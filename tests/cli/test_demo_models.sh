# SPDX-License-Identifier: Apache-2.0
# The committed models: each file passes its selftest and scores on the whole Fashion-MNIST test set what was recorded.
. "$(dirname "$0")/common.sh"
data=/usr/share/datasets/fashion-mnist
[ -e "$data/t10k-images-idx3-ubyte.gz" ] || {
    echo "skipped: the Debian package dataset-fashion-mnist is not installed"
    exit 77
}
scores=$source/models/fashion-scores.txt
recorded=$(grep -v '^#' "$scores" | wc -l)
[ "$recorded" -ge 5 ] || fail "only $recorded scores in $scores"
for file in "$source"/models/*.isg; do
    grep -q "^$(basename "$file") " "$scores" || fail "no score is recorded for $file"
done

# check FILE CORRECT IMAGES ISA: exact on the instructions that counted, two pictures either way on others
check()
{
    file=$source/models/$1
    case $1 in
    *.onnx) expect 0 "$tool" eval "$file" --data "idx:$data" --input unit,mean=.286,std=.353 --json ;;
    *)
        expect 0 "$tool" selftest "$file"
        expect 0 "$tool" eval "$file" --data "idx:$data" --json
        [ "$(json file_bytes)" -eq "$(wc -c <"$file")" ] || fail "file_bytes of $1"
        ;;
    esac
    correct=$(json correct)
    [ "$(json images)" = "$3" ] || fail "$1: $(json images) images, expected $3"
    [ "$(json subset)" = False ] || fail "$1: only a subset was counted"
    slack=2
    [ "$(json isa)" != "$4" ] || slack=0
    off=$((correct - $2))
    [ "${off#-}" -le "$slack" ] || fail "$1: $correct of $3 correct, recorded $2"
}

while read -r file correct images isa; do
    case $file in
    '#'*) continue ;;
    esac
    check "$file" "$correct" "$images" "$isa"
done <"$scores"

# two ways to execute the same factors classify alike
expect 0 "$tool" eval "$source/models/fashion-2x4.isg" --data "idx:$data" --limit 500 --strategy generate --json
generated=$(json correct)
expect 0 "$tool" eval "$source/models/fashion-2x4.isg" --data "idx:$data" --limit 500 --strategy factored --json
off=$((generated - $(json correct)))
[ "${off#-}" -le 2 ] || fail "strategies disagree: $generated and $(json correct) of 500"

# enlarged pictures come back with the right name
if command -v python3 >/dev/null; then
    expect 0 "$source/scripts/demo-pictures" "$data" "$source/models/fashion-mnist.classes" "$work/pictures"
    expect 0 "$tool" run "$source/models/fashion-4x8.isg" "$work/pictures/1-trouser.png" "$work/pictures/8-bag.png" \
        --top 1
    says Trouser
    says Bag
fi
finish
