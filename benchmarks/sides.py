"""What every comparison needs: sizes, tokens and weights for all sides, and measured runs."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy

root = Path(__file__).resolve().parent.parent
rondo = root / "build" / "rondo"
peak = root / "benchmarks" / "peak.py"
one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
warm_up = 2  # steps of each round that are not timed
tolerance = 1e-3  # between the losses of the two sides, in float32


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

    def tokens(self, ranks):
        """Of one step."""
        return self.rows * ranks * self.sequence


@dataclass
class Round:
    """One run of one side."""

    step_s: list  # of each step
    loss: list  # likewise
    sent_bytes: dict  # by kind, of one step and all ranks
    peaks: list  # bytes of each process, the largest first

    def seconds(self):
        return statistics.median(self.step_s[warm_up:])


class Parser(argparse.ArgumentParser):
    """A mistake costs one line and exit code 2, as with rondo's own commands."""

    def error(self, message):
        print(f"rondo: {message}; {self.prog} --help tells the options", file=sys.stderr)
        sys.exit(2)


def run(command):
    """Standard output of a command that must succeed. One thread for each of its processes."""
    command = [str(part) for part in command]
    environment = os.environ | one_thread
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


def forget(path):
    """The page cache lets go of a file, or of all files of a folder, that are on the disk."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as source:
                os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measured(launcher, command, folder):
    """Output of `command` under `launcher`, and the peak memory of its processes."""
    peaks = folder / "peaks"
    shutil.rmtree(peaks, ignore_errors=True)
    peaks.mkdir()
    out = run([*launcher, sys.executable, peak, peaks, *command])
    return out, sorted((int(file.read_text()) for file in peaks.iterdir()), reverse=True)


def write_tokens(prefix, case, ranks):
    """Enough tokens for every run of a case, as skewed as those of a language (Zipf)."""
    count = case.steps * case.tokens(ranks) + 1
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
    if case.unique == case.depth:
        sharing = []
    run([rondo, "convert", "--from", f"hf:{folder / 'hf'}", "--to", folder / "start.h5", *sharing])


def rondo_command(case, ranks, folder, extra=()):
    """Trains from folder/start.h5 and logs to folder/run; `extra` has more key=value words."""
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
        "log.dir": folder / "run",
    }
    return [rondo, "train", *(f"{key}={value}" for key, value in settings.items()), *extra]


def metrics(folder):
    """Of every step of a finished rondo_command."""
    text = (folder / "run" / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def read_metrics(folder, peaks):
    """The Round of a finished rondo_command."""
    steps = metrics(folder)
    seconds, losses = ([step[key] for step in steps] for key in ("step_s", "loss"))
    return Round(seconds, losses, steps[-1]["sent_bytes"], peaks)


mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]
mpirun += ["--mca", "mpi_yield_when_idle", "1"]


def run_rondo(case, ranks, folder, extra=()):
    shutil.rmtree(folder / "run", ignore_errors=True)
    launcher = [*mpirun, "-n", ranks] if ranks > 1 else []
    _, peaks = measured(launcher, rondo_command(case, ranks, folder, extra), folder)
    return read_metrics(folder, peaks)


def peer_options(case, ranks, folder):
    """What peer.py and pipeline_peer.py both take."""
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
    return [word for key, value in settings.items() for word in (f"--{key}", value)]


def read_peer(out, peaks):
    """The Round of a peer from the JSON line that it printed last."""
    result = json.loads(out.splitlines()[-1])
    if "device_peak" in result:
        peaks = [result["device_peak"]]
    return Round(result["step_s"], result["loss"], result.get("sent_bytes", {}), peaks)


def run_peer(script, case, ranks, folder, extra=()):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    launcher = [*torchrun, "--nproc-per-node", ranks] if ranks > 1 else []
    command = [sys.executable, script, *extra, *peer_options(case, ranks, folder)]
    return read_peer(*measured(launcher, command, folder))


def median_seconds(rounds):
    return statistics.median(r.seconds() for r in rounds)


def peak_mb(rounds):
    """Of the largest process."""
    return statistics.median(r.peaks[0] for r in rounds) / 1e6


def loss_difference(rounds):
    """Largest between the first of the rounds and any other, over all steps."""
    pairs = (zip(rounds[0].loss, other.loss) for other in rounds[1:])
    return max((abs(a - b) for pair in pairs for a, b in pair), default=0.0)


def losses(named_rounds, count=4):
    """The first losses of several sides, to be read beneath each other."""
    return "\n".join(
        f"  {name:22}" + "".join(f" {loss:9.5f}" for loss in one.loss[:count])
        for name, one in named_rounds.items()
    )


def write_json(file, results):
    """`results` may have Rounds anywhere."""
    Path(file).write_text(json.dumps(results, indent=1, default=asdict) + "\n")


def machine():
    """What the numbers depend on."""
    names = [
        text.partition(":")[2].strip()
        for text in Path("/proc/cpuinfo").read_text().splitlines()
        if text.startswith("model name")
    ]
    versions = {name: metadata.version(name) for name in ("torch", "transformers")}
    return {"processor": names[0] if names else "?", "cores": os.cpu_count(), **versions}


def machine_line(about):
    text = "{processor}, {cores} cores, PyTorch {torch}, transformers {transformers}"
    return text.format(**about)
