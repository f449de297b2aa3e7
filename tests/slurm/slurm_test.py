"""The job scripts of slurm/ under a real Slurm: submit, preempt, requeue, resume, arrays, cancel, time limits.

RONDO_KILLS=100 kills a random rank as often in the unattended run; the default is what a test run has time for.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "reference"))

import cluster  # noqa: E402
import rondo_runs  # noqa: E402
from rondo_runs import RondoTest, random_tokens, read_metrics, words, write_corpus  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
KILLS = int(os.environ.get("RONDO_KILLS", "3"))
SETTINGS = rondo_runs.TINY_MODEL | {
    "data.path": "corpus", "data.sequence": 64, "train.steps": 60, "train.global_batch": 16,
    "train.micro_batch": 1, "train.eval_every": 0, "checkpoint.every": 2, "log.every": 1,
    "log.tensorboard": False}


class Slurm(RondoTest):

    slurm = None

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(cls.slurm.stop)

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(9000, 64)])

    def environment(self):
        return {"RONDO": self.program, "RONDO_SOURCE": str(SOURCE)}

    def submit(self, script, *arguments, options=()):
        said = self.slurm.run("sbatch", "--parsable", "--time=10", *options, SOURCE / "slurm" / script,
                              *arguments, folder=self.folder, environment=self.environment())
        return said.strip()

    def train_job(self, run, settings, options=()):
        return self.submit("train.sbatch", *words(SETTINGS | {"log.dir": run} | settings),
                           options=["--ntasks-per-node=2", *options])

    def log(self, job):
        file = self.folder / f"rondo-{job}.log"
        return file.read_text() if file.exists() else ""

    def wait_for_state(self, job, state, seconds=120):
        def reached():
            now = self.slurm.state(job)
            self.assertIn(now, (state, "PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SIGNALING"), self.log(job))
            return now == state
        self.slurm.wait(reached, seconds, f"{job} to be {state}\n{self.log(job)}")

    def steps(self, run):
        file = self.folder / run / "metrics.jsonl"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def wait_for_steps(self, run, count, job):
        def far_enough():
            self.assertIn(self.slurm.state(job), ("PENDING", "RUNNING", "COMPLETING", "SIGNALING"), self.log(job))
            return self.steps(run) >= count
        self.slurm.wait(far_enough, 120, f"step {count} of {run}")

    def ranks(self):
        """Processes that train; the job script also asks one where checkpoints lie."""
        return self.running(f"^{self.program} train [a-z]")

    def assert_same_as_straight(self, run, settings=None, ranks=2):
        settings = SETTINGS | (settings or {})
        self.train("straight", settings | {"checkpoint.every": 0}, ranks=ranks)
        ours, theirs = ({m["step"]: m["loss"] for m in read_metrics(self.folder / name)}
                        for name in (run, "straight"))
        self.assertEqual(ours, theirs)
        self.assert_same_datasets(self.checkpoint_file(run, settings["train.steps"]),
                                  self.checkpoint_file("straight", settings["train.steps"]))

    def test_a_job_that_is_preempted_is_queued_again_and_ends_as_if_it_had_not_been(self):
        job = self.train_job("run", {})
        self.wait_for_steps("run", 5, job)
        self.slurm.run("scancel", "--signal=USR1", job)
        self.slurm.wait(lambda: int(self.slurm.field(job, "Restarts")) == 1, 60, "a requeue")
        self.wait_for_state(job, "COMPLETED")
        log = self.log(job)
        self.assertIn("stopped by a signal after step", log)
        self.assertIn("stopped, not finished; job", log)
        self.assertIn("resumes after step", log)
        self.assert_same_as_straight("run")

    def test_a_sweep_is_an_array_with_a_task_for_each_run(self):
        sweep = words(SETTINGS | {"train.steps": 6, "train.seed": "range(0,3)"})

        def submit(options):
            return subprocess.run(
                [self.program, "train", "--multirun", *sweep, "launcher=slurm", f"launcher.sbatch={options}"],
                cwd=self.folder, text=True, capture_output=True,
                env=self.slurm.environment | self.environment(), timeout=60)

        refused = submit("--time=10 --partition=nowhere")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("sbatch did not take the sweep; nothing is submitted", refused.stderr)
        self.assertFalse((self.folder / "multirun").exists())
        said = submit("--time=10 --ntasks-per-node=2")
        self.assertEqual(said.returncode, 0, said.stderr)
        job = said.stdout.split()[3]
        self.assertIn("3 runs in multirun/0/0 … multirun/0/2", said.stdout)
        for task in range(3):
            self.wait_for_state(f"{job}_{task}", "COMPLETED")
        self.rondo("train", "--multirun", *sweep, "log.dir=here", ranks=2)
        for task in range(3):
            ours, theirs = ([m["loss"] for m in read_metrics(self.folder / run)]
                            for run in (f"multirun/0/{task}", f"here/{task}"))
            self.assertEqual(ours, theirs)
            self.assertEqual(len(ours), 6)

    def test_a_job_that_is_cancelled_leaves_nothing_running_and_can_be_taken_up(self):
        job = self.train_job("run", {})
        self.wait_for_steps("run", 4, job)
        self.slurm.run("scancel", job)
        self.wait_for_state(job, "CANCELLED")
        self.slurm.wait(lambda: not self.running(self.program), 30, "the end of all processes")
        self.assertEqual(int(self.slurm.field(job, "Restarts")), 0)
        self.train("run", SETTINGS, ranks=2)
        self.assert_same_as_straight("run")

    def test_a_run_of_several_time_limits_is_chained_until_it_is_done(self):
        settings = {"train.steps": 75}
        # A second a step: more than one limit of a minute.
        job = self.submit("train.sbatch", *words(SETTINGS | settings | {"log.dir": "run"}), "--chaos", "slow@1:0",
                          options=["--ntasks-per-node=2", "--time=1", "--signal=USR1@15"])
        self.wait_for_state(job, "COMPLETED", 500)
        self.assertGreater(int(self.slurm.field(job, "Restarts")), 0, "one limit was enough\n" + self.log(job))
        self.assert_same_as_straight("run", settings)

    def test_ranks_that_are_killed_at_random_cost_nothing_unattended(self):
        steps = 10 + 5 * KILLS
        settings = {"train.steps": steps, "checkpoint.every": 1, "distributed.pipeline": 2,
                    "distributed.zero": 1}
        # A second a step, so that the run is not over before all kills are done.
        job = self.submit("train.sbatch", *words(SETTINGS | settings | {"log.dir": "run"}), "--chaos", "slow@1:0",
                          options=["--ntasks-per-node=4"])
        chosen = random.Random(2)
        for kill in range(KILLS):
            self.wait_for_steps("run", self.steps("run") + chosen.randint(1, 4), job)
            time.sleep(0.3 * chosen.random())
            self.slurm.wait(self.ranks, 60, "ranks to kill")
            os.kill(int(chosen.choice(self.ranks())), signal.SIGKILL)
            self.slurm.wait(lambda: int(self.slurm.field(job, "Restarts")) == kill + 1, 60, "a requeue")
        self.wait_for_state(job, "COMPLETED", 300 + 2 * KILLS)
        self.assert_same_as_straight("run", settings, ranks=4)

    def test_a_run_that_dies_again_and_again_at_one_place_is_given_up(self):
        job = self.submit("train.sbatch", *words(SETTINGS | {"log.dir": "run"}), "--chaos", "kill@1:1",
                          options=["--ntasks-per-node=2"])
        self.wait_for_state(job, "FAILED")
        self.assertEqual(int(self.slurm.field(job, "Restarts")), 2)
        self.assertIn("in each of 3 starts without a new checkpoint; given up", self.log(job))

    def test_a_users_mistake_ends_the_job_with_its_line(self):
        job = self.train_job("run", {"model.heads": 7})
        self.wait_for_state(job, "FAILED")
        self.assertEqual(self.slurm.field(job, "ExitCode"), "2:0")
        lines = [line for line in self.log(job).splitlines() if line.startswith("rondo: ")]
        self.assertEqual(len(lines), 1, self.log(job))


if __name__ == "__main__":
    if reason := cluster.missing():
        print(f"NOT RUN: {reason}")
        sys.exit(77)
    try:
        Slurm.slurm = cluster.Cluster(cores=8)
    except (AssertionError, subprocess.SubprocessError) as error:
        print(f"NOT RUN: no Slurm comes up on this machine: {error}")
        sys.exit(77)
    rondo_runs.main()
