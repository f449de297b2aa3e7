#!/usr/bin/env bash
# SmolLM2-135M made into 10 blocks that run 3 times, strictly and with low-rank terms, trained on a
# little, judged, and written back for transformers.
#
#   recipes/uptrain_smollm2.sh DIR [STEPS]
#
# Every command is printed before it runs. What is finished in DIR is not done again, so the script
# goes on where it was stopped. DIR/table.md has the result; 60 steps (the default) of 1024 tokens
# take two cores some four minutes for each model.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $# -lt 1 || $# -gt 2 ]]; then
  echo "usage: recipes/uptrain_smollm2.sh DIR [STEPS]" >&2
  exit 2
fi
readonly dir=$1 steps=${2:-60} rondo=${RONDO:-build/rondo}
readonly texts=(austen wikipedia kernel)
readonly -a rank_launcher=(mpirun --allow-run-as-root --oversubscribe --mca mpi_yield_when_idle 1 -n 2)
export OMP_NUM_THREADS=1

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}
convert() { # convert NAME OPTION…: from the original
  [[ -s $dir/$1/converted.h5 ]] && return
  mkdir -p "$dir/$1"
  run "$rondo" convert --from "$dir/original.h5" --to "$dir/$1/converted.h5" \
    --sharing cycle --unique 10 "${@:2}"
}
uptrain() { # uptrain NAME START OPTION…: from the model START
  [[ -s $dir/$1/trained.h5 ]] && return
  run "${rank_launcher[@]}" "$rondo" train train.init="$dir/$2/converted.h5" \
    data.path="$dir/data/train" data.sequence=256 train.steps="$steps" train.global_batch=4 \
    train.micro_batch=2 optimizer.lr=1e-3 optimizer.warmup=6 optimizer.schedule=cosine \
    log.dir="$dir/$1" "${@:3}"
  ln -f "$dir/$1/checkpoints/step-$(printf %08d "$steps").h5" "$dir/$1/trained.h5"
}
# Of the first 3 × 512 tokens of each held-out text; targets are what transformers counts too.
judge() { # judge FILE.h5
  local text
  [[ -s $1.json && $1.json -nt $1 ]] && return
  for text in "${texts[@]}"; do
    run "$rondo" eval --checkpoint "$1" --data "$dir/data/$text.held-out" \
      --sequence 511 --stride 512 --max-tokens 1533 --threads 2 | tee -a "$1.partial"
  done
  grep '^{' "$1.partial" >"$1.json"
  rm "$1.partial"
}

run recipes/fetch_smollm2.sh "$dir"
if [[ ! -s $dir/data/train.idx ]]; then
  mkdir -p "$dir/data"
  readonly tokenizer=hf:$dir/hf/tokenizer.json
  for text in "${texts[@]}"; do
    run "$rondo" prepare --input "$dir/text/$text.held-out.txt" \
      --output "$dir/data/$text.held-out" --tokenizer "$tokenizer"
  done
  inputs=("${texts[@]/#/$dir/text/}")
  run "$rondo" prepare --input "${inputs[@]/%/.txt}" --output "$dir/data/train" \
    --tokenizer "$tokenizer"
fi
[[ -s $dir/original.h5 ]] || run "$rondo" convert --from "hf:$dir/hf" --to "$dir/original.h5"
judge "$dir/original.h5"

convert stepwise --init stepwise
convert relaxed-64 --init average --norms per_layer --relax 64
convert average --init average
convert relaxed-8 --init average --norms per_layer --relax 8
convert lower --init lower
convert upper --init upper
for name in stepwise relaxed-64 average relaxed-8 lower upper; do
  judge "$dir/$name/converted.h5"
done

uptrain stepwise stepwise
uptrain relaxed-64 relaxed-64
uptrain relaxed-64-distilled relaxed-64 train.distill="$dir/original.h5"
uptrain average average
uptrain relaxed-8 relaxed-8
uptrain lower lower
uptrain upper upper
for name in stepwise relaxed-64 relaxed-64-distilled average relaxed-8 lower upper; do
  judge "$dir/$name/trained.h5"
done

run .deps/python/bin/python recipes/smollm2_table.py "$dir" "$steps" | tee "$dir/table.md"

run "$rondo" convert --from "$dir/relaxed-64-distilled/trained.h5" --to "hf:$dir/exported"
for model in original.h5 stepwise/converted.h5 relaxed-64-distilled/trained.h5; do
  run "$rondo" generate --checkpoint "$dir/$model" --prompt "It is a truth universally" --max-tokens 40
done
