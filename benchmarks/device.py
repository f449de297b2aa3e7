"""rondo against PyTorch + transformers on one CUDA device, side by side in one run.

The same as compare.py, on a device and in the precisions that it is used in; "any order" is rondo
with distributed.deterministic=false. Needs a build with RONDO_CUDA=ON in build-cuda. Prints a table of medians and writes build-cuda/bench-device.json.
"""

import dataclasses
import statistics
import sys
import tempfile
from pathlib import Path

import sides
from sides import Case

sides.rondo = sides.root / "build-cuda" / "rondo"
peer = sides.root / "benchmarks" / "peer.py"
cases = [
    # SmolLM2-135M of 10 blocks × 3, and blocks three times as wide.
    Case("smollm2", 576, 1536, heads=9, kv_heads=3, vocab=49152, depth=30, unique=10, steps=12,
         sequence=1024, micro_batch=8, rows=16),
    Case("wide", 1536, 4096, heads=12, kv_heads=4, vocab=32768, depth=24, unique=8, steps=12,
         sequence=1024, micro_batch=8, rows=16),
]
precisions = {"float32": 1e-3, "bfloat16": 5e-2}  # how far the losses may differ


def run_rondo(case, folder, precision, deterministic):
    words = ["distributed.backend=nccl", f"train.precision={precision}",
             f"distributed.deterministic={str(deterministic).lower()}"]
    one = sides.run_rondo(case, 1, folder, words)
    last = sides.metrics(folder)[-1]
    return dataclasses.replace(one, peaks=[last["ranks"][0]["peak_memory_bytes"]])


def run_peer(case, folder, precision, compiled):
    words = ["--device", "cuda"]
    words += ["--half"] if precision == "bfloat16" else []
    words += ["--compile"] if compiled else []
    return sides.run_peer(peer, case, 1, folder, words)


def compare(case, precision, folder, chosen):
    all_sides = {"rondo": lambda: run_rondo(case, folder, precision, deterministic=True),
                 "any order": lambda: run_rondo(case, folder, precision, deterministic=False),
                 "peer": lambda: run_peer(case, folder, precision, compiled=False)}
    if chosen.compile:
        all_sides["compiled"] = lambda: run_peer(case, folder, precision, compiled=True)
    results = {name: [] for name in all_sides}
    for _ in range(chosen.rounds):
        for name, side in all_sides.items():
            results[name].append(side())
    difference = sides.loss_difference([rounds[0] for rounds in results.values()])
    for name, rounds in results.items():
        speed = case.tokens(1) / sides.median_seconds(rounds)
        ratio = sides.median_seconds(rounds) / sides.median_seconds(results["rondo"])
        peak = statistics.median(one.peaks[0] for one in rounds) / 1e6
        print(f"{case.name:8} {precision:9} {name:9} {speed:9.0f} {ratio:10.2f} {peak:9.0f}"
              f"   {difference:.0e}", flush=True)
    return {"case": case.name, "precision": precision, "loss_difference": difference,
            "sides": results}


def main():
    parser = sides.Parser(description=__doc__.partition("\n")[0])
    names = [case.name for case in cases]
    parser.add_argument("--case", choices=names, action="append", help="only this size")
    parser.add_argument("--precision", choices=precisions, action="append", help="only this")
    parser.add_argument("--compile", action="store_true", help="the peer through torch.compile, too")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each side (default 2)")
    parser.add_argument("--json", default=sides.root / "build-cuda" / "bench-device.json")
    chosen = parser.parse_args()
    rows = []
    print("case     precision side       tokens/s   rondo is   peak MB   losses differ by")
    for case in cases:
        if chosen.case and case.name not in chosen.case:
            continue
        with tempfile.TemporaryDirectory(prefix="rondo-bench-") as name:
            folder = Path(name)
            sides.write_tokens(folder / "tokens", case, 1)
            sides.write_weights(folder, case)
            for precision in chosen.precision or precisions:
                rows.append(compare(case, precision, folder, chosen))
    sides.write_json(chosen.json, rows)
    if any(row["loss_difference"] > precisions[row["precision"]] for row in rows):
        sys.exit("the two sides do not compute the same thing")


if __name__ == "__main__":
    main()
