"""rondo against PyTorch + transformers on the same shared model, side by side in one run.

Both start from the same weights and read the same tokens; each rank computes with one thread. The
two take turns, so that whatever else the machine does hits both. Prints a table of medians, checks
that both computed the same losses, and writes build/bench.json. See README.md beside this file.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy

root = Path(__file__).resolve().parent.parent
rondo = root / "build" / "rondo"
peak = root / "benchmarks" / "peak.py"
peer = root / "benchmarks" / "peer.py"


@dataclass(frozen=True)
class Case:
    name: str
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocab: int
    depth: int
    unique: int
    steps: int  # of each round, the warm-up included
    sequence: int = 256
    micro_batch: int = 4
    rows: int = 4  # sequences per rank and step
    lr: float = 1e-3


cases = [
    Case("small", 256, 704, heads=4, kv_heads=2, vocab=4096, depth=8, unique=4, steps=12),
    Case("wide", 512, 1408, heads=8, kv_heads=4, vocab=8192, depth=12, unique=4, steps=6),
]
rank_counts = (1, 2)
warm_up = 2  # steps of each round that are not timed
tolerance = 1e-3  # between the losses of the two sides, in float32


@dataclass
class Round:
    """One run of one side."""

    step_s: list  # of each step
    loss: list  # likewise
    peak_bytes: int  # of the largest process

    def seconds(self):
        return statistics.median(self.step_s[warm_up:])


def run(command):
    """Standard output of a command that must succeed. One thread for each of its processes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [str(part) for part in command]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


def measured(launcher, command, folder):
    """Output of `command` under `launcher`, and the peak memory of its largest process."""
    peaks = folder / "peaks"
    shutil.rmtree(peaks, ignore_errors=True)
    peaks.mkdir()
    out = run([*launcher, sys.executable, peak, peaks, *command])
    return out, max(int(file.read_text()) for file in peaks.iterdir())


def write_tokens(prefix, case):
    """Enough tokens for every run of a case, as skewed as those of a language (Zipf)."""
    count = case.steps * case.rows * max(rank_counts) * case.sequence + 1
    weight = 1.0 / numpy.arange(1, case.vocab + 1)
    tokens = numpy.random.default_rng(0).choice(case.vocab, count, p=weight / weight.sum())
    tokens.astype("<u2").tofile(f"{prefix}.bin")
    with open(f"{prefix}.idx", "wb") as file:
        file.write(b"MMIDIDX\0\0")
        numpy.array([1], "<u8").tofile(file)  # version
        numpy.array([8], "u1").tofile(file)  # uint16
        numpy.array([1, 2], "<u8").tofile(file)  # sequences, document boundaries
        numpy.array([count], "<i4").tofile(file)  # length of each sequence
        numpy.array([0], "<i8").tofile(file)  # where it begins, in bytes
        numpy.array([0, 1], "<i8").tofile(file)  # the boundaries


def write_weights(folder, case):
    """A random Hugging Face Llama in folder/hf, and its first blocks shared in a cycle as .h5."""
    import torch  # these two take seconds
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=case.hidden,
        intermediate_size=case.ffn,
        num_hidden_layers=case.depth,
        num_attention_heads=case.heads,
        num_key_value_heads=case.kv_heads,
        vocab_size=case.vocab,
        tie_word_embeddings=True,
    )
    transformers.LlamaForCausalLM(config).float().save_pretrained(folder / "hf")
    sharing = ["--sharing", "cycle", "--unique", case.unique, "--init", "lower"]
    run([rondo, "convert", "--from", f"hf:{folder / 'hf'}", "--to", folder / "start.h5", *sharing])


def run_rondo(case, ranks, folder):
    runs = folder / "run"
    shutil.rmtree(runs, ignore_errors=True)
    launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]
    launcher += ["--mca", "mpi_yield_when_idle", "1", "-n", ranks]
    settings = {
        "data": "in_order",
        "data.path": folder / "tokens",
        "data.sequence": case.sequence,
        "train.init": folder / "start.h5",
        "train.steps": case.steps,
        "train.global_batch": case.rows * ranks,
        "train.micro_batch": case.micro_batch,
        "train.threads": 1,
        "train.eval_every": 0,
        "optimizer.lr": case.lr,
        "optimizer.schedule": "constant",
        "optimizer.warmup": 0,
        "checkpoint.every": 0,
        "log.dir": runs,
    }
    command = [rondo, "train", *(f"{key}={value}" for key, value in settings.items())]
    _, peak_bytes = measured(launcher if ranks > 1 else [], command, folder)
    steps = [json.loads(line) for line in (runs / "metrics.jsonl").read_text().splitlines()]
    return Round([step["step_s"] for step in steps], [step["loss"] for step in steps], peak_bytes)


