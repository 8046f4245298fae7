# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` gives to those who come after: libraries, pkg-config, the CMake package, headers, the examples in
# every way that examples/README.md names, the Python module, completions, the manual page. DESTDIR and a moved folder.
. "$(dirname "$0")/common.sh"

cc=$(cached CMAKE_C_COMPILER)
cxx=$(cached CMAKE_CXX_COMPILER)
sanitize=$(cached INSITU_SANITIZE)
flags="-Wall -Wextra -Wpedantic -Werror${sanitize:+ -fsanitize=$sanitize}"
model=$source/models/fashion-search.isg
verbs=$("$tool" --help | sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')
DESTDIR=$work/root cmake --install "$build" --prefix /opt/insitu >"$work/log" 2>&1 || {
    fail "install: $(cat "$work/log")"
    finish
}
grep -rlIF "$work" "$work/root" && fail "these installed files name the folder that they were installed into"
make -n -C "$source" install BUILD="$build" PREFIX="/opt/a b" 2>&1 | grep -q -- '--prefix "/opt/a b"$' ||
    fail "make install cuts a PREFIX at its space"
# moved: nothing may depend on where it was installed
mv "$work/root/opt/insitu" "$work/moved"
prefix=$work/moved
lib=$prefix/$(cached CMAKE_INSTALL_LIBDIR)
export PKG_CONFIG_PATH="$lib/pkgconfig"

for file in "$prefix/bin/insitu" "$lib/libinsitu.a" "$lib/libinsitu_rt.a" "$prefix/include/insitu/rt.h" \
    "$prefix/share/insitu/profiles" "$prefix/share/man/man1/insitu.1" \
    "$prefix/share/bash-completion/completions/insitu" "$prefix/share/zsh/site-functions/_insitu" \
    "$prefix/share/fish/vendor_completions.d/insitu.fish"; do
    [ -e "$file" ] || fail "${file#"$prefix"/} is not installed"
done
expect 0 "$prefix/bin/insitu" sim --list
says digital22_hbm2

# ---- the shared runtime: its name, and that it exports what the headers declare and nothing else ----
abi=$(sed -n 's/^#define ISG_ABI_VERSION //p' "$source/include/insitu/version.h")
version=$(sed -n 's/^#define ISG_VERSION_STRING "\(.*\)"/\1/p' "$source/include/insitu/version.h")
dynamic=""
if [ "$(cached INSITU_SHARED)" = ON ]; then
    dynamic=$lib/libinsitu_rt.so.$abi
    export LD_LIBRARY_PATH="$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    readelf -d "$dynamic" | grep -q "SONAME.*\[libinsitu_rt.so.$abi\]" || fail "the shared library has another SONAME"
    nm -D --defined-only "$dynamic" | awk '{print $3}' | sort >"$work/exported"
    # of what the headers name, the static library's own (comments name functions of the other library too)
    nm -g --defined-only "$lib/libinsitu_rt.a" | awk '$2 == "T" {print $3}' | grep '^isg_' | sort >"$work/defined"
    grep -ohE 'isg_[a-z_]+\(' "$prefix/include/insitu/rt.h" "$prefix/include/insitu/status.h" | tr -d '(' | sort -u |
        comm -12 - "$work/defined" >"$work/declared"
    cmp -s "$work/defined" "$work/declared" || fail "not declared: $(comm -23 "$work/defined" "$work/declared")"
    cmp -s "$work/exported" "$work/declared" || fail "exported: $(diff "$work/exported" "$work/declared")"
    nm -D --undefined-only "$dynamic" | awk '{print $2}' | sed 's/@.*//' |
        grep -vE '^(memcpy|memmove|memset|memcmp|getauxval|_ITM_.*|__cxa_finalize|__gmon_start__)$' >"$work/needed" &&
        [ -z "$sanitize" ] && fail "the shared library needs $(tr '\n' ' ' <"$work/needed")"
else
    echo "skipped: the shared library (INSITU_SHARED is off)"
fi

# ---- one input for the examples, the module and the tool ----
python3 - "$work" <<'EOF' || fail "writing the input"
import struct, sys
values = [i * 37 % 101 / 50 - 1 for i in range(784)]
header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 28, 28), }"
header += b" " * (117 - len(header)) + b"\n"
with open(sys.argv[1] + "/x.npy", "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<784f", *values))
with open(sys.argv[1] + "/x.f32", "wb") as f:
    f.write(struct.pack("=784f", *values))
with open(sys.argv[1] + "/nan.f32", "wb") as f:
    f.write(struct.pack("=784f", *[float("nan")] * 784))
