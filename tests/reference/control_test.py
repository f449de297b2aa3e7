"""How a run ends early, goes on after trouble, and follows its schedules."""

import glob
import json
import re
import shutil
import struct
import subprocess
import time

import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_metrics, words, write_corpus

BASE = rondo_runs.TINY_MODEL | {
    "data.path": "corpus", "data.sequence": 16, "train.steps": 12, "train.global_batch": 8,
    "train.micro_batch": 2, "train.eval_every": 0, "train.precision": "float64",
    "optimizer.warmup": 2, "checkpoint.every": 4, "log.tensorboard": False}


class Runs(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(9000, 64)])

    def run_train(self, run, settings, *options, ranks=0):
        return self.run_rondo("train", *words(BASE | {"log.dir": run} | settings), *options,
                              ranks=ranks)

    def losses(self, run):
        return [m["loss"] for m in read_metrics(self.folder / run)]

    def assert_same_run(self, run, straight, step):
        self.assertEqual(self.losses(run), self.losses(straight))
        self.assert_same_datasets(self.checkpoint_file(run, step),
                                  self.checkpoint_file(straight, step))


class Control(Runs):

    def test_a_run_that_exits_early_has_a_code_of_its_own_and_goes_on_bit_for_bit(self):
        self.train("straight", BASE)
        done = self.run_train("run", {"train.exit_at_step": 5})
        self.assertEqual(done.returncode, rondo_runs.STOPPED, done.stderr)
        self.assertIn("stopped by train.exit_at_step = 5 after step 5", done.stdout)
        self.assertEqual(len(self.losses("run")), 5)
        again = self.run_train("run", {"train.exit_at_step": 5})
        self.assertEqual(again.returncode, 2)
        self.assertRegex(again.stderr, r"train\.exit_at_step = 5, but .*5\.h5 is of step 5 already; raise")
        self.assertEqual(self.run_train("run", {}).returncode, 0)
        self.assert_same_run("run", "straight", 12)

    def test_time_that_is_up_ends_every_rank_and_the_chain_reaches_the_end(self):
        self.train("straight", BASE | {"train.steps": 4}, ranks=2)
        codes = []
        while not codes or (codes[-1] == rondo_runs.STOPPED and len(codes) < 5):
            done = self.run_train("run", {"train.steps": 4, "train.exit_after": "2s"}, "--chaos",
                                  "slow@1", ranks=2)
            codes.append(done.returncode)
            if codes[-1]:
                self.assertIn("stopped by train.exit_after = 2s after step", done.stdout)
        self.assertEqual(codes[-1], 0, done.stderr)
        self.assertGreater(len(codes), 1, "steps of a second each, and the limit was not met")
        self.assert_same_run("run", "straight", 4)

    def test_a_sweep_pauses_each_run_at_its_step_and_goes_on_from_there(self):
        done = self.run_train("sweep", {"train.seed": "1,2", "train.exit_at_step": 3}, "--multirun")
        self.assertEqual(done.returncode, rondo_runs.STOPPED, done.stderr)
        self.assertEqual([len(read_metrics(self.folder / "sweep" / run)) for run in "01"], [3, 3])
        self.rondo("train", *words(BASE | {"log.dir": "sweep", "train.seed": "1,2"}), "--multirun")
        self.rondo("train", *words(BASE | {"log.dir": "straight", "train.seed": "1,2"}), "--multirun")
        self.assert_same_run("sweep/1", "straight/1", 12)

    def test_one_run_of_a_sweep_is_the_run_that_the_sweep_makes_of_it(self):
        self.rondo("train", *words(BASE | {"log.dir": "all", "train.seed": "range(1,3)"}),
                   "--multirun")
        self.rondo("train", *words(BASE | {"log.dir": "one", "train.seed": "choice(1,2)"}),
                   "--multirun", "--run", 1)
        self.assertFalse((self.folder / "one" / "0").exists())
        self.assert_same_run("one/1", "all/1", 12)
        beyond = self.run_rondo("train", *words(BASE | {"log.dir": "one", "train.seed": "choice(1,2)"}),
                                "--multirun", "--run", 2)
        self.assertEqual(beyond.returncode, 2)
        self.assertIn("--run 2: the sweep has 2 runs, from 0 to 1", beyond.stderr)

    def test_a_batch_that_grows_is_the_same_on_any_ranks_and_after_a_resume(self):
        ramp = {"train.batch_ramp_from": 4, "train.batch_ramp_steps": 6}
        alone = self.train("alone", BASE | ramp)
        self.assertEqual([m["batch"] for m in alone], [4] * 3 + [4] * 3 + [8] * 6)
        self.assertEqual(alone[-1]["tokens"], 16 * sum(m["batch"] for m in alone))
        for run, settings, ranks in (("replicas", {}, 2), ("pipeline", {"distributed.pipeline": 2}, 2)):
            metrics = self.train(run, BASE | ramp | settings, ranks=ranks)
            for ours, theirs in zip(metrics, alone, strict=True):
                self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=1e-10)
                self.assertAlmostEqual(ours["grad_norm"], theirs["grad_norm"], delta=1e-10)
        self.run_train("resumed", ramp | {"train.exit_at_step": 3})
        self.train("resumed", BASE | ramp)
        self.assert_same_run("resumed", "alone", 12)
        odd = self.run_train("odd", ramp, ranks=4)
        self.assertEqual(odd.returncode, 2)
        self.assertIn("train.batch_ramp_from = 4 is no multiple of 8", odd.stderr)

    def test_a_part_of_a_longer_schedule_is_its_beginning(self):
        self.train("long", BASE | {"train.steps": 24})
        self.train("part", BASE | {"optimizer.decay_steps": 24})
        self.assertEqual(self.losses("part"), self.losses("long")[:12])
        self.assertNotEqual(self.losses("part"), self.losses("long")[12:])

    def test_a_skipped_step_leaves_the_weights_and_names_who_had_it_first(self):
        for ranks, settings in ((0, {}), (2, {"distributed.pipeline": 2}), (2, {"distributed.zero": 1})):
            for kind, component in (("nan", "attention/1"), ("inf", "feed_forward/2")):
                with self.subTest(ranks=ranks, settings=settings, kind=kind):
                    run = f"{kind}{ranks}{len(settings)}{'zero' in str(settings)}"
                    skips = settings | {"train.on_nonfinite": "skip", "train.steps": 6,
                                        "optimizer.schedule": "constant", "checkpoint.every": 1,
                                        "checkpoint.keep": 9}
                    done = self.run_train(run, skips, "--chaos", f"{kind}@4:{component}", ranks=ranks)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertRegex(done.stdout, rf"step 4 is not finite: {component} in layer \d, on "
                                     r"rank \d had it first; the step is skipped")
                    before, after = (rondo_runs.read_checkpoint(self.checkpoint_file(run, step))
                                     for step in (3, 4))
                    self.assertNotEqual(before.pop("position").tobytes(), after.pop("position").tobytes())
                    for name, values in before.items():
                        self.assertEqual(after[name].tobytes(), values.tobytes(), name)
                    skipped = [m.get("skipped", False) for m in read_metrics(self.folder / run)]
                    self.assertEqual(skipped, [False] * 3 + [True] + [False] * 2)

    def test_too_many_skipped_steps_in_a_row_end_the_run(self):
        faults = "nan@2:attention/0,nan@4:attention/0,nan@5:attention/0,nan@6:attention/0"
        done = self.run_train("run", {"train.on_nonfinite": "skip", "train.nonfinite_limit": 3},
                              "--chaos", faults, ranks=2)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"rondo: the gradient of step 6 is not finite: attention/0 in layer "
                         r"0, on rank \d had it first, as were those of the 2 steps before it")

    def test_a_spike_goes_back_to_the_last_checkpoint_and_on_with_later_data(self):
        settings = {"train.steps": 50, "checkpoint.every": 10, "train.on_spike": "rewind",
                    "checkpoint.keep": 9}
        done = self.run_train("run", settings, "--chaos", "spike@34", ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"the losses of steps 34 to 36 lie far above those before them "
                         r"\([\d.]+\): goes back to step 30, and on with the data after step 36")
        metrics = read_metrics(self.folder / "run")
        self.assertEqual([m["step"] for m in metrics], list(range(1, 51)))
        self.assertLess(max(m["loss"] for m in metrics[30:]), metrics[0]["loss"])
        inspected = json.loads(self.rondo("inspect", self.checkpoint_file("run", 50), "--json"))
        self.assertEqual(inspected["samples"], 8 * (50 + 6), "the data of the spike is read once")
        self.assertEqual([m.get("rewinds", 0) for m in metrics], [0] * 30 + [1] * 20)
        self.assertIn("  1 rewind  ", self.rondo("watch", "run", "--once"))
        self.rondo("report", "run")
        self.assertIn('"rewinds":1,', (self.folder / "report.html").read_text())
        again = self.run_train("often", settings | {"train.max_rewinds": 1},
                               "--chaos", "spike@34,spike@45")
        self.assertEqual(again.returncode, 1)
        self.assertIn("after 1 rewind", again.stderr)

    def test_the_best_file_is_that_of_the_lowest_held_out_loss(self):
        settings = {"data.validation": 0.1, "train.eval_every": 2, "checkpoint.every": 0,
                    "checkpoint.keep_best": True, "train.steps": 8}
        done = self.run_train("run", settings, "--chaos", "spike@6", ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        metrics = read_metrics(self.folder / "run")
        losses = {m["step"]: m["validation_loss"] for m in metrics if "validation_loss" in m}
        best = min(losses, key=losses.get)
        self.assertNotEqual(best, 8, "nothing is shown where the last step is the best")
        found = json.loads(self.rondo("inspect", self.folder / "run/checkpoints/best.h5", "--json"))
        self.assertEqual((found["step"], found["validation_loss"]), (best, losses[best]))

    def test_every_validation_set_has_a_loss_of_its_own(self):
        for seed in (5, 6):
            write_corpus(self.folder / f"held{seed}", [random_tokens(400 * seed, 64, seed)])
        metrics = self.train("run", BASE | {"data.validation_path": "[held5,held6]",
                                            "train.eval_batches": 100})
        each = metrics[-1]["validation_losses"]
        for name, loss in each.items():
            said = json.loads(self.rondo("eval", "--checkpoint", self.checkpoint_file("run", 12),
                                         "--data", name, "--sequence", 16, "--precision", "float64"))
            self.assertAlmostEqual(loss, said["loss"], delta=1e-10)
        self.assertEqual(set(each), {"held5", "held6"})
        self.assertAlmostEqual(metrics[-1]["validation_loss"], sum(each.values()) / 2, delta=1e-12)

    def test_a_rank_that_lags_is_named_with_its_phase(self):
        slow = self.run_train("slow", {"train.steps": 4, "train.global_batch": 6, "log.every": 2},
                              "--chaos", "slow@2:1", ranks=3)
        self.assertEqual(slow.returncode, 0, slow.stderr)
        self.assertRegex(slow.stdout, r"rank 1 is slow: [\d.]+ s a step in the phase other, its likes [\d.e-]+ s")
        phases = read_metrics(self.folder / "slow")[-1]["ranks"][1]["phases"]
        self.assertEqual(set(phases), {"data", "forward", "backward", "messages", "sums", "optimizer",
                                       "save", "other"})

    def test_a_dated_folder_is_made_once_for_all_ranks(self):
        settings = {key: value for key, value in BASE.items() if key != "log.dir"}
        self.rondo("train", *words(settings), "run=dated", ranks=2)
        found = [str(path.relative_to(self.folder)) for path in self.folder.glob("runs/*/*/metrics.jsonl")]
        self.assertEqual(len(found), 1)
        self.assertTrue(re.fullmatch(r"runs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d/metrics.jsonl", found[0]), found)


THREE = {"train.global_batch": 6, "train.micro_batch": 2}  # what three ranks can share


def event_times(file):
    """The time that TensorBoard shows for each record: field 1 of an Event, a double."""
    data = file.read_bytes()
    times, at = [], 0
    while at < len(data):
        size, = struct.unpack_from("<Q", data, at)
        times.append(struct.unpack_from("<d", data, at + 13)[0])
        at += size + 16
    return times


class Faults(Runs):
    """What the kernel does to a rank costs one message that names it."""

    def strike(self, fault, settings=None, ranks=3):
        own = {"log.dir": "run", "distributed.deadline_s": 3}
        done = self.run_rondo("train", *words(BASE | THREE | own | (settings or {})),
                              "--chaos", fault, ranks=ranks)
        self.assertNotEqual(done.returncode, 0)
        lines = [line for line in done.stderr.splitlines() if line.startswith("rondo: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def test_a_rank_that_is_killed_is_named(self):
        line = self.strike("kill@5:1")
        self.assertRegex(line, r"rank 1 \(process \d+\) is gone: killed by a signal, or by the kernel")
        self.assertEqual(self.run_rondo("train", *words(BASE | THREE | {"log.dir": "run"}),
                                        ranks=3).returncode, 0)

    def test_what_is_not_finite_before_the_first_checkpoint_is_told_so(self):
        line = self.strike("nan@2", {"checkpoint.every": 6})
        self.assertRegex(line, r"attention/0 .*there is no checkpoint yet, and the same command begins anew$")

    def test_a_rank_that_is_stopped_is_named_at_the_deadline(self):
        line = self.strike("stop@5:2")
        self.assertRegex(line, r"rank \d waited 3 s in \w+ on .*; rank 2 \(process \d+\) is stopped")

    def test_a_full_disk_costs_the_steps_after_the_newest_checkpoint(self):
        line = self.strike("disk@6", {"checkpoint.async": False})
        self.assertRegex(line, r"cannot write run/checkpoints/step-00000008\.h5 \(rank 0\): .*: File too large; when that "
                               r"is mended, the same command goes on from run/checkpoints/step-00000004\.h5$")
        self.assertEqual([file.name for file in (self.folder / "run/checkpoints").glob("*[!.]*.*h5*")],
                         ["step-00000004.h5"])
        self.assertEqual(self.run_rondo("train", *words(BASE | THREE | {"log.dir": "run"}), ranks=3).returncode, 0)
        self.train("straight", BASE | THREE, ranks=3)
        self.assert_same_datasets(self.checkpoint_file("run", 12), self.checkpoint_file("straight", 12))

    def test_a_clock_that_jumps_changes_nothing(self):
        library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        self.assertTrue(library, "there is no libfaketime (Debian: faketime)")
        clock = self.folder / "clock"
        clock.write_text("+0")
        settings = THREE | {"train.steps": 40, "train.exit_after": "10m", "distributed.deadline_s": 20,
                            "log.tensorboard": True, "checkpoint.keep": 100}
        environment = rondo_runs.ENVIRONMENT | {
            "LD_PRELOAD": library[0], "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_RESET": "1", "DONT_FAKE_MONOTONIC": "1"}
        process = subprocess.Popen(self.command("train", *words(BASE | settings | {"log.dir": "run"}), ranks=3),
                                   cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True)
        for step, jump in ((4, "+30d"), (16, "-30d")):
            while not self.checkpoint_file("run", step).exists() and process.poll() is None:
                time.sleep(0.01)
            clock.write_text(jump)
        output = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 0, output)
        seen = event_times(next((self.folder / "run/tensorboard").iterdir()))
        self.assertGreater(max(seen) - min(seen), 20 * 86400, "the clock did not jump")
        self.assertLess(max(m["step_s"] for m in read_metrics(self.folder / "run")), 60)
        self.assertGreater(min(m["step_s"] for m in read_metrics(self.folder / "run")), 0)
        self.train("straight", BASE | settings, ranks=3)
        self.assert_same_run("run", "straight", 40)

    def test_a_rank_without_memory_is_named_with_what_takes_less(self):
        # Not while a save goes on in the background: HDF5 1.10 ends the process by itself where it gets none.
        wide = {"model.hidden": 256, "model.ffn": 512, "model.heads": 8, "model.kv_heads": 8, "train.steps": 60,
                "checkpoint.async": False}
        saving = {"checkpoint.every": 1}  # the others wait for its part of a file
        for settings in (wide, wide | saving):
            with self.subTest(settings=settings):
                shutil.rmtree(self.folder / "run", ignore_errors=True)
                self.assertRegex(self.strike("memory@5:1", settings), r"rank 1.*out of memory.*distributed.zero=1")
        shutil.rmtree(self.folder / "run")
        self.assertRegex(self.strike("memory@5", wide, ranks=1), r"rondo: out of memory.*distributed.zero=1")


if __name__ == "__main__":
    rondo_runs.main()
