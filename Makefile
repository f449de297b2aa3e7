# The front door. Each target is enough by itself on a bare Debian 12 machine with git and make.
.DEFAULT_GOAL := help
.PHONY: help demo build test format tidy fuzz bench bench-hosts clean

# Lets ccache work together with the precompiled header of LibTorch.
export CCACHE_SLOPPINESS := pch_defines,time_macros
compile := cmake --preset release > /dev/null && cmake --build build -j "$$(nproc)"
sources = $(shell git ls-files '*.cpp' '*.h')

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: ## trains a small looped model on novels and shows how it went
	@scripts/setup.sh build
	@$(compile) --target rondo
	@scripts/demo.sh

build: ## installs what is missing and compiles build/rondo
	@scripts/setup.sh build
	@$(compile)

# One more at a time than there are cores: ranks and job scripts wait for a third of their time.
test: ## builds and runs every test
	@scripts/setup.sh build reference
	@$(compile)
	@ctest --test-dir build -j "$$(($$(nproc) + 1))" --output-on-failure

format: ## rewrites the sources in the house style
	@scripts/setup.sh reference
	@clang-format -i $(sources)

tidy: ## clang-tidy over the sources (minutes)
	@scripts/setup.sh build reference
	@cmake --preset tidy > /dev/null && \
	  cmake --build build-tidy --target model/CMakeFiles/rondo_model.dir/cmake_pch.hxx.pch > /dev/null
	@run-clang-tidy -quiet -p build-tidy -j "$$(nproc)" '^$(CURDIR)/(build-tidy/)?(base|model|data|distributed|checkpoint|training|launcher)/' \
	  > build-tidy/tidy.log 2>&1 || { grep -A 4 -E '(warning|error):' build-tidy/tidy.log; exit 1; }

fuzz: ## fuzzers of the parsers of others' files, SECONDS=10 each
	@scripts/setup.sh build reference
	@cmake --preset asan > /dev/null && cmake --build build-asan -j "$$(nproc)" --target fuzzers
	@scripts/fuzz.sh $(or $(SECONDS),10)

bench: ## scaling and peer benchmarks
	@scripts/setup.sh build reference
	@$(compile)
	@benchmarks/run.sh

bench-hosts: ## two hosts behind a slow link, made of network namespaces (root)
	@scripts/setup.sh build reference
	@$(compile)
	@benchmarks/run.sh hosts

clean: ## removes the build folders; what was set up in .deps stays
	@rm -rf build build-asan build-cuda build-tidy