EOF
expect 0 "$tool" run "$model" "$work/x.npy" --threads 1
sed 1d "$work/out" >"$work/classes"
[ "$(wc -l <"$work/classes")" -eq 5 ] || fail "insitu run shows no five classes"
head -c 1000 "$model" >"$work/short.isg"

# examples FOLDER: those built there do what the tool does.
examples()
{
    expect 0 "$1/classify" "$model" "$work/x.f32"
    cmp -s "$work/out" "$work/classes" || fail "$1/classify: $(cat "$work/out"), and insitu run: $(cat "$work/classes")"
    expect 0 "$1/classify" "$model"
    [ "$(wc -l <"$work/out")" -eq 5 ] || fail "$1/classify with the golden input: $(cat "$work/out")"
    expect 0 "$1/threads" "$model" 3
    says '^3 threads: the same bits as one$'
    expect 1 "$1/classify" "$work/short.isg"
    expect 1 "$1/classify" "$model" "$model"
    expect 1 "$1/classify" "$model" "$work/nan.f32"
    [ -s "$work/out" ] && fail "$1/classify ranks what is no number: $(cat "$work/out")"
    expect 1 "$1/classify" "$work/absent.isg"
    expect 1 "$1/threads" "$work/short.isg"
    expect 2 "$1/threads" "$model" 0
}

# compile FOLDER FLAGS...: both examples by hand.
compile()
{
    folder=$1
    shift
    mkdir -p "$folder"
    for name in classify threads; do
        # shellcheck disable=SC2086
        "$cc" -std=c11 $flags "$source/examples/$name.c" -o "$folder/$name" "$@" -pthread >"$work/log" 2>&1 ||
            fail "$folder/$name: $(cat "$work/log")"
    done
    examples "$folder"
}

# ---- every header as C++17, and the whole library ----
cat >"$work/all.cc" <<'EOF'
#include <insitu/insitu.h>
#include <cstdio>
int main(int, char **argv)
{
    isg_model *model = nullptr;
    isg_error err = {};
    if (isg_model_open(&model, argv[1], &err) != ISG_OK) return 1;
    std::printf("%s %u\n", ISG_VERSION_STRING, isg_rt_input_count(isg_model_rt(model)));
    isg_model_close(model);
    return 0;
}
EOF
if command -v pkg-config >/dev/null; then
    for package in insitu insitu-rt; do
        [ "$(pkg-config --modversion $package)" = "$version" ] || fail "$package.pc has another version"
    done
    # shellcheck disable=SC2046
    if [ -n "$dynamic" ]; then
        compile "$work/by-pc" $(pkg-config --cflags --libs insitu-rt)
        readelf -d "$work/by-pc/classify" | grep -q "NEEDED.*libinsitu_rt.so.$abi" ||
            fail "pkg-config does not give the shared library"
    fi
    # shellcheck disable=SC2046
    compile "$work/by-pc-static" $(pkg-config --cflags insitu-rt) "-L$lib" -l:libinsitu_rt.a
    for way in "" --static; do
        # shellcheck disable=SC2046,SC2086
        "$cxx" -std=c++17 $flags "$work/all.cc" -o "$work/all" $(pkg-config $way --cflags --libs insitu) >"$work/log" 2>&1 ||
            fail "pkg-config $way insitu: $(cat "$work/log")"
        expect 0 "$work/all" "$model"
        says "^$version 1\$"
    done
else
    echo "skipped: pkg-config (not installed)"
fi

