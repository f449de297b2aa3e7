"""Runs over several hosts: the same numbers as one process, and an end that names the link that failed."""

import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "reference"))

import network  # noqa: E402
import rondo_runs  # noqa: E402
from rondo_runs import RondoTest, random_tokens, read_metrics, words, write_corpus  # noqa: E402

SETTINGS = rondo_runs.TINY_MODEL | {
    "data.path": "corpus", "data.sequence": 16, "train.steps": 4, "train.global_batch": 16,
    "train.micro_batch": 2, "train.eval_every": 0, "train.precision": "float64", "log.tensorboard": False,
    "checkpoint.every": 2, "log.every": 1, "cluster.gpus_per_node": 2}


class Hosts(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(9000, 64)])

    def hosts(self, count, rate="1gbit"):
        made = network.Network(count, rate)
        self.addCleanup(made.stop)
        return made

    def train_words(self, run, settings):
        return [self.program, "train", *words(SETTINGS | {"log.dir": run} | settings)]

    def train_over(self, hosts, run, settings, each=2):
        ranks = each * len(hosts.addresses)
        done = subprocess.run([*hosts.mpirun(ranks, each), *self.train_words(run, settings)], cwd=self.folder,
                              env=rondo_runs.ENVIRONMENT, capture_output=True, text=True, timeout=200)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return read_metrics(self.folder / run), done.stdout

    def assert_equal_runs(self, ours, theirs):
        for a, b in zip(ours, theirs, strict=True):
            self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-10)
            self.assertAlmostEqual(a["grad_norm"], b["grad_norm"], delta=1e-10)

    def test_two_and_four_hosts_of_two_ranks_compute_what_one_process_computes(self):
        alone = self.train("alone", SETTINGS)
        for count in (2, 4):
            hosts = self.hosts(count)
            for name, settings in {"replicas": {"distributed.zero": 1},
                                   "stages": {"distributed.pipeline": 2, "distributed.neighbours": "stages"},
                                   "rows": {"distributed.pipeline": 2, "distributed.neighbours": "replicas",
                                            "distributed.zero": 1},
                                   "auto": {"distributed.pipeline": "auto", "distributed.route": "auto",
                                            "distributed.schedule": "auto"}}.items():
                with self.subTest(hosts=count, layout=name):
                    metrics, _ = self.train_over(hosts, f"{name}{count}", settings)
                    self.assert_equal_runs(metrics, alone)

    def test_the_planner_keeps_on_a_host_those_who_send_more(self):
        hosts = self.hosts(2, rate="100mbit")
        slow = {"cluster.inter_gbs": 0.0125, "cluster.inter_us": 100, "distributed.pipeline": 2,
                "model.hidden": 64, "model.ffn": 128, "train.steps": 3, "train.global_batch": 4,
                "train.micro_batch": 2, "data.sequence": 8, "sharing.unique": 6}
        metrics = {}
        for neighbours in ("stages", "replicas"):
            metrics[neighbours], _ = self.train_over(hosts, neighbours,
                                                     slow | {"distributed.neighbours": neighbours})
        _, said = self.train_over(hosts, "auto", slow)
        self.assertIn("pipelines of 2 ranks x 2 replicas side by side", said)
        # Messages of 8 kB a microbatch stay cheap between hosts; the sums of a megabyte do not.
        crossing = {neighbours: self.between_hosts(of[-1], neighbours) for neighbours, of in metrics.items()}
        self.assertLess(crossing["replicas"], crossing["stages"])

    def ranks(self):
        return self.running(f"^{self.program} train")

    @staticmethod
    def between_hosts(metrics, neighbours):
        sent = metrics["sent_bytes"]
        return sent["reduce"] if neighbours == "stages" else sent["activation"]

    def test_a_link_that_goes_down_ends_every_rank_with_its_name_and_the_rerun_resumes(self):
        deadline = 6
        settings = {"train.steps": 400, "distributed.deadline_s": deadline, "distributed.pipeline": 2,
                    "distributed.zero": 1, "checkpoint.keep": 99}
        hosts = self.hosts(2)
        process = subprocess.Popen([*hosts.mpirun(4, 2), *self.train_words("run", settings)], cwd=self.folder,
                                   env=rondo_runs.ENVIRONMENT, stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.STDOUT)
        steps = 0
        while steps < 5:
            line = process.stdout.readline()
            self.assertTrue(line, "the run ended by itself")
            steps += line.startswith("step ")
        hosts.cut(1)
        cut = time.monotonic()
        while self.ranks() and time.monotonic() - cut < 10 * deadline:
            time.sleep(0.2)
        # A rank ends at the deadline, or, where its launcher is out of reach, five seconds later.
        self.assertLess(time.monotonic() - cut, 3 * deadline)
        hosts.mend(1)
        process.kill()  # mpirun waits for the other host for as long as TCP does
        output, _ = process.communicate()
        lines = re.findall(r"^rondo: .*", output, re.MULTILINE)
        self.assertTrue(any(re.search(
            rf"rank \d waited {deadline} s in \w+ on (replica group|pipeline) \d+ \(ranks [\d ]+\).* a link is "
            "down between the nodes host0, host1", line) for line in lines), output)
        done = max(m["step"] for m in read_metrics(self.folder / "run"))
        again, said = self.train_over(hosts, "run", settings | {"train.steps": done + 3})
        self.assertIn("resumes after step", said)
        straight, _ = self.train_over(hosts, "straight", settings | {"train.steps": done + 3})
        self.assertEqual([m["loss"] for m in again], [m["loss"] for m in straight])


if __name__ == "__main__":
    if reason := network.missing():
        print(f"NOT RUN: {reason}")
        sys.exit(77)
    rondo_runs.main()
