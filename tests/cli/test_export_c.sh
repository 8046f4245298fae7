# SPDX-License-Identifier: Apache-2.0
# `insitu export --c`: the C compiles without a warning as C11, C99 and C++, needs the runtime alone, has no writable data,
# reproduces the model's golden pair, gives what `insitu run` gives, and does so on 32-bit ARM too; wrong use is refused.
. "$(dirname "$0")/common.sh"

cc=$(cached CMAKE_C_COMPILER)
cxx=$(cached CMAKE_CXX_COMPILER)
sanitize=$(cached INSITU_SANITIZE)
warnings="-Wall -Wextra -Wpedantic -Werror -I$source/include"
small=$source/models/fashion-search.isg
ranged=$source/models/cifar10/resnet18-2-44-363.isg # holds the ranges of int8
cd "$work" || exit 1

PYTHONPATH=$source/tests/cli python3 -B - "$work" <<'PYTHON' || fail "making the networks"
import sys
from onnx_maker import *
array('x.npy', [1, 1, 28, 28], [i * 37 % 101 / 50 - 1 for i in range(784)])
array('rgb.npy', [1, 3, 32, 32], [((i * 7919) % 997) / 250 - 2 for i in range(3072)])
for name in 'x', 'rgb':
    data = open(f'{sys.argv[1]}/{name}.npy', 'rb').read()
    open(f'{sys.argv[1]}/{name}.txt', 'w').write('\n'.join('%.9g' % v for v in struct.unpack('<%df' % ((len(data) - 128) // 4), data[128:])))
weights = [((i * 37) % 101 - 50) / 200 for i in range(8 * 27)]
body = node('Conv', ['x', 'w'], 'a', pads()) + node('Add', ['a', 'k'], 'b') + node('Add', ['b', 'z'], 'first "out" ??/') + node('Relu', ['first "out" ??/'], 'c')
body += node('GlobalAveragePool', ['c'], 'second') + tensor('w', [8, 3, 3, 3], weights) + tensor('k', [1, 8, 6, 6], [i / 300 for i in range(288)])
save('several.onnx', body + value(11, 'x', ['N', 3, 6, 6]) + value(11, 'z', ['N', 8, 6, 6]) + value(12, 'first "out" ??/', ['N', 8, 6, 6]) + value(12, 'second', ['N', 8, 1, 1]))
save('fixed.onnx', node('Relu', ['x'], 'y') + value(11, 'x', [4, 3]) + value(12, 'y', [4, 3]))
save('wide.onnx', node('Relu', ['x'], 'y') + value(11, 'x', ['N', 16385]) + value(12, 'y', ['N', 16385]))
save('large.onnx', node('Gemm', ['x', 'g'], 'y') + tensor('g', [2048, 2304], [1.0] * (2048 * 2304)) + value(11, 'x', ['N', 2048]) + value(12, 'y', ['N', 2304]))
PYTHON

# What a user's program does: two networks in workspaces of their own, and every way to get it wrong.
cat >user.c <<'EOF2'
#include "net.h"
#include <stdio.h>

NET_ALIGNED static unsigned char one[NET_WORKSPACE_BYTES], two[NET_WORKSPACE_BYTES + 1];
static float input[NET_INPUT_FLOATS], output[NET_OUTPUT_FLOATS], again[NET_OUTPUT_FLOATS];

int main(void)
{
    const unsigned shape[NET_INPUT_RANK] = NET_INPUT_SHAPE;
    const float mean[] = NET_INPUT_MEAN, std[] = NET_INPUT_STD;
    const size_t needed = net_workspace_bytes();
    size_t i, count = 1;
    for (i = 0; i < NET_INPUT_RANK; i++) count *= shape[i];
    if (count != NET_INPUT_FLOATS || sizeof mean / sizeof *mean != shape[1] || sizeof std != sizeof mean) return 10;
    if (!needed || needed > NET_WORKSPACE_BYTES) return 11;
    if (net_run(two, input, output) != ISG_E_ARG || net_run(two + 1, input, output) != ISG_E_ARG ||
        net_run(NULL, input, output) != ISG_E_ARG)
        return 12;
    if (net_init(NULL, sizeof one) != ISG_E_WORKSPACE || net_init(two + 1, sizeof two - 1) != ISG_E_WORKSPACE ||
        net_init(two, needed - 1) != ISG_E_WORKSPACE || net_init(two, 0) != ISG_E_WORKSPACE)
        return 13;
    if (net_run(two, input, output) != ISG_E_ARG) return 14;
    if (net_init(one, sizeof one) != ISG_OK || net_init(two, needed) != ISG_OK) return 15;
    if (net_run(one, NULL, output) != ISG_E_ARG || net_run(one, input, NULL) != ISG_E_ARG) return 16;
    for (i = 0; i < NET_INPUT_FLOATS; i++)
        if (scanf("%f", &input[i]) != 1) return 17;
    if (net_run(one, input, output) != ISG_OK || net_run(two, input, again) != ISG_OK) return 18;
    for (i = 0; i < NET_OUTPUT_FLOATS; i++) {
        if (output[i] < again[i] || output[i] > again[i]) return 19;
        printf("%.9g\n", (double)output[i]);
    }
#if NET_CLASSES
    if (net_class_name(NET_CLASSES) || net_class_name(0xffffffffu)) return 20;
    for (i = 0; i < NET_CLASSES; i++) fprintf(stderr, "%s\n", net_class_name((uint32_t)i));
#endif
#ifdef EXACT
    return needed == NET_WORKSPACE_BYTES ? 0 : 21;
#else
    return 0;
#endif
}
EOF2

# compile STANDARD OUTPUT FLAGS...
compile()
{
    standard=$1
    program=$2
    shift 2
    # shellcheck disable=SC2086
    "$cc" -std="$standard" $warnings ${sanitize:+-fsanitize=$sanitize} "$@" net.c "$build/libinsitu_rt.a" -o "$program" \
        >log 2>&1 || fail "$standard: $(cat log)"
}

# written MODEL: net.c and net.h are what they should be, whatever the model.
written()
{
    for standard in c99 c11; do
        compile $standard "net-$standard" -DNET_MAIN
        compile $standard "user-$standard" -DEXACT user.c
    done
    # shellcheck disable=SC2086
    "$cxx" -std=c++17 $warnings -x c++ -include net.h -c /dev/null -o header.o >log 2>&1 || fail "C++: $(cat log)"
    # shellcheck disable=SC2086
    "$cc" -std=c99 $warnings -c net.c -o net.o >log 2>&1 || fail "object: $(cat log)"
    nm net.o >symbols || fail "nm"
    grep -i ' [bcdgsuvw] ' symbols | grep -vE ' U (isg_rt_[a-z_]*|mem(cpy|set|move|cmp)|_GLOBAL_OFFSET_TABLE_)$' >log &&
        fail "writable data or other needs: $(cat log)"
    awk 'length > 120' net.c | grep -q '^    [0-9,]*$' && fail "lines of the table above 120 columns"
    [ "$(wc -c <net.c)" -lt $(($(wc -c <"$1") * 4 + 16000)) ] || fail "more than 4 bytes of text a byte"
    sed -n '/_image\[.*= {$/,/^};/p' net.c | grep '^ ' | python3 -c 'import sys
open("table", "wb").write(bytes(int(v) for v in sys.stdin.read().replace("\n", "").split(",") if v.strip()))'
    cmp -s table "$1" || fail "the table is not the file"
}

# same INPUT MODE MODEL [RUNNER]: the program's numbers are those of insitu run, and of the same bits where the kernels are.
same()
{
    isa=--isa=scalar
    [ "$(uname -m)" = x86_64 ] || [ -n "${4:-}" ] || isa=--threads=1
    expect 0 "$tool" run "$3" "$1.npy" "$isa" --mode="$2" -o y.npy
    # shellcheck disable=SC2086
    ${4:-} ./user-c11 <"$1.txt" >got 2>names || fail "${4:-} user-c11: exit code $?"
    python3 - <<'PYTHON' || fail "$3 $2: other numbers than insitu run"
import struct, sys
data = open('y.npy', 'rb').read()
want = struct.unpack('<%df' % ((len(data) - 128) // 4), data[128:])
got = [float(line) for line in open('got')]
sys.exit([struct.pack('<f', v) for v in got] != [struct.pack('<f', v) for v in want])
PYTHON
}

# ---- float32 ----
expect 0 "$tool" export "$small" --c -o net.c
grep -q 'net.c and net.h written: 4152 B of constants as' err || fail "what it says: $(cat err)"
written "$small"
for standard in c99 c11; do
    expect 0 "./net-$standard"
    says '^ok: largest difference'
    workspace=$(sed -n 's/^workspace: \([0-9]*\) of \1 bytes$/\1/p' out)
    [ -n "$workspace" ] || fail "the workspace is not exact: $(cat out)"
done
same x f32 "$small"
cmp -s names "$source/models/fashion-mnist.classes" || fail "names of classes: $(cat names)"
for text in 'NET_INPUT_SCALE 0.00392156886f$' 'NET_INPUT_MEAN {0.286000013f}$' 'NET_INPUT_SHAPE {1, 1, 28, 28}$' \
    'NET_INPUT_NAME "input"$' 'NET_CLASSES 10$' 'NET_INPUT_BGR 0$' 'Licence of the model: Apache-2.0'; do
    grep -q "$text" net.h || fail "the header does not say $text"
done
expect 0 "$tool" info "$small" --isa=scalar --json
[ "$workspace" -eq $(($(json peak_bytes) - $(wc -c <"$small") + 64)) ] || fail "workspace: $workspace"
# the same bytes from any folder, with any number of threads
mkdir other
cp "$small" other/model.isg
(cd other && "$tool" export model.isg --c -o net.c -q --threads 3) || fail "from another folder"
cmp -s net.c other/net.c && cmp -s net.h other/net.h || fail "the same model gives other bytes"
# the header of one export does not go with the source of another
"$tool" export "$small" --c --mode=bf16 -o other/net.c -q || fail "bf16"
cp net.h other/net.h
"$cc" -I"$source/include" -c other/net.c -o other/net.o 2>log && fail "a source takes another export's header"
grep -q 'net.h was written with another file than this one' log || fail "another header: $(cat log)"
# a damaged table is told
sed 's/^    137,73,83,71,/    137,73,83,72,/' net.c >damaged.c
"$cc" -I"$source/include" ${sanitize:+-fsanitize=$sanitize} -DNET_MAIN damaged.c "$build/libinsitu_rt.a" -o damaged || fail "damaged.c"
expect 1 ./damaged
says '^failed: '
expect 0 "$tool" export "$small" --c --json --prefix=Net_2 -o net2.c
[ "$(json form)$(json prefix)$(json mode)$(json header)" = cNet_2f32net2.h ] || fail "JSON: $(cat out)"
[ "$(json workspace_bytes)" = "$workspace" ] || fail "JSON: workspace"
grep -q 'isg_status Net_2_run(' net2.h && grep -q 'define NET_2_INPUTS 1' net2.h || fail "--prefix"
# two networks in one program
"$cc" -I"$source/include" -DNET_MAIN ${sanitize:+-fsanitize=$sanitize} net.c net2.c "$build/libinsitu_rt.a" -o both || fail "two in one program"

# ---- int8 and bf16, and x86's instructions where they are asked for ----
for mode in int8 bf16; do
    expect 0 "$tool" export "$ranged" --c --mode=$mode -o net.c
    written "$ranged"
    expect 0 ./net-c11
    # plain C here gives the bits that plain C gave when the file was written
    [ "$(uname -m)" != x86_64 ] || says '^ok: largest difference 0$'
    same rgb $mode "$ranged"
done
# an output that is wrong by more than roundings is told, though the golden pair of float32 would let it pass
python3 - <<'PYTHON' || fail "wrong.c"
import re, struct
text = open('net.c').read()
table = re.search(r'net_wanted\[NET_OUT\] = {([^}]*)}', text).group(1)
values = [struct.unpack('<f', struct.pack('<I', int(bits, 16)))[0] for bits in re.findall('0x([0-9a-f]{8})u', table)]
other = '0x%08xu' % struct.unpack('<I', struct.pack('<f', values[0] + max(map(abs, values)) / 10))[0]
open('wrong.c', 'w').write(text.replace(table, re.sub('0x[0-9a-f]*u', other, table, count=1)))
PYTHON
"$cc" -I"$source/include" ${sanitize:+-fsanitize=$sanitize} -DNET_MAIN wrong.c "$build/libinsitu_rt.a" -o wrong || fail "wrong.c"
expect 1 ./wrong
says '^failed: largest difference'
for isa in avx2 avx512 avx512bf16; do
    "$tool" export "$ranged" --c --mode=int8 --isa=$isa -o net.c -q 2>log || continue
    compile c11 net-c11 -DNET_MAIN
    expect 0 ./net-c11
    compile c11 user-c11 user.c
    ./user-c11 <rgb.txt >got 2>&1 || fail "--isa=$isa"
done

# ---- several inputs and outputs, a constant tensor, names to escape, no golden pair ----
expect 0 "$tool" export several.onnx --c -o several.c
cat >two.c <<'EOF2'
#include "several.h"
#include <string.h>

SEVERAL_ALIGNED static unsigned char memory[SEVERAL_WORKSPACE_BYTES], room[SEVERAL_SELFTEST_BYTES];
static float x[SEVERAL_INPUT0_FLOATS], z[SEVERAL_INPUT1_FLOATS], a[SEVERAL_OUTPUT0_FLOATS], b[SEVERAL_OUTPUT1_FLOATS];

int main(void)
{
    size_t i;
    if (strcmp(SEVERAL_OUTPUT0_NAME, "first \"out\" ?\?/") != 0) return 1;
    for (i = 0; i < SEVERAL_INPUT1_FLOATS; i++) z[i] = 1.0f;
    if (several_init(memory, sizeof memory) != ISG_OK || several_run(memory, x, z, a, b) != ISG_OK) return 2;
    for (i = 0; i < SEVERAL_OUTPUT0_FLOATS; i++) /* the constant counts up by 1/300, and z is 1 */
        if (a[i] < 0.9999f + (float)i / 300.0f || a[i] > 1.0001f + (float)i / 300.0f) return 3;
    if (b[7] < 1.89f || b[7] > 1.91f) return 4;
    if (several_selftest(memory, sizeof memory, 0) != ISG_E_WORKSPACE) return 5;
    return several_selftest(room, sizeof room, 0) == ISG_OK ? 0 : 6;
}
EOF2
for standard in c99 c11; do
    # shellcheck disable=SC2086
    "$cc" -std=$standard $warnings ${sanitize:+-fsanitize=$sanitize} two.c several.c "$build/libinsitu_rt.a" -o two >log 2>&1 ||
        fail "several: $(cat log)"
    expect 0 ./two
done

# a batch that the network fixes stays
expect 0 "$tool" export fixed.onnx --c -o fixed.c
grep -q 'FIXED_INPUT_SHAPE {4, 3}$' fixed.h && grep -q 'unless the network itself fixes another' fixed.h || fail "a fixed batch"
# shellcheck disable=SC2086
"$cc" -std=c99 $warnings ${sanitize:+-fsanitize=$sanitize} -DFIXED_MAIN fixed.c "$build/libinsitu_rt.a" -o fixed >log 2>&1 || fail "fixed: $(cat log)"
expect 0 ./fixed
# too many outputs for a self-test
expect 0 "$tool" export wide.onnx --c -o wide.c
# shellcheck disable=SC2086
"$cc" -std=c99 $warnings ${sanitize:+-fsanitize=$sanitize} -DWIDE_MAIN wide.c "$build/libinsitu_rt.a" -o wide >log 2>&1 || fail "wide: $(cat log)"
expect 1 ./wide
says '^failed: not supported'

# ---- another machine ----
if [ -n "$sanitize" ]; then
    echo "skipped: another machine (a build with sanitizers)"
elif ! command -v arm-linux-gnueabihf-gcc >/dev/null || ! command -v qemu-arm >/dev/null; then
    echo "skipped: another machine (arm-linux-gnueabihf-gcc or qemu-arm is not installed)"
elif ! cmake -S "$source" -B arm -G "$(cached CMAKE_GENERATOR)" -DINSITU_RUNTIME_ONLY=ON -DINSITU_TESTS=OFF -DINSITU_SHARED=OFF \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=arm \
    -DCMAKE_C_COMPILER=arm-linux-gnueabihf-gcc -DCMAKE_C_COMPILER_LAUNCHER="$(cached CMAKE_C_COMPILER_LAUNCHER)" >log 2>&1 ||
    ! cmake --build arm >>log 2>&1; then
    fail "the runtime for ARM: $(tail -5 log)"
else
    for mode in f32 int8; do
        model=$small input=x
        [ $mode = f32 ] || model=$ranged input=rgb
        expect 0 "$tool" export "$model" --c --mode=$mode -o net.c
        # shellcheck disable=SC2086
        arm-linux-gnueabihf-gcc -std=c11 $warnings -DNET_MAIN net.c arm/libinsitu_rt.a -o net-arm >log 2>&1 &&
            arm-linux-gnueabihf-gcc -std=c11 $warnings user.c net.c arm/libinsitu_rt.a -o user-c11 >log 2>&1 ||
            fail "ARM: $(cat log)"
        expect 0 qemu-arm -L /usr/arm-linux-gnueabihf ./net-arm
        [ $mode = f32 ] && says '^ok: ' || says '^ok: largest difference 0$'
        same $input $mode "$model" "qemu-arm -L /usr/arm-linux-gnueabihf"
    done
fi

# ---- what is refused, with nothing left behind ----
mkdir out.d
refused 2 "$tool" export "$small" --c -o out.d/net.txt
refused 2 "$tool" export "$small" --c -o out.d/.c
refused 2 "$tool" export "$small" --c -o out.d/
refused 2 "$tool" export "$small" --c -o -
refused 2 "$tool" export "$small" --c
refused 2 "$tool" export "$small" --c -o out.d/9net.c
grep -q "prefix '9net': names in C begin with a letter" err || fail "what it says of 9net: $(cat err)"
refused 2 "$tool" export "$small" --c -o out.d/isg_net.c
refused 2 "$tool" export "$small" --c -o "out.d/n$(printf '%0100d' 0).c"
refused 2 "$tool" export "$small" --c -o "out.d/a\"b.c"
refused 2 "$tool" export "$small" --c -o out.d/net.c --prefix=a-b
refused 2 "$tool" export "$small" --c -o out.d/net.c --prefix=
refused 2 "$tool" export "$small" --c -o out.d/net.c --mode=fp8
refused 2 "$tool" export "$small" --c -o out.d/net.c --factored
refused 2 "$tool" export "$small" --c -o out.d/net.c --shape=input=1x1x28x28
refused 2 "$tool" export "$small" -o out.d/net.onnx --mode=int8
refused 2 "$tool" export "$small" -o out.d/net.onnx --prefix=net
refused 3 "$tool" export "$small" --c -o out.d/net.c --mode=int8
refused 1 "$tool" export large.onnx --c -o out.d/net.c
grep -q 'more than 16777216 are not written as C' err || fail "a large model: $(cat err)"
refused 1 "$tool" export "$small" --c -o absent/net.c
refused 1 "$tool" export absent.isg --c -o out.d/net.c
head -c 1000 "$small" >short.isg
refused 4 "$tool" export short.isg --c -o out.d/net.c
# never over the input, by whichever name
cp "$small" in.h
cp "$small" self.c
ln -s in.h link.isg
for input in in.h link.isg; do refused 2 "$tool" export $input --c -o in.c; done
refused 2 "$tool" export self.c --c -o self.c
cmp -s in.h "$small" && cmp -s self.c "$small" && [ ! -e in.c ] || fail "an input was replaced"
# neither file without the other
mkdir -p out2.d/net.h
expect_error 1 "$tool" export "$small" --c -o out2.d/net.c
[ "$(ls -A out2.d)" = net.h ] || fail "left behind: $(ls -A out2.d)"
# no room for the source, which is the longer, shows before the header has its name
mkdir out3.d
expect_error 1 sh -c 'trap "" XFSZ; ulimit -f 16; exec "$@"' sh "$tool" export "$small" --c -o out3.d/net.c
[ -z "$(ls -A out3.d)" ] || fail "left behind: $(ls -A out3.d)"
finish
