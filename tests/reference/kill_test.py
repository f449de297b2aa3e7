"""A run that is killed again and again, at random moments, loses no checkpoint and no bit.

RONDO_KILLS=100 kills as often; the default is what a test run has time for.
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import time

import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_metrics, words, write_corpus

KILLS = int(os.environ.get("RONDO_KILLS", "5"))
STEPS = 30 + 20 * KILLS
SETTINGS = rondo_runs.TINY_MODEL | {
    "data.path": "corpus", "data.sequence": 64, "train.steps": STEPS, "train.global_batch": 8,
    "train.micro_batch": 1, "train.eval_every": 0, "checkpoint.every": 1, "checkpoint.keep": 2,
    "distributed.zero": 1, "log.tensorboard": False, "log.every": 1}


def ranks_of(parent):
    """Process ids of the children of mpirun."""
    children = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                children.append(int(stat.parent.name))
    return sorted(children)


class Killed(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(9000, 64)])
        self.random = random.Random(1)

    def newest(self):
        """The step of the newest checkpoint; 0 for none. Every file under a final name is whole."""
        files = sorted((self.folder / "run" / "checkpoints").glob("step-*.h5"))
        for file in files:
            self.rondo("inspect", file, "--verify")
        return int(files[-1].stem.removeprefix("step-")) if files else 0

    def kill_once(self):
        """Starts or goes on, and kills one rank, or all, a moment after some steps."""
        before = self.newest()
        process = subprocess.Popen(
            self.command("train", *words(SETTINGS | {"log.dir": "run"}), ranks=2), cwd=self.folder,
            env=rondo_runs.ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        steps = self.random.randint(1, 8)
        shown = 0
        while shown < steps:
            shown += process.stdout.readline().startswith(b"step ")
            self.assertIsNone(process.poll(), "the run ended by itself")
        time.sleep(self.random.random() * 0.3)
        ranks = ranks_of(process.pid)
        victims = ranks if self.random.random() < 0.4 else [self.random.choice(ranks)]
        for rank in victims:
            os.kill(rank, signal.SIGKILL)
        process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        # The save of the last step but two was over before that of the last but one began.
        self.assertGreaterEqual(self.newest(), before + max(0, steps - 2),
                                "a completed checkpoint was lost")

    def test_no_kill_costs_a_checkpoint_or_a_bit(self):
        for _ in range(KILLS):
            self.kill_once()
        self.assertGreater(self.newest(), KILLS, "no run came far enough to save")
        self.train("run", SETTINGS, ranks=2)
        self.train("straight", SETTINGS | {"checkpoint.every": 0}, ranks=2)
        ours, theirs = ({m["step"]: m["loss"] for m in read_metrics(self.folder / run)}
                        for run in ("run", "straight"))
        self.assertEqual(ours, theirs)
        self.assert_same_datasets(self.checkpoint_file("run", STEPS),
                                  self.checkpoint_file("straight", STEPS))


if __name__ == "__main__":
    rondo_runs.main()
