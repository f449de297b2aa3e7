#!/usr/bin/env bash
# rondo against PyTorch + transformers; see README.md beside this file. Expects build/rondo and the
# reference wheels (make bench sees to both). Arguments go to compare.py: --quick, --case, --rounds.
set -euo pipefail
cd "$(dirname "$0")/.."
export TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1
exec .deps/python/bin/python benchmarks/compare.py "$@"
