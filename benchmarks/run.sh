#!/usr/bin/env bash
# rondo against PyTorch + transformers; see README.md beside this file. Arguments go to compare.py.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ -x build/rondo && -f .deps/reference.stamp ]] ||
  { echo "needs build/rondo, PyTorch and transformers: run 'make bench' once" >&2 && exit 2; }
export TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1
exec .deps/python/bin/python benchmarks/compare.py "$@"
