"""rondo against PyTorch + transformers on the same shared model, side by side in one run.

Both start from the same weights and read the same tokens; each rank computes with one thread. The
two take turns, so that whatever else the machine does hits both. Prints a table of medians, checks
that both computed the same losses, and writes build/bench.json. See README.md beside this file.
"""

import os
import sys
import tempfile
from pathlib import Path

import sides
from sides import Case

peer = sides.root / "benchmarks" / "peer.py"
cases = [
    Case("small", 256, 704, heads=4, kv_heads=2, vocab=4096, depth=8, unique=4, steps=12),
    Case("wide", 512, 1408, heads=8, kv_heads=4, vocab=8192, depth=12, unique=4, steps=6),
]
rank_counts = (1, 2)


def compare(case, ranks, chosen, folder):
    """Runs both sides in turn and returns a row of the table, with every number it came from."""
    extra = ["--compile"] if chosen.compile else []
    ours, theirs = [], []
    for _ in range(chosen.rounds):
        ours.append(sides.run_rondo(case, ranks, folder))
        theirs.append(sides.run_peer(peer, case, ranks, folder, extra))
    speed = [case.tokens(ranks) / sides.median_seconds(side) for side in (ours, theirs)]
    peak_mb = [sides.peak_mb(side) for side in (ours, theirs)]
    ratios = [b.seconds() / a.seconds() for a, b in zip(ours, theirs)]
    return {
        "case": case.name,
        "ranks": ranks,
        "rondo_tokens_per_s": speed[0],
        "peer_tokens_per_s": speed[1],
        "speed_ratio": speed[0] / speed[1],
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
        "rondo_peak_mb": peak_mb[0],
        "peer_peak_mb": peak_mb[1],
        "memory_ratio": peak_mb[0] / peak_mb[1],
        "loss_difference": sides.loss_difference([ours[0], theirs[0]]),
        "sides": {"rondo": ours, "peer": theirs},
    }


heading = (
    "               tokens/s                            peak MB\n"
    "case   ranks   rondo   peer  ratio (of rounds)     rondo   peer  ratio   losses differ by"
)


def line(row):
    return (
        "{case:6} {ranks:5} {rondo_tokens_per_s:7.0f} {peer_tokens_per_s:6.0f} {speed_ratio:6.2f} "
        "({lowest_ratio:.2f} … {highest_ratio:.2f})  {rondo_peak_mb:7.0f} {peer_peak_mb:6.0f} "
        "{memory_ratio:6.2f}   {loss_difference:.0e}"
    ).format(**row)


def options():
    parser = sides.Parser(description=__doc__.partition("\n")[0])
    names = [case.name for case in cases]
    parser.add_argument("--case", choices=names, action="append", help="only this size")
    parser.add_argument("--ranks", type=int, choices=rank_counts, action="append", help="only this")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--quick", action="store_true", help="the small size, one round")
    parser.add_argument("--compile", action="store_true", help="the peer through torch.compile")
    parser.add_argument("--json", default=sides.root / "build" / "bench.json", help="file to write")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    if chosen.quick:
        chosen.case, chosen.rounds = ["small"], 1
    return chosen


def main():
    chosen = options()
    rows = []
    about = sides.machine()
    print(sides.machine_line(about))
    print(f"float32, one thread a rank; rounds of each side, in turn: {chosen.rounds}\n\n{heading}")
    for case in cases:
        if chosen.case and case.name not in chosen.case:
            continue
        with tempfile.TemporaryDirectory(prefix="rondo-bench-") as name:
            folder = Path(name)
            sides.write_tokens(folder / "tokens", case, max(rank_counts))
            sides.write_weights(folder, case)
            for ranks in chosen.ranks or rank_counts:
                rows.append(compare(case, ranks, chosen, folder))
                print(line(rows[-1]), flush=True)
    print("\nLosses of the first steps:")
    for row in rows:
        firsts = {name: rounds[0] for name, rounds in row["sides"].items()}
        print(f"{row['case']}, ranks {row['ranks']}\n{sides.losses(firsts)}")
    sides.write_json(chosen.json, {"machine": about, "rows": rows})
    print(f"\nwrote {os.path.relpath(chosen.json)}")
    if any(row["loss_difference"] > sides.tolerance for row in rows):
        sys.exit("the two sides do not compute the same thing")


if __name__ == "__main__":
    main()