def run_peer(case, ranks, folder, extra):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    launcher += ["--nproc-per-node", ranks]
    settings = {
        "hf": folder / "hf",
        "tokens": folder / "tokens.bin",
        "sequence": case.sequence,
        "depth": case.depth,
        "unique": case.unique,
        "steps": case.steps,
        "global-batch": case.rows * ranks,
        "micro-batch": case.micro_batch,
        "lr": case.lr,
    }
    command = [sys.executable, peer, *extra]
    for key, value in settings.items():
        command += [f"--{key}", value]
    out, peak_bytes = measured(launcher if ranks > 1 else [], command, folder)
    result = json.loads(out.splitlines()[-1])
    return Round(result["step_s"], result["loss"], peak_bytes)


def compare(case, ranks, chosen, folder):
    """Runs both sides in turn and returns a row of the table, with every number it came from."""
    ours, theirs = [], []
    for _ in range(chosen.rounds):
        ours.append(run_rondo(case, ranks, folder))
        theirs.append(run_peer(case, ranks, folder, ["--compile"] if chosen.compile else []))
    tokens = case.rows * ranks * case.sequence
    speed = [tokens / statistics.median(r.seconds() for r in side) for side in (ours, theirs)]
    peak_mb = [statistics.median(r.peak_bytes for r in side) / 1e6 for side in (ours, theirs)]
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
        "loss_difference": max(abs(a - b) for a, b in zip(ours[0].loss, theirs[0].loss)),
        "rondo": [asdict(r) for r in ours],
        "peer": [asdict(r) for r in theirs],
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


def losses(row, count=4):
    """The first losses of both sides, to be read beneath each other."""
    sides = ((name, row[name][0]["loss"][:count]) for name in ("rondo", "peer"))
    return "\n".join(
        f"  {name:6}" + "".join(f" {loss:9.5f}" for loss in values) for name, values in sides
    )


def machine():
    """What the numbers depend on."""
    names = [
        text.partition(":")[2].strip()
        for text in Path("/proc/cpuinfo").read_text().splitlines()
        if text.startswith("model name")
    ]
    versions = {name: metadata.version(name) for name in ("torch", "transformers")}
    return {"processor": names[0] if names else "?", "cores": os.cpu_count(), **versions}


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [case.name for case in cases]
    parser.add_argument("--case", choices=names, action="append", help="only this size")
    parser.add_argument("--ranks", type=int, choices=rank_counts, action="append", help="only this")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--quick", action="store_true", help="the small size, one round")
    parser.add_argument("--compile", action="store_true", help="the peer through torch.compile")
    parser.add_argument("--json", default=root / "build" / "bench.json", help="file to write")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    if chosen.quick:
        chosen.case, chosen.rounds = ["small"], 1
    return chosen


def main():
    chosen = options()
    rows = []
    about = machine()
    about_text = "{processor}, {cores} cores, PyTorch {torch}, transformers {transformers}"
    print(about_text.format(**about))
    print(f"float32, one thread a rank; rounds of each side, in turn: {chosen.rounds}\n\n{heading}")
    for case in cases:
        if chosen.case and case.name not in chosen.case:
            continue
        with tempfile.TemporaryDirectory(prefix="rondo-bench-") as name:
            folder = Path(name)
            write_tokens(folder / "tokens", case)
            write_weights(folder, case)
            for ranks in chosen.ranks or rank_counts:
                rows.append(compare(case, ranks, chosen, folder))
                print(line(rows[-1]), flush=True)
    print("\nLosses of the first steps:")
    for row in rows:
        print(f"{row['case']}, ranks {row['ranks']}\n{losses(row)}")
    Path(chosen.json).write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    print(f"\nwrote {os.path.relpath(chosen.json)}")
    if any(row["loss_difference"] > tolerance for row in rows):
        sys.exit("the two sides do not compute the same thing")


if __name__ == "__main__":
    main()
