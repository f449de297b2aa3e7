#!/usr/bin/env bash
# Runs each fuzzer of build-asan/ from its corpus, as many at a time as there are cores.
#
#   scripts/fuzz.sh [SECONDS] [FUZZER…]       scripts/fuzz.sh 1800 config_toml
#
# SECONDS each, 10 without. New inputs that reach more code go into build-asan/corpus/; an input that
# shows a fault goes into build-asan/, is named, and makes the exit code 1.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly seconds=${1:-10}
shift || true
readonly build=build-asan

# LibTorch and HDF5 keep memory until the process ends, and a parser may fail to get what it asks for.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
# Parsers that open files read them from memory.
export TMPDIR=/dev/shm
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

fuzz() { # fuzz NAME
  local name=$1 log=$build/$1.log
  mkdir -p "$build/corpus/$name"
  if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=6000 -timeout=60 -rss_limit_mb=3000 \
    -artifact_prefix="$build/$name-" "$build/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
    printf '%-22s %s\n' "$name" "$(grep -E '^Done' "$log")"
  else
    printf '%-22s FAILED: %s\n' "$name" "$(grep -E 'ERROR|runtime error|Test unit written' "$log" | tr '\n' ' ')"
    return 1
  fi
}
export -f fuzz
export seconds build

[ $# -gt 0 ] || set -- $(basename -a tests/fuzz/corpus/*)
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'fuzz {}'
