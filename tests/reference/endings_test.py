"""How a run ends when something goes wrong around it: numbers, signals, disks, locks, other runs."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time

import h5py
import numpy as np

import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_metrics, words, write_corpus

TRAINS = rondo_runs.TINY_MODEL | {
    "data.path": "corpus", "data.sequence": 16, "train.steps": 4, "train.global_batch": 4,
    "train.micro_batch": 1, "train.eval_every": 0, "optimizer.warmup": 0, "log.dir": "run",
    "log.every": 1, "log.tensorboard": False}


class Endings(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(9000, 64)])

    def run_train(self, settings, ranks=0, **options):
        return subprocess.run(self.command("train", *words(TRAINS | settings), ranks=ranks),
                              cwd=self.folder, env=rondo_runs.ENVIRONMENT, capture_output=True,
                              text=True, timeout=120, **options)

    def saved(self, run="run"):
        folder = self.folder / run
        return sorted(path.name for path in folder.rglob("step-*.h5"))

    def error_line(self, done):
        return [line for line in done.stderr.splitlines() if line.startswith("rondo: ")]

    # Numbers that are not finite.

    def wreck(self, file, dataset="parameters/attention/1/q_proj/weight", value=np.nan):
        with h5py.File(file, "r+") as whole:
            whole[dataset][0, 0] = value
            if "checksum" in whole[dataset].attrs:
                del whole[dataset].attrs["checksum"]

    def test_wrecked_weights_are_never_saved_and_the_last_healthy_file_is_named(self):
        for ranks in (0, 2):
            for background in (True, False):
                with self.subTest(ranks=ranks, background=background):
                    shutil.rmtree(self.folder / "run", ignore_errors=True)
                    settings = {"checkpoint.every": 1, "checkpoint.keep": 1,
                                "checkpoint.async": background}
                    healthy = self.run_train(settings | {"train.steps": 2}, ranks)
                    self.assertEqual(healthy.returncode, 0, healthy.stderr)
                    done = self.run_train(settings | {"optimizer.lr": 1e38}, ranks)
                    self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                    lines = self.error_line(done)
                    self.assertEqual(len(lines), 1, done.stderr)
                    self.assertIn("step-00000002.h5 is the newest checkpoint with finite weights: "
                                  "the same command goes on from there", lines[0])
                    self.assertEqual(self.saved(), ["step-00000002.h5"])
                    self.assertNotIn("MPI_ABORT", done.stderr)

    def test_a_resumed_file_that_is_wrecked_leads_back_to_the_one_before_it(self):
        self.train("run", TRAINS | {"checkpoint.every": 2})
        self.wreck(self.checkpoint_file("run", 4))
        done = self.run_train({"train.steps": 6})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"step-00000002\.h5 is the newest checkpoint with finite "
                                      r"weights: move the later ones away")

    def test_no_number_that_is_not_finite_comes_with_success(self):
        self.train("run", TRAINS)
        file = self.checkpoint_file("run", 4)
        evaluate = ["eval", "--checkpoint", file, "--data", "corpus", "--max-tokens", 64]
        json.loads(self.rondo(*evaluate))
        for value in (np.nan, np.inf):
            self.wreck(file, value=value)
            for ranks in (0, 2):
                done = self.run_rondo(*evaluate, ranks=ranks)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, r"rondo: .*step-00000004\.h5: the loss is -?(nan|inf)"
                                              r".*: /parameters/attention/1/q_proj/weight is not")
            done = self.run_train({"train.init": str(file), "log.dir": f"new-{value}"})
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertEqual(self.saved(f"new-{value}"), [])

    def test_a_held_out_loss_that_is_not_finite_ends_the_run(self):
        untied = {"model.tie_embeddings": False}
        self.train("run", TRAINS | untied)
        file = self.checkpoint_file("run", 4)
        # Of token 63, which training does not see.
        with h5py.File(file, "r+") as whole:
            whole["parameters/embedding/weight"][63] = np.inf
            del whole["parameters/embedding/weight"].attrs["checksum"]
        write_corpus(self.folder / "low", [random_tokens(9000, 60)])
        write_corpus(self.folder / "high", [np.full(900, 63)])
        done = self.run_train({"train.init": str(file), "log.dir": "new", "data.path": "low",
                               "data.validation_path": "high"} | untied)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("the held-out loss after step 4 is not finite", done.stderr)
        self.assertEqual(self.saved("new"), [])

    # Two runs and their folders.

    def test_a_folder_of_checkpoints_has_one_owner(self):
        shared = {"checkpoint.dir": "shared"}
        self.assertEqual(self.run_train(shared | {"log.dir": "p0"}).returncode, 0)
        done = self.run_train(shared | {"log.dir": "p1", "train.steps": 6})
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertRegex(done.stderr, r"shared.* holds the checkpoints of the run in .*p0; choose")
        self.assertFalse((self.folder / "p1").exists())
        again = self.run_train(shared | {"log.dir": "p0", "train.steps": 6})
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_two_runs_at_once_never_share_a_folder_of_checkpoints(self):
        long = words(TRAINS | {"checkpoint.dir": "shared", "checkpoint.every": 20,
                               "train.steps": 100000, "log.dir": "p0"})
        first = subprocess.Popen(self.command("train", *long), cwd=self.folder,
                                 env=rondo_runs.ENVIRONMENT, stdout=subprocess.DEVNULL)
        try:
            for written in ("p0/metrics.jsonl", "shared/step-*.h5"):
                while not list(self.folder.glob(written)):
                    self.assertIsNone(first.poll())
                    time.sleep(0.01)
                done = self.run_train({"checkpoint.dir": "shared", "log.dir": "p1"})
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn("another run is writing into shared", done.stderr)
        finally:
            first.terminate()
            first.wait(timeout=60)

    # The files that a run reads.

    def test_a_data_set_that_changes_under_a_run_is_named_and_ends_it(self):
        def overwrite(file):
            file.write(b"\xff" * (file.seek(0, os.SEEK_END) - file.seek(0)))

        def cut_off(file):
            file.truncate(16)

        for ranks in (0, 2):
            for change, reason in ((overwrite, "the file has changed since it was opened; restore it"),
                                   (cut_off, "it was cut off, or its disk fails; restore it")):
                with self.subTest(ranks=ranks, change=change.__name__):
                    run = f"{change.__name__}-{ranks}"
                    write_corpus(self.folder / run, [random_tokens(90000, 64)])
                    settings = {"data.path": run, "log.dir": f"run-{run}", "train.steps": 100000, "checkpoint.every": 20}
                    process = subprocess.Popen(
                        self.command("train", *words(TRAINS | settings), ranks=ranks), cwd=self.folder,
                        env=rondo_runs.ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                    while not self.saved(f"run-{run}"):
                        self.assertIsNone(process.poll())
                        time.sleep(0.01)
                    with open(self.folder / f"{run}.bin", "r+b") as file:
                        change(file)
                    errors = process.communicate(timeout=60)[1]
                    self.assertEqual(process.returncode, 1, errors)
                    lines = [line for line in errors.splitlines() if line.startswith("rondo: ")]
                    self.assertEqual(len(lines), 1, errors)
                    whose = r"rank \d: " if ranks else ""
                    self.assertRegex(lines[0], rf"rondo: {whose}{run}\.bin: .*{reason}")
                    self.assertNotIn("MPI_ABORT", errors if not ranks else "")

    def test_a_disk_that_fills_up_costs_no_checkpoint(self):
        self.train("one", TRAINS | {"log.dir": "one"})
        size = self.checkpoint_file("one", 4).stat().st_size
        (self.folder / "small").mkdir()
        script = self.folder / "within.sh"
        train = self.command("train", *words(TRAINS | {
            "train.steps": 12, "checkpoint.every": 1, "checkpoint.keep": 100, "checkpoint.dir": "small/run"}))
        script.write_text(f"mount -t tmpfs -o size={4 * size + size // 2} tmpfs small\n"
                          f"\"$@\"; code=$?\n"
                          "ls small/run; mkdir kept; cp small/run/* kept\n"
                          "exit $code\n")
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        done = subprocess.run(["unshare", *as_root, "--mount", "sh", script, *map(str, train)], cwd=self.folder,
                              env=rondo_runs.ENVIRONMENT, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"^rondo: cannot write small/run/step-00000005\.h5 .*the disk of small/run has 0 MB free; make room.*; when "
                                      r"that is mended, the same command goes on from small/run/step-00000004\.h5\n$")
        self.assertEqual(sorted(file.name for file in (self.folder / "kept").iterdir()),
                         [f"step-{step:08}.h5" for step in (1, 2, 3, 4)])
        self.rondo("inspect", self.folder / "kept/step-00000004.h5", "--verify")

    def test_no_line_of_a_log_is_dropped_without_a_copy(self):
        self.train("run", TRAINS)
        before = (self.folder / "run" / "metrics.jsonl").read_text()
        self.train("run", TRAINS | {"checkpoint.dir": "elsewhere", "train.steps": 2})
        self.assertEqual((self.folder / "run" / "metrics.dropped.jsonl").read_text(), before)
        self.assertEqual(len(read_metrics(self.folder / "run")), 2)

    # Locks of other processes.

    def test_a_foreign_lock_does_not_damage_a_checkpoint(self):
        self.train("run", TRAINS)
        file = self.checkpoint_file("run", 4)
        with open(file) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.rondo("inspect", file)
            done = self.run_train({"train.steps": 5})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("resumes after step 4\n", done.stdout)

    def test_a_file_system_without_locks_is_one_to_save_to(self):
        no_locks = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock",
                    "-e", "inject=flock:error=ENOLCK"]
        for steps in (2, 4):
            done = subprocess.run(
                [*no_locks, *self.command("train", *words(TRAINS | {"train.steps": steps}))],
                cwd=self.folder, env=rondo_runs.ENVIRONMENT, capture_output=True, text=True,
                timeout=300)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("damaged", done.stderr)
        self.assertIn("resumes after step 2\n", done.stdout)

    def test_a_container_that_forbids_to_read_other_processes_runs_ranks(self):
        # Messages of 64 KiB: Open MPI reads those from the sender's memory where it may.
        settings = TRAINS | {"model.hidden": 64, "data.sequence": 32, "train.global_batch": 16,
                             "train.micro_batch": 8, "distributed.pipeline": 2}
        free = self.train("free", settings | {"log.dir": "free"}, ranks=2)
        forbidden = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=process_vm_readv",
                     "-e", "inject=process_vm_readv:error=EPERM"]
        done = subprocess.run(
            [*forbidden, *self.command("train", *words(settings | {"log.dir": "bound"}), ranks=2)],
            cwd=self.folder, env=rondo_runs.ENVIRONMENT, capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertNotIn("Read -1", done.stdout)
        self.assertEqual([m["loss"] for m in read_metrics(self.folder / "bound")],
                         [m["loss"] for m in free])

    # Signals.

    def start(self, settings):
        return subprocess.Popen(self.command("train", *words(TRAINS | settings)), cwd=self.folder,
                                env=rondo_runs.ENVIRONMENT, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def wait_for_steps(self, process, steps):
        metrics = self.folder / "run" / "metrics.jsonl"
        while not metrics.exists() or metrics.read_text().count("\n") < steps:
            self.assertIsNone(process.poll(), "the run ended by itself")
            time.sleep(0.005)

    def test_signals_that_come_together_are_one_request(self):
        process = self.start({"train.steps": 100000})
        self.wait_for_steps(process, 2)
        for sent in (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):
            process.send_signal(sent)
        output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, rondo_runs.STOPPED, output)
        self.assertIn("stopped by a signal after step", output)
        self.assertEqual(len(self.saved()), 1)

    def test_a_signal_is_heeded_within_an_evaluation(self):
        # Minutes of held-out tokens after the second step.
        write_corpus(self.folder / "long", [random_tokens(400000, 64)])
        process = self.start({"train.steps": 100, "train.eval_every": 2,
                              "data.validation_path": "long", "train.eval_batches": 100000,
                              "data.sequence": 4, "checkpoint.every": 1})
        while "step-00000001.h5" not in self.saved():
            self.assertIsNone(process.poll())
            time.sleep(0.005)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, rondo_runs.STOPPED, output)
        self.assertIn("stopped by a signal after step", output)
        self.assertNotIn("held-out", output)

    # A disk that runs full: here, a file that may not grow.

    def test_a_log_that_cannot_be_written_does_not_cost_the_run(self):
        for ranks in (0, 2):
            for tensorboard in (False, True):
                with self.subTest(ranks=ranks, tensorboard=tensorboard):
                    shutil.rmtree(self.folder / "run", ignore_errors=True)
                    done = self.full_disk(ranks, tensorboard)
                    self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                    self.assertIn("warning: cannot write run/metrics.jsonl", done.stdout)
                    self.assertRegex(done.stderr, r"rondo: the run has ended and is saved, but "
                                                  r".*metrics\.jsonl lacks its last lines")
                    self.assertNotIn("MPI_ABORT", done.stderr)
                    self.assertEqual(self.saved(), ["step-00000030.h5"])

    def full_disk(self, ranks, tensorboard):
        """Metrics go to a full device; checkpoints to a disk with room."""
        (self.folder / "run").mkdir()
        os.symlink("/dev/full", self.folder / "run" / "metrics.jsonl")
        return self.run_train({"train.steps": 30, "log.tensorboard": tensorboard}, ranks)

    # Files that other programs made of ours.

    def test_a_compressed_checkpoint_is_read_like_any_other(self):
        self.train("straight", TRAINS | {"checkpoint.every": 2, "log.dir": "straight"})
        shutil.copytree(self.folder / "straight", self.folder / "run")
        self.checkpoint_file("run", 4).unlink()
        file = self.checkpoint_file("run", 2)
        packed = file.with_suffix(".packed")

        def pack(name, item):
            if not isinstance(item, h5py.Dataset):
                return
            chunks = tuple(max(1, size // 3) for size in item.shape)
            copy = target.create_dataset(name, data=item[()], chunks=chunks, compression="gzip",
                                         shuffle=True, fletcher32=True)
            copy.attrs.update(item.attrs)

        with h5py.File(file) as source, h5py.File(packed, "w") as target:
            target.attrs.update(source.attrs)
            source.visititems(pack)
        packed.rename(file)
        self.rondo("inspect", "--verify", file)
        for ranks in (0, 2):
            done = self.run_train({"log.dir": f"again-{ranks}", "train.init": str(file)}, ranks)
            self.assertEqual(done.returncode, 0, done.stderr)
        printed = self.rondo("train", *words(TRAINS))
        self.assertIn("resumes after step 2\n", printed)
        self.assert_same_datasets(self.checkpoint_file("run", 4),
                                  self.checkpoint_file("straight", 4))

    # What is told on the way.

    def test_the_time_that_is_left_counts_evaluations(self):
        printed = self.rondo("train", *words(TRAINS | {
            "train.steps": 3, "data.validation_path": "corpus", "train.eval_batches": 200}))
        eta = re.search(r"step 1/3 .*ETA ([0-9.]+)s", printed)
        steps = [m["step_s"] for m in read_metrics(self.folder / "run")]
        # 140 global batches of forward are some 45 steps.
        self.assertGreater(float(eta[1]), 10 * steps[0], printed)


if __name__ == "__main__":
    rondo_runs.main()
