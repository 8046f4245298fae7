# SPDX-License-Identifier: Apache-2.0
# Real networks and data through the tool.
. "$(dirname "$0")/common.sh"
need_shared

models=$shared/models
for model in "$models"/*.onnx; do
    expect 0 "$tool" check "$model"
    expect 0 "$tool" info "$model" --json
    [ "$(json file_bytes)" -eq "$(wc -c <"$model")" ] || fail "file_bytes of $model"
done

# the scores of the models' own table; arrays are small enough for the whole set
words=npy:$shared/data/keywords-1000/x.npy,$shared/data/keywords-1000/y.npy
expect 0 "$tool" eval "$models/ds-cnn-kws.onnx" --data "$words" --json
[ "$(json correct)" = 901 ] || fail "ds-cnn-kws: $(json correct) of 1000, expected 901"
expect 0 "$tool" eval "$models/mobilenetv1-025-imagenet.onnx" --data "folder:$shared/data/imagenet-1000" --input tf \
    --label-offset 1 --limit 100 --json
[ "$(json subset)" = True ] || fail "subset is not said"
[ "$(json top5_accuracy)" != None ] || fail "no top-5"
if [ -d "$build/data/cifar10" ]; then
    expect 0 "$tool" eval "$models/resnet8-cifar10.onnx" --data "cifar10:$build/data/cifar10" --input raw --json
    [ "$(json accuracy)" = 0.8719 ] || fail "resnet8-cifar10: $(json accuracy), expected 0.8719"
fi

# depthwise layers, each compressed alone: it keeps the labels that a file keeps in which it is the only one
net=$models/ds-cnn-kws.onnx
expect 0 "$tool" compress "$net" --layer '.=bits=3' --quiet -o "$work/kws.isg"
expect 0 "$tool" sensitivity "$net" "$work/kws.isg" --data "$words" --limit 200 --quiet --json
worst=$(json worst)
alone=$(python3 -c 'import json, sys; print([l["correct"] for l in json.load(open(sys.argv[1]))["layers"] if l["name"] == sys.argv[2]][0])' \
    "$work/out" "$worst")
[ "$(json subset)" = True ] || fail "sensitivity does not say subset"
expect 0 "$tool" compress "$net" --layer "^$worst\$=bits=3" --quiet -o "$work/one.isg"
expect 0 "$tool" eval "$work/one.isg" --data "$words" --limit 200 --quiet --json
[ "$(json correct)" = "$alone" ] || fail "$worst alone: $alone correct, a file of it $(json correct)"

image=$(find "$shared/data/imagenet-1000" -name '*.jpg' | sort | head -n 1)
expect 0 "$tool" run "$models/mobilenetv1-025-imagenet.onnx" "$image" --input tf --label-offset 1 --top 3 --json \
    --dump "$work/dump" -o "$work/scores.npy"
[ "$(find "$work/dump" -name '*.npy' | wc -l)" -gt 20 ] || fail "--dump wrote too little"
expect_error 2 "$tool" run "$models/resnet8-cifar10.onnx" "$image"
expect_error 2 "$tool" run "$models/resnet8-cifar10.onnx" "$image" --input raw
expect 0 "$tool" run "$models/resnet8-cifar10.onnx" "$image" --input raw,resize=32,crop=32
finish
