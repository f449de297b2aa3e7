#!/usr/bin/env bash
# Draws the loss of a run over its steps, in nats per token. With the PREFIX.json of the run's
# tokens it is in bits per byte, beside what the frequencies of single bytes alone would give.
#
#   scripts/plot_loss.sh METRICS.jsonl OUT.png|OUT.svg [PREFIX.json]
set -euo pipefail

if [[ $# -lt 2 || $# -gt 3 || ! -s $1 || $2 != *.@(png|svg) ]]; then
  echo "usage: scripts/plot_loss.sh METRICS.jsonl OUT.png|OUT.svg [PREFIX.json]" >&2
  exit 2
fi
metrics=$1
picture=$2
info=${3:-}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# train.dat: step, loss, mean over the neighbouring steps; held_out.dat: step, loss; unigram: the
# entropy of the text's bytes, where it is known
/usr/bin/python3 - "$metrics" "$work" "$info" <<'PYTHON'
import json
import math
import sys

metrics, work, info = sys.argv[1:]


def read(path, what, parse):
    """parse(file); a file that is no `what` ends in one line."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file)
    except OSError as error:
        sys.exit(f"plot_loss.sh: {path}: {error.strerror}")
    except (ValueError, KeyError, TypeError):
        sys.exit(f"plot_loss.sh: {path} is no {what}")


def parse_steps(file):
    steps = [json.loads(line) for line in file]
    return [(step["step"], step["loss"], step.get("validation_loss"))
            for step in steps if step["loss"] is not None]


def parse_info(file):
    text = json.load(file)
    return text["tokens"] / text["bytes"] / math.log(2), text["unigram_entropy"]


steps = read(metrics, "metrics.jsonl of a run", parse_steps)
if not steps:
    sys.exit(f"plot_loss.sh: {metrics} has no step with a loss")
scale = 1.0
if info:
    scale, unigram = read(info, "PREFIX.json of a corpus", parse_info)
    with open(work + "/unigram", "w") as file:
        print(f"{unigram:.2f}", file=file)
losses = [scale * loss for _, loss, _ in steps]
with open(work + "/train.dat", "w") as file:
    for i, (step, _, _) in enumerate(steps):
        reach = min(len(steps) // 50, i, len(steps) - 1 - i)
        near = losses[i - reach : i + reach + 1]
        print(step, losses[i], sum(near) / len(near), file=file)
with open(work + "/held_out.dat", "w") as file:
    for step, _, held_out in steps:
        if held_out is not None:
            print(step, scale * held_out, file=file)
PYTHON

case $picture in
  *.png) terminal="pngcairo size 1200,720 fontscale 1.15" ;;
  *.svg) terminal="svg size 1000,600 dynamic background '#ffffff'" ;;
esac
held_out=
if [[ -s $work/held_out.dat ]]; then
  held_out=", '$work/held_out.dat' with linespoints lw 2 pt 7 ps 1.1 lc rgb '#d9730d' title 'held-out text'"
fi
unit="nats per token"
unigram=
if [[ -s $work/unigram ]]; then
  unit="bits per byte"
  bits=$(<"$work/unigram")
  unigram=", $bits with lines dt 2 lw 1.5 lc rgb '#606060' title 'letter frequencies alone, $bits'"
fi
gnuplot <<GNUPLOT
set terminal $terminal font "DejaVu Sans"
set output '$work/picture'
set title "Loss" font ",16"
set xlabel "step"
set ylabel "$unit"
set border 3 lc rgb '#606060'
set tics nomirror out textcolor rgb '#303030'
set grid lc rgb '#d8d8d8' lt 1 lw 0.6
set key top right spacing 1.4 samplen 2.5
set xrange [0:*] noextend
set offsets 0, 0, graph 0.05, graph 0.03
plot '$work/train.dat' using 1:2 with lines lw 1 lc rgb '#a9c6e8' title 'each step', \
     '' using 1:3 with lines lw 2.5 lc rgb '#1f5fa8' title 'mean' $held_out $unigram
GNUPLOT
mv "$work/picture" "$picture"
