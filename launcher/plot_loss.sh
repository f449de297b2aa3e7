#!/usr/bin/env bash
# Draws the loss of a run over its steps.
#
#   launcher/plot_loss.sh METRICS.jsonl OUT.png|OUT.svg
set -euo pipefail

if [[ $# -ne 2 || ! -s $1 || $2 != *.@(png|svg) ]]; then
  echo "usage: launcher/plot_loss.sh METRICS.jsonl OUT.png|OUT.svg" >&2
  exit 2
fi
metrics=$1
picture=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# train.dat: step, loss, mean over the neighbouring steps; held_out.dat: step, loss
/usr/bin/python3 - "$metrics" "$work" <<'PYTHON'
import json
import sys

with open(sys.argv[1]) as lines:
    steps = [json.loads(line) for line in lines]
steps = [step for step in steps if step["loss"] is not None]
losses = [step["loss"] for step in steps]
with open(sys.argv[2] + "/train.dat", "w") as train:
    for i, step in enumerate(steps):
        reach = min(len(steps) // 50, i, len(steps) - 1 - i)
        near = losses[i - reach : i + reach + 1]
        print(step["step"], step["loss"], sum(near) / len(near), file=train)
with open(sys.argv[2] + "/held_out.dat", "w") as held_out:
    for step in (step for step in steps if step.get("validation_loss") is not None):
        print(step["step"], step["validation_loss"], file=held_out)
PYTHON

case $picture in
  *.png) terminal="pngcairo size 1200,720 fontscale 1.15" ;;
  *.svg) terminal="svg size 1000,600 dynamic background '#ffffff'" ;;
esac
held_out=
if [[ -s $work/held_out.dat ]]; then
  held_out=", '$work/held_out.dat' with linespoints lw 2 pt 7 ps 1.1 lc rgb '#d9730d' title 'held-out text'"
fi
gnuplot <<GNUPLOT
set terminal $terminal font "DejaVu Sans"
set output '$work/picture'
set title "Loss" font ",16"
set xlabel "step"
set ylabel "nats per token"
set border 3 lc rgb '#606060'
set tics nomirror out textcolor rgb '#303030'
set grid lc rgb '#d8d8d8' lt 1 lw 0.6
set key top right spacing 1.4 samplen 2.5
set xrange [0:*] noextend
set offsets 0, 0, graph 0.05, graph 0.03
plot '$work/train.dat' using 1:2 with lines lw 1 lc rgb '#a9c6e8' title 'each step', \
     '' using 1:3 with lines lw 2.5 lc rgb '#1f5fa8' title 'mean' $held_out
GNUPLOT
mv "$work/picture" "$picture"
