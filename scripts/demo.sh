#!/usr/bin/env bash
# Trains a small looped language model on novels, on two ranks, and shows how it went. Expects
# build/rondo (make demo builds it). Everything lands in runs/demo, which is replaced.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly corpus=.deps/corpus run=runs/demo log=runs/demo/train.log
readonly -a rank_launcher=(mpirun -q --allow-run-as-root --oversubscribe --mca mpi_yield_when_idle 1 -n 2)
export OMP_NUM_THREADS=1

bold='' plain=''
if [[ -t 1 ]]; then
  bold=$'\e[1m' plain=$'\e[0m'
fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# Frames the lines of standard input; they must be ASCII.
box() {
  local -a lines
  mapfile -t lines
  local line width=0 rule
  for line in "${lines[@]}"; do
    ((${#line} > width)) && width=${#line}
  done
  printf -v rule '%*s' $((width + 2)) ''
  printf '\n┌%s┐\n' "${rule// /─}"
  for line in "${lines[@]}"; do
    printf '│ %-*s │\n' "$width" "$line"
  done
  printf '└%s┘\n' "${rule// /─}"
}

step "1/5  Text: five novels of Jane Austen to learn from, Persuasion held out"
scripts/fetch_corpus.sh "$corpus"
wc -c "$corpus"/*.txt | sed '$d'

step "2/5  Tokens: one per byte"
rm -rf "$run"
mkdir -p "$run/data"
for part in train validation; do
  build/rondo prepare --input "$corpus/$part.txt" --output "$run/data/$part" --tokenizer bytes
done

step "3/5  Training on two ranks; the layers share their blocks in a cycle"
"${rank_launcher[@]}" build/rondo train run=demo sharing=cycle data.path="$run/data/train" \
  data.validation_path="$run/data/validation" log.dir="$run" | tee "$log"

step "4/5  Held-out text, all of it (half a minute); the evaluations so far took its beginning"
checkpoint=$(find "$run" -name 'step-*.h5' | sort | tail -n 1)
result=$(build/rondo eval --checkpoint "$checkpoint" --data "$run/data/validation" | tail -n 1)
verdict=$(/usr/bin/python3 -c '
import json, sys
result = json.loads(sys.argv[1])
model, letters = result["bits_per_byte"], result["unigram_bits_per_byte"]
nats = result["loss"]
print(f"{model:.2f} bits a byte ({nats:.3f} nats); letter frequencies alone need {letters:.2f}")
' "$result")
printf '%s\n' "$verdict"

step "5/5  Picture"
scripts/plot_loss.sh "$run/metrics.jsonl" "$run/loss.png" "$run/data/validation.json"
events=$(dirname "$(find "$run" -name 'events.out.tfevents.*' | head -n 1)")

box <<END
Held-out text   $verdict
Checkpoint      $checkpoint
Metrics         $run/metrics.jsonl
Picture         $run/loss.png
TensorBoard     $events
                scripts/setup.sh reference   (once, installs it)
                .deps/python/bin/tensorboard --logdir $run
Look inside     build/rondo inspect $checkpoint
END
