"""Prints the table of perplexities of recipes/uptrain_smollm2.sh, as Markdown.

    python recipes/smollm2_table.py DIR STEPS
"""

import json
import math
import pathlib
import statistics
import sys

ROWS = {
    "stepwise": "strict, stepwise",
    "average": "strict, average",
    "lower": "strict, lower",
    "upper": "strict, upper",
    "relaxed-8": "relaxed, rank 8, SVD about the average",
    "relaxed-64": "relaxed, rank 64, SVD about the average",
    "relaxed-64-distilled": "the same, and the original as teacher",
}


def perplexities(checkpoint):
    """Of the three texts, in the order of the recipe."""
    lines = pathlib.Path(f"{checkpoint}.json").read_text().splitlines()
    return [json.loads(line)["perplexity"] for line in lines]


def number(value):
    return f"{value:.2f}" if value < 1000 else f"{value:.1e}"


def training_seconds(folder):
    """Of as many steps as there are, all like the median one: other work comes and goes."""
    seconds = [json.loads(line)["step_s"] for line in (folder / "metrics.jsonl").open()]
    return len(seconds) * statistics.median(seconds)


def main(folder, steps):
    original = perplexities(folder / "original.h5")
    print("| model | Austen | Wikipedia | kernel | minutes |\n|---|---|---|---|---|")
    print("| original | " + " | ".join(map(number, original)) + " | |")
    for name, words in ROWS.items():
        start = folder / name.removesuffix("-distilled") / "converted.h5"
        before = map(number, perplexities(start))
        after = map(number, perplexities(folder / name / "trained.h5"))
        cells = " | ".join(f"{b} → {a}" for b, a in zip(before, after))
        print(f"| {words} | {cells} | {training_seconds(folder / name) / 60:.1f} |")
    mean = [math.log(p) for p in original]
    print(f"\nPerplexities at step 0 → after {steps} steps; minutes of training, of the median step. "
          f"The original's mean loss is {sum(mean) / 3:.3f} nats.")


main(pathlib.Path(sys.argv[1]), sys.argv[2])
