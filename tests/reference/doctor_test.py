"""What `rondo doctor` says of a sound machine, and of one that has a fault."""

import json
import os
import subprocess

import rondo_runs
from rondo_runs import RondoTest, random_tokens, words, write_corpus


class Doctor(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(900, 64)])

    def examine(self, settings=None, ranks=2, shell=""):
        """Exit code, and the findings by subject."""
        command = self.command("doctor", "--json", *words({"data.path": "corpus", "model.vocab": 64} | (settings or {})),
                               ranks=ranks)
        done = subprocess.run(["bash", "-c", shell + 'exec "$@"', "doctor", *command], cwd=self.folder, text=True,
                              env=rondo_runs.ENVIRONMENT, capture_output=True, timeout=60)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        found = {}
        for finding in json.loads(done.stdout)["findings"]:
            found.setdefault(finding["subject"], []).append((finding["grade"], finding["text"]))
        return done.returncode, found

    def test_a_sound_machine_passes_on_one_rank_and_on_three_and_nothing_is_left(self):
        for ranks in (0, 3):
            settings = {"train.global_batch": 12, "cluster.gpus_per_node": 3, "train.micro_batch": 1}
            code, found = self.examine(settings, ranks)
            self.assertEqual(code, 0, found)
            for subject in ("program", "nodes", "limits", "memory", "cores", "data", "clock", "files"):
                self.assertIn(subject, found)
            self.assertEqual("links" in found, ranks > 1)
            grades = {grade for subject in ("program", "nodes", "limits", "data", "clock", "files")
                      for grade, _ in found[subject]}
            self.assertEqual(grades, {"ok"}, found)
            self.assertFalse(list(self.folder.rglob(".rondo-doctor")))

    def test_a_folder_that_cannot_be_written_is_a_failure_with_a_way_out(self):
        code, found = self.examine({"log.dir": "/proc/nowhere"})
        self.assertEqual(code, 1)
        self.assertEqual(found["files"][0][0], "FAILURE")
        self.assertIn("/proc: no folder can be made", found["files"][0][1])
        self.assertIn("choose another log.dir", found["files"][0][1])

    def test_a_corpus_that_is_missing_is_a_failure_before_the_run(self):
        code, found = self.examine({"data.path": "elsewhere"})
        self.assertEqual(code, 1)
        self.assertIn("there is no elsewhere.bin", found["data"][0][1])

    def test_low_limits_are_warned_of_with_the_command_that_raises_them(self):
        code, found = self.examine(shell="ulimit -n 200; ")
        self.assertEqual(code, 0)
        self.assertEqual(found["limits"], [("warning", "at most 200 open files: ulimit -n 4096")])

    def test_a_model_that_does_not_fit_is_a_failure_before_the_run(self):
        code, found = self.examine({"model.hidden": 65536, "model.ffn": 262144, "model.depth": 200, "sharing": "none"})
        self.assertEqual(code, 1)
        failures = [text for grade, text in found["memory"] if grade == "FAILURE"]
        self.assertRegex(str(failures), r"^\['the model takes [\d.]+TB? on each rank .*distributed\.zero=1\)'\]$")
        _, found = self.examine(ranks=2)
        self.assertRegex(str(found["memory"]), r"the run keeps [\d.]+[kM]B or more on each of 2 ranks here")

    def test_more_threads_than_cores_are_warned_of(self):
        _, found = self.examine({"train.threads": 2 * os.cpu_count()})
        self.assertEqual(found["cores"][0][0], "warning")
        self.assertIn("start fewer ranks, or lower train.threads", found["cores"][0][1])

    def test_nodes_of_another_size_than_the_planner_is_told_are_warned_of(self):
        _, found = self.examine({"cluster.gpus_per_node": 1}, ranks=2)
        self.assertEqual(found["nodes"][0][0], "ok", "one node is one, whatever the config says")

    def test_a_mistake_in_the_words_is_a_line_and_code_2(self):
        done = self.run_rondo("doctor", "train.step=3", ranks=2)
        self.assertEqual(done.returncode, 2)
        self.assertIn("did you mean train.steps?", done.stderr)

    def test_a_file_that_may_not_grow_is_a_failure_and_its_limit_is_named(self):
        code, found = self.examine(shell="ulimit -f 4096; ")  # blocks of 1024 bytes: one rank's part
        self.assertEqual(code, 1)
        self.assertIn("all ranks cannot write into one file: File too large", found["files"][0][1])
        self.assertIn("ulimit -f unlimited", found["limits"][0][1])


if __name__ == "__main__":
    rondo_runs.main()