# ---- the CMake package ----
# by_cmake SOURCE FOLDER: configured and built against the installation.
by_cmake()
{
    cmake -S "$1" -B "$2" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" \
        -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" -DEXAMPLES="$source/examples" >"$work/log" 2>&1 &&
        cmake --build "$2" >>"$work/log" 2>&1 || fail "find_package in $1: $(cat "$work/log")"
}
mkdir "$work/whole"
cat >"$work/whole/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.20)
project(whole LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(insitu 9 QUIET)
if(insitu_FOUND)
  message(FATAL_ERROR "another major version is accepted")
endif()
find_package(insitu 0.1 REQUIRED)
add_executable(whole ../all.cc)
target_link_libraries(whole PRIVATE insitu::insitu)
if(TARGET insitu::rt_shared)
  add_executable(classify ${EXAMPLES}/classify.c)
  target_link_libraries(classify PRIVATE insitu::rt_shared)
endif()
EOF
by_cmake "$source/examples" "$work/by-cmake"
examples "$work/by-cmake"
by_cmake "$work/whole" "$work/by-cmake-whole"
expect 0 "$work/by-cmake-whole/whole" "$model"
says "^$version 1\$"
[ -z "$dynamic" ] || expect 0 "$work/by-cmake-whole/classify" "$model"

# the runtime alone: what it would install, without building it again
cmake -S "$source" -B "$work/runtime" -DINSITU_RUNTIME_ONLY=ON -DINSITU_TESTS=OFF -DCMAKE_C_COMPILER="$cc" \
    >"$work/log" 2>&1 || fail "INSITU_RUNTIME_ONLY: $(cat "$work/log")"
for file in libinsitu_rt.a insitu-rt.pc insitu-config.cmake insitu-config-version.cmake insitu-rt-targets.cmake; do
    grep -qF "/$file\"" "$work/runtime/cmake_install.cmake" || fail "INSITU_RUNTIME_ONLY does not install $file"
done

# ---- plain cc, from the build folder ----
compile "$work/by-cc" "-I$source/include" "$build/libinsitu_rt.a"

# ---- Python ----
cat >"$work/module.py" <<'EOF'
import array
import ctypes
import sys
import insitu
path, work, abi = sys.argv[1:]
assert insitu.ABI == int(abi)
with open(work + "/x.f32", "rb") as f:
    x = array.array("f", f.read())
model = insitu.Model(path)
assert model.inputs == [("input", (1, 1, 28, 28))], model.inputs
assert [shape for _, shape in model.outputs] == [(1, 10)], model.outputs
assert model.memory["workspace_bytes"] > 0
scores, = model.run(x)
order = sorted(range(10), key=lambda i: -scores[i])
with open(work + "/classes") as f:
    for rank, line in enumerate(f):
        index, score = line.split()[:2]
        assert order[rank] == int(index) and f"{scores[order[rank]]:.6g}" == score, line
for same in (list(x), memoryview(x), (ctypes.c_float * 784)(*x)):
    assert model.run(same)[0] == scores
with open(path, "rb") as f:
    assert insitu.Model(f.read()).run(x)[0] == scores
pair = insitu.Model(path, batch=2)
assert pair.inputs[0][1] == (2, 1, 28, 28) and len(pair.run(x + x)[0]) == 20
try:
    import numpy
    rows = numpy.array(x).reshape(1, 1, 28, 28).astype(float)
    assert model.run(rows)[0].shape == (1, 10) and model.run(rows)[0].ravel().tolist() == scores.tolist()
except ImportError:
    print("skipped: numpy (not installed)")
for wrong, kind in ((lambda: model.run(x[1:]), ValueError), (lambda: model.run(), ValueError),
                    (lambda: model.run(b"1234"), ValueError), (lambda: insitu.Model(path, mode="f16"), ValueError),
                    (lambda: insitu.Model(path, batch=0), ValueError), (lambda: insitu.Model(path, batch=-1), ValueError),
                    (lambda: insitu.Model(path, mode="int8"), insitu.InsituError),
                    (lambda: insitu.Model(b"no model" * 20), insitu.InsituError),
                    (lambda: insitu.Model(work + "/absent.isg"), OSError)):
    try:
        wrong()
    except kind:
        continue
    raise AssertionError(f"no {kind}")
EOF
if [ -z "$dynamic" ] || [ -n "$sanitize" ]; then
    echo "skipped: the Python module (it wants a shared library without sanitizers)"
elif ! command -v python3 >/dev/null; then
    echo "skipped: the Python module (python3 is not installed)"
else
    INSITU_RT_LIBRARY=$dynamic PYTHONPATH=$source/bindings/python python3 -B "$work/module.py" "$model" "$work" "$abi" \
        >"$work/out" 2>&1 || fail "the Python module: $(cat "$work/out")"
    grep skipped "$work/out"
fi

# ---- completions: what the tool prints is what is installed ----
for shell in bash zsh fish; do
    expect 0 "$tool" completion $shell
    cp "$work/out" "$work/$shell"
done
cmp -s "$work/bash" "$prefix/share/bash-completion/completions/insitu" || fail "another bash completion is installed"
cmp -s "$work/zsh" "$prefix/share/zsh/site-functions/_insitu" || fail "another zsh completion is installed"
cmp -s "$work/fish" "$prefix/share/fish/vendor_completions.d/insitu.fish" || fail "another fish completion is installed"
expect_error 2 "$tool" completion
expect_error 2 "$tool" completion csh
expect_error 2 "$tool" completion bash zsh
expect_error 2 "$tool" completion bash --json
# each option that --help lists is in all three, with a value where it takes one
for verb in $verbs; do
    "$tool" "$verb" --help | sed -n 's/^  \(-[A-Za-z],\|   \) \(--[a-z0-9-]*=\{0,1\}\).*/\2/p' >"$work/listed"
    [ "$(wc -l <"$work/listed")" -ge 7 ] || fail "$verb --help lists too few options"
    sed -n "/^        $verb)\$/,/options=/s/^ *options='\(.*\)'/\1/p" "$work/bash" | tr ' ' '\n' >"$work/bash.options"
    sed -n "/^    $verb)\$/,/^        ;;/p" "$work/zsh" | sed -n "s/^ .*[',*]\(--[a-z0-9-]*=\{0,1\}\)[}[].*/\1/p" >"$work/zsh.options"
    sed -n "s/^complete -c insitu -n '__insitu_verb $verb' -l \([a-z0-9-]*\)\( -s .\)\{0,1\} \(-[rx]\)\{0,1\}.*/--\1\3/p" \
        "$work/fish" | sed 's/-[rx]$/=/' >"$work/fish.options"
    for shell in bash zsh fish; do
        cmp -s "$work/listed" "$work/$shell.options" ||
            fail "$shell: options of $verb: $(diff "$work/listed" "$work/$shell.options")"
    done
done

# bash as it would be asked: a line with what is expected, a line with the words
cat >"$work/questions" <<'EOF'
run report
insitu r
selftest
insitu selft
--help
insitu --he
f32 int8 bf16
insitu run --mode ''
f32 int8 bf16
insitu run --mode =
int8
insitu run --mode = i
--mode=int8
insitu run --mode=i
auto
insitu eval x.isg --threads 2 --strategy a
--mode= --max-memory=
insitu run --m
--quiet
insitu info --qu
cpu cuda reference
insitu train --device ''
8 32
insitu compress --activations ''
file one.isg folder
insitu run f
file one.isg
insitu run -o fi
folder
insitu run --dump f
--dump=folder
insitu run --dump=f

insitu run --top ''

insitu run --top f
file one.isg folder
insitu eval --data cifar10 : f
bash zsh fish
insitu completion ''

insitu nonsense ''
EOF
cat >"$work/ask" <<'EOF'
. "$1"
complete -p insitu >/dev/null || echo "no completion"
while IFS= read -r expected && read -r line; do
    eval "COMP_WORDS=($line)"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _insitu
    # files come in any order
    [[ $line == *f ]] && mapfile -t COMPREPLY < <(printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort)
    [[ "${COMPREPLY[*]}" == "$expected" ]] || echo "$line: '${COMPREPLY[*]}' instead of '$expected'"
done <"$2"
EOF
if command -v bash >/dev/null; then
    bash -n "$work/bash" || fail "bash completion: syntax"
    mkdir -p "$work/here/folder"
    : >"$work/here/file one.isg"
    (cd "$work/here" && bash "$work/ask" "$work/bash" "$work/questions") >"$work/out" 2>&1
    [ -s "$work/out" ] && fail "bash completion: $(cat "$work/out")"
else
    echo "skipped: bash is not asked for completions (not installed)"
fi
for shell in zsh fish; do
    if ! command -v $shell >/dev/null; then
        echo "skipped: $shell does not read its completions (not installed)"
    elif ! $shell -n "$work/$shell"; then
        fail "$shell completion: syntax"
    fi
done

# ---- the manual page ----
page=$prefix/share/man/man1/insitu.1
for heading in NAME SYNOPSIS DESCRIPTION VERBS 'COMMON OPTIONS' 'EXIT STATUS' ENVIRONMENT EXAMPLES; do
    grep -qx ".SH $heading" "$page" || fail "insitu.1 has no $heading"
done
for verb in $verbs; do
    grep -qx ".SS $verb" "$page" || fail "insitu.1 does not know $verb"
    "$tool" "$verb" --help | sed -n '/^options:/,/^common/s/^  \(-[A-Za-z],\|   \) \(--[^ ]*\).*/\2/p' >"$work/listed"
    sed -n "/^\.SS $verb\$/,/^\.S[SH]/s/^\.B \(\\\\-[A-Za-z], \)\{0,1\}\(\\\\-\\\\-.*\)/\2/p" "$page" |
        tr -d '\\' >"$work/described"
    cmp -s "$work/listed" "$work/described" || fail "insitu.1: $verb: $(diff "$work/listed" "$work/described")"
done
for code in 0 1 2 3 4 5 130; do
    grep -qx ".B $code" "$page" || fail "insitu.1 does not know exit status $code"
done
if command -v groff >/dev/null; then
    groff -man -ww -z "$page" 2>"$work/log"
    [ -s "$work/log" ] && fail "insitu.1: $(cat "$work/log")"
else
    echo "skipped: insitu.1 is not formatted (no groff)"
fi
finish
