"""Saving and loading a state on two ranks, beside PyTorch's ways and dd, on the same disk.

rondo trains a model so small in work and so large in weights that saving dominates; a save counts
until its bytes are on the disk. Prints a table of medians and writes build/bench-checkpoint.json.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import sides
from sides import Case

peer = sides.root / "benchmarks" / "checkpoint_peer.py"
ranks = 2
# 83 million parameters: weights and two moments of 4 bytes are a gigabyte.
case = Case("gigabyte", 1024, 2816, heads=8, kv_heads=8, vocab=2048, depth=6, unique=6, steps=33,
            sequence=16, micro_batch=1, rows=1)
loaded = re.compile(r"^loaded \S+ in (\S+) s$", re.MULTILINE)
saved = re.compile(r"^saved \S+ in (\S+) s, of which training waited (\S+) s", re.MULTILINE)


def rondo(folder, asynchronous):
    """Medians over the saves of a run that are followed by training."""
    words = ["checkpoint.every=8", "checkpoint.keep=1", "distributed.zero=1",
             f"checkpoint.async={str(asynchronous).lower()}"]
    command = sides.rondo_command(case, ranks, folder, words)
    sides.run(["rm", "-rf", folder / "run"])
    out = sides.run([*sides.mpirun, "-n", ranks, *command])
    times = [(float(a), float(b)) for a, b in saved.findall(out)][1:-1]  # warm, and not the last
    # The run again, which has nothing left to do but to load.
    file = next((folder / "run" / "checkpoints").glob("*.h5"))
    sides.forget(file)
    out = sides.run([*sides.mpirun, "-n", ranks, *command])
    return {"save_s": statistics.median(a for a, _ in times),
            "stall_s": statistics.median(b for _, b in times),
            "load_s": float(loaded.search(out)[1])}


def pytorch(folder, way, megabytes):
    out = sides.run([*sides.mpirun, "-n", ranks, sys.executable, peer, way, folder, megabytes])
    sides.run(["rm", "-rf", *folder.glob(f"*{way}*")])
    return json.loads(out.splitlines()[-1])


def dd(folder):
    file = next((folder / "run" / "checkpoints").glob("*.h5"))
    with file.open("rb") as source:  # so that dd reads it from memory
        while source.read(1 << 24):
            pass
    start = time.perf_counter()
    sides.run(["dd", f"if={file}", f"of={folder}/dd", "bs=4M", "conv=fsync"])
    seconds = time.perf_counter() - start
    (folder / "dd").unlink()
    return {"save_s": seconds, "stall_s": seconds}


def measure(folder, rounds):
    size = next((folder / "run" / "checkpoints").glob("*.h5")).stat().st_size
    megabytes = round(size / 1e6)
    all_sides = {
        "rondo, in the background": lambda: rondo(folder, True),
        "rondo, blocking": lambda: rondo(folder, False),
        "torch.distributed.checkpoint": lambda: pytorch(folder, "dcp", megabytes),
        "the same, async_save": lambda: pytorch(folder, "dcp_async", megabytes),
        "torch.save": lambda: pytorch(folder, "torch_save", megabytes),
        "dd, conv=fsync": lambda: dd(folder),
    }
    results = {name: [] for name in all_sides}
    for _ in range(rounds):
        for name, side in all_sides.items():
            results[name].append(side())
    return megabytes, results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--json", default=sides.root / "build" / "bench-checkpoint.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rondo-bench-", dir=sides.root / "build") as name:
        folder = Path(name)
        sides.write_tokens(folder / "tokens", case, ranks)
        sides.write_weights(folder, case)
        rondo(folder, False)  # warm, and tells the size
        megabytes, results = measure(folder, chosen.rounds)
    print(f"{megabytes} MB on {ranks} ranks; medians of {chosen.rounds} rounds in turn\n")
    print(f"{'':30} {'save s':>8} {'MB/s':>6} {'stall s':>8} {'load s':>8}")
    for side, rounds in results.items():
        row = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        load = f"{row['load_s']:8.2f}" if "load_s" in row else ""
        print(f"{side:30} {row['save_s']:8.2f} {megabytes / row['save_s']:6.0f} "
              f"{row['stall_s']:8.2f} {load}")
    Path(chosen.json).write_text(json.dumps({"megabytes": megabytes, "sides": results}, indent=1))
    print(f"\nwrote {chosen.json}")


if __name__ == "__main__":
    main()
