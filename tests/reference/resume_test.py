"""A run that was stopped, killed or damaged goes on as if nothing had happened, bit for bit."""

import shutil
import signal
import subprocess
import time

import h5py
import numpy as np

import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_checkpoint, read_metrics, words, write_corpus

STEPS = 20
# Slow enough to be stopped half-way: 16 microbatches a step.
SETTINGS = rondo_runs.TINY_MODEL | {
    "data.path": "corpus", "data.sequence": 64, "data.shuffle": True, "train.steps": STEPS,
    "train.global_batch": 16, "train.micro_batch": 1, "train.eval_every": 0,
    "optimizer.schedule": "cosine", "optimizer.warmup": 4, "checkpoint.every": 10,
    "log.tensorboard": False}


class Resume(RondoTest):

    def setUp(self):
        super().setUp()
        tokens = random_tokens(9000, 64)
        write_corpus(self.folder / "corpus", [tokens[:4321], tokens[4321:]])

    def train_words(self, run, settings):
        return ["train", *words(SETTINGS | settings | {"log.dir": run})]

    def resume(self, run, settings, after, ranks=0):
        """Goes on with a run, which must say that it does so after step `after`: a run that began
        again would end with the same bits."""
        printed = self.rondo(*self.train_words(run, settings), ranks=ranks)
        self.assertIn(f"resumes after step {after}\n", printed)

    def half_of(self, run, copy):
        """A copy of a finished run as a crash after step 10 leaves it, with later metrics."""
        shutil.copytree(self.folder / run, self.folder / copy)
        self.checkpoint_file(copy, STEPS).unlink()

    def assert_same_metrics(self, run, straight, tolerance=0):
        ours, theirs = read_metrics(self.folder / run), read_metrics(self.folder / straight)
        self.assertEqual([m["step"] for m in ours], list(range(1, STEPS + 1)))
        for one, other in zip(ours, theirs, strict=True):
            self.assertEqual((one["lr"], one["tokens"]), (other["lr"], other["tokens"]))
            for key in ("loss", "grad_norm"):
                self.assertAlmostEqual(one[key], other[key], delta=tolerance,
                                       msg=f"{key} of step {one['step']}")

    def assert_bitwise_equal(self, run, straight):
        self.assert_same_metrics(run, straight)
        self.assert_same_datasets(self.checkpoint_file(run, STEPS),
                                  self.checkpoint_file(straight, STEPS))

    def interrupt(self, run, settings, *sent, after, ranks=0, pause=0):
        """Starts a run, sends it signals after `after` steps, with a pause between them; returns
        exit code and output."""
        process = subprocess.Popen(self.command(*self.train_words(run, settings), ranks=ranks),
                                   cwd=self.folder, env=rondo_runs.ENVIRONMENT, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        metrics = self.folder / run / "metrics.jsonl"
        while process.poll() is None:
            if metrics.exists() and metrics.read_text().count("\n") >= after:
                for number, one in enumerate(sent):
                    time.sleep(pause if number else 0)
                    process.send_signal(one)
                break
            time.sleep(0.002)
        output, _ = process.communicate(timeout=60)
        self.assertLess(len(read_metrics(self.folder / run)), STEPS, "stopped too late")
        return process.returncode, output

    def check_half(self, settings, ranks):
        self.rondo(*self.train_words("straight", settings), ranks=ranks)
        self.half_of("straight", "again")
        self.resume("again", settings, 10, ranks)
        self.assert_bitwise_equal("again", "straight")

    def test_a_resumed_run_equals_the_straight_one_bit_for_bit(self):
        self.check_half({}, ranks=0)

    def test_two_ranks_with_sharded_state_resume_bit_for_bit(self):
        self.check_half({"distributed.zero": 1}, ranks=2)

    def test_relaxed_layers_and_blends_resume_bit_for_bit(self):
        write_corpus(self.folder / "other", [random_tokens(5000, 64, seed=1)])
        self.check_half({"data.path": "", "data.blend": "['corpus', 0.7, 'other', 0.3]",
                         "relaxation.rank": 2, "train.precision": "float64"}, ranks=0)

    def check_signal(self, sent, settings, ranks):
        self.rondo(*self.train_words("straight", settings), ranks=ranks)
        code, output = self.interrupt("stopped", settings, sent, after=3, ranks=ranks)
        self.assertEqual(code, rondo_runs.STOPPED, output)
        done = len(read_metrics(self.folder / "stopped"))
        self.assertIn(f"stopped by a signal after step {done}", output)
        self.assertTrue(self.checkpoint_file("stopped", done).exists(), output)
        self.resume("stopped", settings, done, ranks)
        self.assert_bitwise_equal("stopped", "straight")

    def test_sigterm_saves_and_the_same_command_goes_on(self):
        self.check_signal(signal.SIGTERM, {}, ranks=0)

    def test_sigusr1_stops_two_ranks_after_the_same_step(self):
        self.check_signal(signal.SIGUSR1, {"distributed.zero": 1}, ranks=2)

    def test_a_second_signal_that_comes_later_ends_the_run_at_once(self):
        long = {"train.global_batch": 20000}  # a step of half a minute
        code, output = self.interrupt("ended", long, signal.SIGUSR1, signal.SIGTERM, after=0,
                                      pause=1.5)
        self.assertEqual(code, -signal.SIGTERM, output)

    def test_a_killed_run_goes_on_from_its_last_checkpoint(self):
        self.rondo(*self.train_words("straight", {}))
        code, output = self.interrupt("killed", {"checkpoint.every": 2}, signal.SIGKILL, after=7)
        self.assertEqual(code, -signal.SIGKILL, output)
        saved = sorted((self.folder / "killed" / "checkpoints").glob("step-*.h5"))
        self.resume("killed", {"checkpoint.every": 2}, int(saved[-1].stem.removeprefix("step-")))
        self.assert_bitwise_equal("killed", "straight")

    def test_a_checkpoint_of_two_ranks_resumes_on_one(self):
        settings = {"distributed.zero": 1, "train.precision": "float64"}
        self.rondo(*self.train_words("straight", settings), ranks=2)
        self.half_of("straight", "alone")
        self.resume("alone", settings | {"distributed.zero": 0}, 10)
        self.assert_same_metrics("alone", "straight", tolerance=1e-10)
        self.assert_same_datasets(self.checkpoint_file("alone", STEPS),
                                  self.checkpoint_file("straight", STEPS), tolerance=1e-10)

    def damages(self, file):
        """Contents of a damaged copy of a checkpoint: cut off, and one bit of a tensor flipped."""
        whole = file.read_bytes()
        flipped = bytearray(whole)
        with h5py.File(file) as checkpoint:
            flipped[checkpoint["optimizer/exp_avg/final_norm/weight"].id.get_offset()] ^= 1
        return {"cut": whole[:-1000], "flipped": flipped}

    def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_it_used(self):
        self.rondo(*self.train_words("straight", {}))
        for damage, content in self.damages(self.checkpoint_file("straight", STEPS)).items():
            for ranks in (0, 2):
                with self.subTest(damage=damage, ranks=ranks):
                    run = f"{damage}-{ranks}"
                    shutil.copytree(self.folder / "straight", self.folder / run)
                    damaged = self.checkpoint_file(run, STEPS)
                    damaged.write_bytes(content)
                    done = self.run_rondo(*self.train_words(run, {}), ranks=ranks)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(done.stderr.count(damaged.name), 1, done.stderr)
                    self.assertIn("resumes after step 10\n", done.stdout)
                    if not ranks:  # two ranks sum the rest in another order
                        self.assert_bitwise_equal(run, "straight")

    def test_a_link_to_itself_is_passed_over(self):
        self.rondo(*self.train_words("run", {}))
        newest = self.checkpoint_file("run", STEPS)
        newest.unlink()
        newest.symlink_to(newest.name)
        done = self.run_rondo(*self.train_words("run", {}))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("resumes after step 10\n", done.stdout)

    def test_a_run_whose_checkpoints_are_all_damaged_writes_over_none(self):
        self.rondo(*self.train_words("run", {}))
        self.checkpoint_file("run", 10).unlink()
        for damage, content in self.damages(self.checkpoint_file("run", STEPS)).items():
            for ranks in (0, 2):
                with self.subTest(damage=damage, ranks=ranks):
                    self.checkpoint_file("run", STEPS).write_bytes(content)
                    done = self.run_rondo(*self.train_words("run", {}), ranks=ranks)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertIn("passes over a damaged checkpoint", done.stderr)
                    self.assertIn("no checkpoint in run/checkpoints can be used: move", done.stderr)
                    self.assertEqual(self.checkpoint_file("run", STEPS).read_bytes(), content)

    def test_what_lacks_something_is_passed_over_and_what_is_newer_is_not(self):
        self.rondo(*self.train_words("straight", {}))

        def lack_a_dataset(file):
            del file["parameters/final_norm/weight"]

        def lack_moments(file):
            del file["optimizer"]

        def be_of_another_step(file):
            file.attrs["step"] = 15

        def be_newer(file):
            file.attrs["format_version"] = 99

        for change in (lack_a_dataset, lack_moments, be_of_another_step, be_newer):
            with self.subTest(change.__name__):
                run = change.__name__
                shutil.copytree(self.folder / "straight", self.folder / run)
                with h5py.File(self.checkpoint_file(run, STEPS), "r+") as file:
                    change(file)
                done = self.run_rondo(*self.train_words(run, {}))
                if change is be_newer:
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertIn("use a newer rondo", done.stderr)
                    continue
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("resumes after step 10\n", done.stdout)
                self.assert_bitwise_equal(run, "straight")

    def test_later_checkpoints_of_another_run_are_not_mixed_with_new_ones(self):
        self.train("run", SETTINGS)
        before = read_checkpoint(self.checkpoint_file("run", STEPS))
        done = self.run_rondo("train", *words(
            SETTINGS | {"log.dir": "run", "checkpoint.resume": "never"}))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("log.dir", done.stderr)
        for name, value in read_checkpoint(self.checkpoint_file("run", STEPS)).items():
            np.testing.assert_array_equal(value, before[name])

    def blocked(self, run, settings, ranks):
        """A run in which no file can take the name of step 10's checkpoint."""
        (self.checkpoint_file(run, 10) / "in the way").mkdir(parents=True)
        return self.run_rondo(*self.train_words(run, settings), ranks=ranks)

    def test_a_save_that_fails_behind_the_training_ends_it_with_the_reason(self):
        for ranks in (0, 2):
            for background in (True, False):
                with self.subTest(ranks=ranks, background=background):
                    run = f"stop-{ranks}-{background}"
                    done = self.blocked(run, {"checkpoint.async": background}, ranks)
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertRegex(done.stderr, r"rondo: cannot write .*step-00000010\.h5")
                    self.assertFalse(self.checkpoint_file(run, STEPS).exists())
                    self.assertFalse(list((self.folder / run).rglob("*.partial")))

    def test_a_save_that_fails_is_told_and_the_run_goes_on_where_it_may(self):
        done = self.blocked("run", {"checkpoint.on_error": "continue"}, 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"cannot write .*step-00000010\.h5.*training goes on")
        self.train("straight", SETTINGS, ranks=2)
        self.assert_same_metrics("run", "straight")
        self.assertTrue(self.checkpoint_file("run", STEPS).is_file())

    def test_the_way_of_saving_changes_no_bit(self):
        self.train("background", SETTINGS | {"checkpoint.every": 2, "checkpoint.keep_every": 8})
        self.train("blocking", SETTINGS | {"checkpoint.async": False})
        self.assert_bitwise_equal("background", "blocking")
        kept = sorted(file.name for file in (self.folder / "background").rglob("*.h5"))
        self.assertEqual(kept, [f"step-{step:08}.h5" for step in (8, 16, 18, 20)])
        # Step 10 was written while step 11 changed the weights.
        self.train("both", SETTINGS | {"checkpoint.keep_every": 10})
        self.assert_same_datasets(self.checkpoint_file("both", 10),
                                  self.checkpoint_file("blocking", 10))

    def test_a_finished_run_says_that_nothing_is_left(self):
        self.train("run", SETTINGS)
        self.assertIn("nothing to do: step 20",
                      self.rondo("train", *words(SETTINGS | {"log.dir": "run"})))


if __name__ == "__main__":
    rondo_runs.main()
