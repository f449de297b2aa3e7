"""The gradient of a weight that one pipeline stage uses several times: split backward against whole.

Zero-bubble schedules cut backward in two: the gradient of the input first, that of the weights when
there is time. PyTorch's halves (torch.distributed.pipelining._backward, as its own zero-bubble
schedules call them) run a stage x <- x + tanh(W x), float64, hidden 8, batch 4, and are compared with
autograd's whole backward of the same stage (pytorch#180952). rondo's run a real model: one block of
width 32 that each of two stages uses 1 to 4 times, float64, `distributed.schedule=zero_bubble` on two
ranks, against one rank that does not split; one step with AdamW's first moment at beta 0, which is the
gradient itself, read from the checkpoint.

    benchmarks/run.sh gradients [--uses 4]
"""

import argparse
import os
import pathlib
import subprocess
import tempfile

import h5py
import numpy as np
import torch
from torch.distributed.pipelining._backward import stage_backward_input, stage_backward_weight

ROOT = pathlib.Path(__file__).resolve().parent.parent
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]
HIDDEN, BATCH = 8, 4
# One step on one batch of two microbatches, whose gradient is what AdamW keeps.
SETTINGS = {"data.path": "corpus", "data.sequence": 16, "data.shuffle": False, "train.steps": 1,
            "train.global_batch": 2, "train.micro_batch": 1, "train.eval_every": 0,
            "train.precision": "float64", "optimizer.betas": "[0.0,0.95]", "optimizer.clip": 0,
            "optimizer.warmup": 0, "optimizer.schedule": "constant", "log.tensorboard": False,
            "model.hidden": 32, "model.ffn": 48, "model.heads": 4, "model.kv_heads": 2,
            "sharing": "universal"}
SPLIT = {"distributed.pipeline": 2, "distributed.route": "contiguous",
         "distributed.schedule": "zero_bubble"}
TOLERANCE = 1e-12  # of float64 sums in another order


def relative(found, expected):
    """Distance of two gradients, in norms of the second."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


class Stage(torch.nn.Module):
    """x <- x + tanh(W x), `uses` times with one W [hidden, hidden]."""

    def __init__(self, uses):
        super().__init__()
        self.uses = uses
        self.linear = torch.nn.Linear(HIDDEN, HIDDEN, bias=False, dtype=torch.float64)

    def forward(self, x):
        for _ in range(self.uses):
            x = x + torch.tanh(self.linear(x))
        return x


def pytorch_error(uses):
    """Of W's gradient by stage_backward_input and stage_backward_weight."""
    torch.manual_seed(0)
    stage = Stage(uses)
    x = torch.randn(BATCH, HIDDEN, dtype=torch.float64, requires_grad=True)
    above = torch.randn(BATCH, HIDDEN, dtype=torch.float64)
    expected = torch.autograd.grad(stage(x), stage.linear.weight, above)[0].numpy()
    _, groups = stage_backward_input([stage(x)], [above], [x], stage.parameters())
    stage_backward_weight(stage.parameters(), groups)
    return relative(stage.linear.weight.grad.numpy(), expected)


def rondo(program, folder, *arguments, ranks=1):
    launcher = [*MPIRUN, "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*launcher, program, *map(str, arguments)], cwd=folder, text=True,
                          capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode != 0:
        raise SystemExit(f"rondo {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
    return done.stdout


def overrides(settings):
    return [f"{key}={str(value).lower() if isinstance(value, bool) else value}"
            for key, value in settings.items()]


def gradient(program, folder, settings, ranks):
    """All of it, flat, from one step of a run."""
    rondo(program, folder, "train", *overrides(settings), ranks=ranks)
    parts = []
    with h5py.File(folder / settings["log.dir"] / "checkpoints" / "step-00000001.h5") as file:
        file["optimizer/exp_avg"].visititems(
            lambda name, item: parts.append((name, item[()].ravel()))
            if isinstance(item, h5py.Dataset) else None)
    return np.concatenate([values for _, values in sorted(parts)])


def rondo_error(program, folder, uses):
    """Of two ranks with `uses` of the block each, whose backward is split, against one rank."""
    model = SETTINGS | {"model.depth": 2 * uses}
    split = model | SPLIT | {"log.dir": f"split{uses}"}
    order = rondo(program, folder, "plan", "--world", 2, "--csv", "/dev/stdout", *overrides(split))
    if "W" not in order:
        raise SystemExit("the schedule of the two ranks splits no backward")
    whole = gradient(program, folder, model | {"log.dir": f"whole{uses}"}, ranks=1)
    return relative(gradient(program, folder, split, ranks=2), whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rondo", default=ROOT / "build" / "rondo", help="the program")
    parser.add_argument("--uses", type=int, default=4, help="most uses of the weight in one stage")
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.rondo).resolve())
    print("Relative error of a shared weight's gradient when backward is split (float64)\n"
          f"\n  uses in a stage   PyTorch {torch.__version__}   rondo, zero_bubble")
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "text.txt").write_text("".join(f"{n} " for n in range(2000)))
        rondo(program, folder, "prepare", "--input", "text.txt", "--output", "corpus")
        for uses in range(1, arguments.uses + 1):
            ours = rondo_error(program, folder, uses)
            worst = max(worst, ours)
            print(f"  {uses:15}   {pytorch_error(uses):>20.1e}   {ours:18.1e}", flush=True)
    if worst > TOLERANCE:
        raise SystemExit(f"rondo's split backward is off by {worst:.1e}, beyond {TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
