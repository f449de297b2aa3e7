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
    Case("wide", 512, 1408, heads=8, kv_heads=4, vocab=8192, depth=12, unique=4, steps=5),
]
warm_up = 2  # steps that are not timed
tolerance = 1e-3  # between the losses of the two sides, in float32


@dataclass
class Measured:
    """One side in one round."""

    step_s: list
    loss: list
    peak_bytes: int  # of the largest process


def run(command, **options):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout


def measured(launcher, command, folder):
    """Output of `command` under `launcher`, and the peak memory of its largest process."""
    peaks = folder / "peaks"
    shutil.rmtree(peaks, ignore_errors=True)
    peaks.mkdir()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    out = run([*launcher, sys.executable, peak, peaks, *command], env=environment)
    return out, max(int(file.read_text()) for file in peaks.iterdir())


def write_tokens(prefix, case, ranks):
    """The data set of one case: words as skewed as those of a language (Zipf), as .bin and .idx."""
    count = case.steps * case.rows * ranks * case.sequence + 1
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
    make = (
        "import sys, json, torch\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "torch.manual_seed(0)\n"
        "LlamaForCausalLM(LlamaConfig(**json.loads(sys.argv[1]))).float()"
        ".save_pretrained(sys.argv[2])\n"
    )
    config = {
        "hidden_size": case.hidden,
        "intermediate_size": case.ffn,
        "num_hidden_layers": case.depth,
        "num_attention_heads": case.heads,
        "num_key_value_heads": case.kv_heads,
        "vocab_size": case.vocab,
        "tie_word_embeddings": True,
    }
    run([sys.executable, "-c", make, json.dumps(config), folder / "hf"])
    sharing = ["--sharing", "cycle", "--unique", case.unique, "--init", "lower"]
    run([rondo, "convert", "--from", f"hf:{folder / 'hf'}", "--to", folder / "start.h5", *sharing])


def run_rondo(case, ranks, folder):
    runs = folder / "run"
    shutil.rmtree(runs, ignore_errors=True)
    launcher = "mpirun --allow-run-as-root --oversubscribe --bind-to none -n".split()
    command = [rondo, "train", "data=in_order", "optimizer.schedule=constant", "optimizer.warmup=0"]
    command += [f"{key}={value}" for key, value in {
        "data.path": folder / "tokens",
        "data.sequence": case.sequence,
        "train.init": folder / "start.h5",
        "train.steps": case.steps,
        "train.global_batch": case.rows * ranks,
        "train.micro_batch": case.micro_batch,
        "train.threads": 1,
        "train.eval_every": 0,
        "optimizer.lr": case.lr,
        "checkpoint.every": 0,
        "log.dir": runs,
    }.items()]
    _, bytes_ = measured([*launcher, ranks] if ranks > 1 else [], command, folder)
    steps = [json.loads(line) for line in (runs / "metrics.jsonl").read_text().splitlines()]
    return Measured([s["step_s"] for s in steps], [s["loss"] for s in steps], bytes_)


def run_peer(case, ranks, folder):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    command = [sys.executable, peer, "--hf", folder / "hf", "--tokens", folder / "tokens.bin"]
    for key in ("depth", "unique", "steps", "micro_batch", "sequence", "lr"):
        command += [f"--{key.replace('_', '-')}", getattr(case, key)]
    command += ["--global-batch", case.rows * ranks]
    launcher = [*launcher, "--nproc-per-node", ranks] if ranks > 1 else []
    out, bytes_ = measured(launcher, command, folder)
    result = json.loads(out.splitlines()[-1])
    return Measured(result["step_s"], result["loss"], bytes_)
