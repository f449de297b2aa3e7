"""A run that was interrupted ends as the one that was not."""

import signal
import subprocess
import time

import numpy as np

import rondo_runs
from rondo_runs import (ENVIRONMENT, TINY_MODEL, RondoTest, random_tokens, read_checkpoint,
                        read_metrics, words, write_corpus)

STEPS = 20
SETTINGS = TINY_MODEL | {
    "sharing.strategy": "cycle", "data.path": "corpus", "data.sequence": 16, "data.shuffle": True,
    "train.steps": STEPS, "train.global_batch": 8, "train.micro_batch": 4, "checkpoint.every": 10,
    "optimizer.schedule": "cosine", "optimizer.warmup": 3}


def story(metrics):
    """What a step showed, without how long it took."""
    return [(m["step"], m["loss"], m["grad_norm"], m["lr"], m["tokens"]) for m in metrics]


class Resume(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(3000, 64)])

    def assert_same_bits(self, run, other):
        self.assertEqual(story(read_metrics(self.folder / run)),
                         story(read_metrics(self.folder / other)))
        ours = read_checkpoint(self.checkpoint_file(run, STEPS))
        theirs = read_checkpoint(self.checkpoint_file(other, STEPS))
        self.assertEqual(set(ours), set(theirs))
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)

    def forget_the_end(self, run):
        """As if the run had been killed after step 10, some steps later."""
        self.checkpoint_file(run, STEPS).unlink()

    def test_ten_steps_and_ten_more_are_twenty_bit_for_bit(self):
        for ranks, zero in ((0, 0), (2, 1)):
            with self.subTest(ranks=ranks, zero=zero):
                settings = SETTINGS | {"distributed.zero": zero}
                straight, broken = f"straight-{ranks}", f"broken-{ranks}"
                self.train(straight, settings, ranks=ranks)
                self.train(broken, settings, ranks=ranks)
                self.forget_the_end(broken)
                printed = self.rondo("train", *words(settings | {"log.dir": broken}), ranks=ranks)
                self.assertIn("resumes after step 10", printed)
                self.assert_same_bits(straight, broken)

    def test_a_checkpoint_of_two_ranks_goes_on_with_one(self):
        settings = SETTINGS | {"train.precision": "float64"}
        straight = self.train("straight", settings | {"distributed.zero": 1}, ranks=2)
        self.train("moved", settings | {"distributed.zero": 1}, ranks=2)
        self.forget_the_end("moved")
        moved = self.train("moved", settings)
        for ours, theirs in zip(moved, straight, strict=True):
            self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=1e-10)
            self.assertAlmostEqual(ours["grad_norm"], theirs["grad_norm"], delta=1e-10)

    def stop_by(self, number, run, settings):
        """Starts a run, sends the signal once it trains, and returns its exit code and output."""
        command = self.command("train", *words(settings | {"log.dir": run}))
        process = subprocess.Popen(command, cwd=self.folder, env=ENVIRONMENT, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        metrics = self.folder / run / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.read_text()):
            time.sleep(0.01)
        process.send_signal(number)
        output, _ = process.communicate(timeout=100)
        return process.returncode, output

    def test_a_signal_saves_and_the_same_command_goes_on(self):
        # Long enough that the signal lands in the middle.
        settings = SETTINGS | {"train.steps": 300, "checkpoint.every": 0}
        self.train("straight", settings)
        for number in (signal.SIGUSR1, signal.SIGTERM):
            with self.subTest(signal=number):
                run = f"stopped-{number}"
                code, output = self.stop_by(number, run, settings)
                self.assertEqual(code, 0, output)
                self.assertIn("stopped by a signal after step", output)
                self.assertLess(len(read_metrics(self.folder / run)), 300)
                self.train(run, settings)
                self.assertEqual(story(read_metrics(self.folder / run)),
                                 story(read_metrics(self.folder / "straight")))

    def test_a_damaged_newest_checkpoint_is_named_and_nothing_is_lost(self):
        self.train("run", SETTINGS)
        damaged = self.checkpoint_file("run", STEPS)
        damaged.write_bytes(damaged.read_bytes()[:-1000])
        before = self.checkpoint_file("run", 10).read_bytes()
        done = self.run_rondo("train", *words(SETTINGS | {"log.dir": "run"}))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(damaged.name, done.stderr)
        self.assertEqual(self.checkpoint_file("run", 10).read_bytes(), before)
        self.assertEqual(len(read_metrics(self.folder / "run")), STEPS)


if __name__ == "__main__":
    rondo_runs.main()
