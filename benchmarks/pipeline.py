"""A pipeline of two ranks: rondo where the sharing map decides, with copies, and PyTorch's.

All train the same shared-layer Llama from the same weights on the same tokens, with one thread a
rank. They take turns, so that whatever else the machine does hits all. Prints a table of medians,
checks that all computed the same losses, and writes build/bench-pipeline.json. See README.md
beside this file.
"""

import os
import sys
import tempfile
from pathlib import Path

import sides
from sides import Case

peer = sides.root / "benchmarks" / "pipeline_peer.py"
ranks = 2
common = {"micro_batch": 1, "rows": 4, "unique": 4}
cases = [
    Case("small", 256, 704, heads=4, kv_heads=2, vocab=4096, depth=16, steps=8, **common),
    Case("wide", 512, 1408, heads=8, kv_heads=4, vocab=8192, depth=16, steps=5, **common),
]


def rondo(**distributed):
    words = {"pipeline": ranks, "passes": "auto", "schedule": "auto", "zero": 1} | distributed
    extra = [f"distributed.{key}={value}" for key, value in words.items()]
    return lambda case, folder: sides.run_rondo(case, ranks, folder, extra)


def torch_pipelining(passes_of):
    return lambda case, folder: sides.run_peer(
        peer, case, ranks, folder, ["--passes", passes_of(case)]
    )


contenders = {
    "rondo, loop": rondo(route="loop"),
    "rondo, auto": rondo(route="auto"),
    "rondo, contiguous": rondo(route="contiguous"),
    "peer, 1F1B": torch_pipelining(lambda case: 1),
}
# What the peer does when its user places the layers as rondo would.
placed_by_hand = {"peer, loop by hand": torch_pipelining(lambda case: case.depth // case.unique)}
reference = "peer, 1F1B"

heading = (
    "                               of the peer   peak MB  of the peer   MB sent a step\n"
    "case   side                tokens/s   ratio   of a rank   ratio    activ. reduce gather"
)


def line(case, name, rounds, reference_rounds):
    seconds, base = sides.median_seconds(rounds), sides.median_seconds(reference_rounds)
    peak, base_peak = sides.peak_mb(rounds), sides.peak_mb(reference_rounds)
    sent = [rounds[0].sent_bytes.get(kind, 0) / 1e6 for kind in ("activation", "reduce", "gather")]
    return (
        f"{case.name:6} {name:20} {case.tokens(ranks) / seconds:7.0f} {base / seconds:7.2f} "
        f"{peak:11.0f} {peak / base_peak:7.2f}   {sent[0]:7.1f} {sent[1]:6.1f} {sent[2]:6.1f}"
    )


def compare(case, chosen, folder):
    """Runs all sides in turn."""
    sides.write_tokens(folder / "tokens", case, ranks)
    sides.write_weights(folder, case)
    running = contenders | (placed_by_hand if chosen.by_hand else {})
    rounds = {name: [] for name in running}
    for _ in range(chosen.rounds):
        for name, start in running.items():
            rounds[name].append(start(case, folder))
    for name in running:
        print(line(case, name, rounds[name], rounds[reference]), flush=True)
    return rounds


def options():
    parser = sides.Parser(description=__doc__.partition("\n")[0])
    names = [case.name for case in cases]
    parser.add_argument("--case", choices=names, action="append", help="only this size")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--quick", action="store_true", help="the small size, one round")
    parser.add_argument(
        "--by-hand", action="store_true", help="also the peer with its layers placed in a loop"
    )
    parser.add_argument("--json", default=sides.root / "build" / "bench-pipeline.json")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    if chosen.quick:
        chosen.case, chosen.rounds = ["small"], 1
    return chosen


def main():
    chosen = options()
    about = sides.machine()
    print(f"A pipeline of {ranks} ranks. {sides.machine_line(about)}")
    print(f"float32, one thread a rank; rounds of each side, in turn: {chosen.rounds}\n\n{heading}")
    results = {}
    for case in cases:
        if chosen.case and case.name not in chosen.case:
            continue
        with tempfile.TemporaryDirectory(prefix="rondo-bench-") as name:
            results[case.name] = compare(case, chosen, Path(name))
    print("\nLosses of the first steps:")
    for name, rounds in results.items():
        print(f"{name}\n{sides.losses({side: runs[0] for side, runs in rounds.items()})}")
    sides.write_json(chosen.json, {"machine": about, "cases": results})
    print(f"\nwrote {os.path.relpath(chosen.json)}")
    firsts = ([runs[0] for runs in rounds.values()] for rounds in results.values())
    if any(sides.loss_difference(first) > sides.tolerance for first in firsts):
        sys.exit("the sides do not compute the same thing")


if __name__ == "__main__":
    main()
