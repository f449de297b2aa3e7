#!/usr/bin/env bash
# rondo against PyTorch; see README.md beside this file.
#
#   run.sh ARGUMENT…                  one and two ranks, then a pipeline of two
#   run.sh compare|pipeline|hosts|checkpoint|device|gradients|scaling …   one script; the arguments are its own
set -euo pipefail
cd "$(dirname "$0")/.."

[[ -x build/rondo && -f .deps/reference.stamp ]] ||
  { echo "needs build/rondo, PyTorch and transformers: run 'make bench' once" >&2 && exit 2; }
export TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1

bench() { # bench NAME ARGUMENT…
  .deps/python/bin/python "benchmarks/$1.py" "${@:2}"
}

case ${1:-} in
  compare | pipeline | hosts | checkpoint | device | gradients | scaling) bench "$@" ;;
  *) bench compare "$@" && echo && bench pipeline "$@" ;;
esac
