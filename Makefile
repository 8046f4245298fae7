# SPDX-License-Identifier: Apache-2.0
# A thin front over CMake. `make demo` and `make test` also install missing Debian packages.
JOBS ?= $(shell nproc)
BUILD ?= build

.PHONY: all deps build demo reproduce test cross bench fuzz install format clean
all: build

deps:
	@scripts/install-deps

build:
	@[ -f $(BUILD)/build.ninja ] || cmake --preset release -B $(BUILD) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

demo: deps build
	@scripts/demo $(BUILD)

# The tables of docs/results.md again; most of a day on two free cores, days on busy ones: see docs/reproduce.md (make reproduce ONLY=fig5a, LIST=1).
reproduce: deps build
	@scripts/reproduce --build $(BUILD) $(if $(LIST),--list) $(addprefix --only=,$(ONLY))

test: deps
	@scripts/test

# The runtime on other machines, under emulators: docs/portability.md.
cross:
	@scripts/cross

bench: deps build
	@scripts/bench $(BUILD)

# Longer fuzzing, by hand: make fuzz SECONDS=600
SECONDS ?= 300
fuzz: deps
	@cmake --preset fuzz -DINSITU_FUZZ_SECONDS=$(SECONDS) >/dev/null
	@cmake --build build-fuzz -j $(JOBS)
	@ctest --test-dir build-fuzz -j $(JOBS) --output-on-failure

# make install PREFIX=/opt/insitu DESTDIR=...; without PREFIX /usr/local.
install: build
	cmake --install $(BUILD) $(if $(PREFIX),--prefix "$(PREFIX)")

format:
	git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build build-asan build-ubsan build-debug build-fuzz
