# SPDX-License-Identifier: Apache-2.0
# Help, version, wrong usage, and that docs/cli.md holds the help of every verb.
. "$(dirname "$0")/common.sh"

expect 0 "$tool" --version
says '^insitu [0-9]'
expect 0 "$tool" --help
verbs=$(sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$work/out")
[ "$(echo "$verbs" | wc -w)" -ge 11 ] || fail "verbs missing from --help"
for verb in $verbs; do
    expect 0 "$tool" "$verb" --help
    says "^usage: insitu $verb"
    sed -n "/^usage: insitu $verb /,/^\`\`\`/p" "$source/docs/cli.md" | sed '$d' >"$work/documented"
    cmp -s "$work/out" "$work/documented" || fail "docs/cli.md does not hold what insitu $verb --help prints"
    expect 0 "$tool" "$verb" -h
    expect_error 2 "$tool" "$verb" --no-such-option
    expect_error 2 "$tool" "$verb" --threads
    expect_error 2 "$tool" "$verb" --threads=x file
    expect_error 2 "$tool" "$verb" --isa=mmx file
    expect_error 2 "$tool" "$verb" --json=yes file
done
# the environment: listed, documented, and for every verb
expect 0 "$tool" --help
variables=$(sed -n '/^environment:/,/^$/s/^  \([A-Z_]*\) .*/\1/p' "$work/out")
[ "$(echo "$variables" | wc -w)" -ge 2 ] || fail "variables missing from --help"
for variable in $(grep -rhoE 'getenv\("(INSITU|XDG)_[A-Z_]*' "$source/src" "$source/tools" | sed 's/.*"//' | sort -u); do
    echo "$variables" | grep -qx "$variable" || fail "--help does not list $variable"
done
for variable in $variables; do
    grep -q "^| .$variable. |" "$source/docs/cli.md" || fail "docs/cli.md does not know $variable"
done
other=neon
[ "$(uname -m)" = x86_64 ] || other=avx2
for verb in info check eval bench selftest export sim compress; do
    for isa in foo $other; do
        expect_error 2 env INSITU_ISA=$isa "$tool" "$verb" file
        grep -q "INSITU_ISA: .*$isa" "$work/err" || fail "$verb: $(cat "$work/err")"
    done
done
expect_error 1 env INSITU_ISA=foo "$tool" selftest --isa=scalar "$work/absent.isg"
expect_error 1 env INSITU_ISA= "$tool" selftest "$work/absent.isg"
expect_error 2 "$tool"
expect_error 2 "$tool" nonsense
expect_error 2 "$tool" info
expect_error 2 "$tool" info a b
expect_error 2 "$tool" eval file
expect_error 2 "$tool" compress model.onnx -o out.isg
expect_error 2 "$tool" compress model.onnx --ratio 0.1
expect_error 2 "$tool" compress model.onnx -o out.isg --ratio 0.1 --target-size 10k
expect_error 2 "$tool" compress model.onnx -o out.isg --bi 2 --bits 3,9,3
expect_error 2 "$tool" compress model.onnx -o out.isg --target-size 10q
expect_error 2 "$tool" train --data cifar10:x -o out.onnx
expect_error 2 "$tool" train --arch nothing --data cifar10:x -o out.onnx
expect_error 1 "$tool" info -- --no-such-file
expect_error 1 "$tool" info "$work/absent.isg"
grep -q 'absent.isg: No such file' "$work/err" || fail "the error does not name path and reason"
printf 'not a model' >"$work/text.onnx"
expect_error 4 "$tool" info "$work/text.onnx"
expect_error 4 "$tool" check "$work/text.onnx"
: >"$work/empty.isg"
expect_error 4 "$tool" info "$work/empty.isg"
finish
