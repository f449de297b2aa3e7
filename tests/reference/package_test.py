"""Programs of others find rondo's libraries with CMake, and what they make of them is right."""

import math
import pathlib
import re
import subprocess

import h5py

import rondo_runs
from rondo_runs import RondoTest, random_tokens, write_corpus

EXAMPLES = pathlib.Path(__file__).parent.parent.parent / "examples" / "package"


class Package(RondoTest):

    def setUp(self):
        super().setUp()
        self.prefix = self.folder / "usr"
        self.own = self.folder / "own"
        self.call("cmake", "--install", pathlib.Path(self.program).parent, "--prefix", self.prefix,
                  "--component", "development")

    def call(self, *command, code=0, **environment):
        done = subprocess.run([str(word) for word in command], cwd=self.folder, capture_output=True, text=True,
                              timeout=300, env=rondo_runs.ENVIRONMENT | environment)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def configure(self, *settings, code=0, **environment):
        return self.call("cmake", "-S", EXAMPLES, "-B", self.own, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}",
                         *settings, code=code, **environment)

    def numbers(self, text, pattern):
        found = re.search(pattern, text)
        self.assertIsNotNone(found, text)
        return [float(number) for number in found.groups()]

    def test_the_examples_build_and_tell_the_truth(self):
        self.configure()
        self.call("cmake", "--build", self.own)

        text = self.call(self.own / "definition", "cycle", 12, 4)
        stored, executed = self.numbers(text, r"stored (\d+) parameters, executed (\d+)")
        layer = 4 * 256 * 256 + 3 * 256 * 1024 + 2 * 256
        self.assertEqual(stored, 258 * 256 + 4 * layer + 256)
        self.assertEqual(executed, 258 * 256 + 12 * layer + 256)
        once = 4 * layer
        worth, = self.numbers(text, r"3 passes, worth (\d+) parameters")
        self.assertAlmostEqual(worth / (3 ** 0.46 * once), 1.0, delta=1e-3)
        self.assertIn("'sequnce' does not exist", self.call(self.own / "definition", "sequnce", 12, 4, code=2))

        text = self.call(self.own / "plan", 8)
        self.assertRegex(text, r"cycle +pipeline 2 .*\n +step \d")
        self.assertRegex(text, r"sequence +pipeline 2 .*\n +step \d")

        loss, = self.numbers(self.call(self.own / "store"), r"loss (\S+) nats a token")
        self.assertAlmostEqual(loss, math.log(100), delta=0.2)

    def test_a_checkpoint_of_ones_own_is_one_of_rondos(self):
        self.configure("-Dprograms=checkpoints")
        self.call("cmake", "--build", self.own)
        write_corpus(self.folder / "corpus", [random_tokens(9000, 64)])
        self.train("run", rondo_runs.TINY_MODEL | {"data.path": "corpus", "data.sequence": 16, "train.steps": 4,
                                                   "checkpoint.every": 2, "optimizer.lr": 0.1})
        parts = [self.checkpoint_file("run", step) for step in (2, 4)]
        self.call(self.own / "checkpoints", "mean.h5", *parts)
        with h5py.File(parts[0]) as a, h5py.File(parts[1]) as b, h5py.File(self.folder / "mean.h5") as mean:
            name = "parameters/attention/1/q_proj/weight"
            expected = (a[name][()].astype("float64") + b[name][()]) / 2
            self.assertLess(abs(mean[name][()] - expected).max(), 1e-7)
            self.assertGreater(abs(a[name][()] - expected).max(), 1e-3)
        self.rondo("eval", "--checkpoint", "mean.h5", "--data", "corpus", "--max-tokens", 64)

    def test_plans_need_no_libtorch_and_the_store_says_which_it_needs(self):
        nowhere = {"RONDO_LIBTORCH": "/nowhere"}
        self.configure("-Dprograms=definition;plan", **nowhere)
        text = " ".join(self.configure("-Dprograms=store", code=1, **nowhere).split())
        self.assertRegex(text, r"need LibTorch 2\.\d+\.\d+, and /nowhere holds unknown")
        text = " ".join(self.configure("-Dprograms=storage", code=1).split())
        self.assertIn("rondo has no component storage; choose among definition, plan, store, checkpoints", text)


if __name__ == "__main__":
    rondo_runs.main()
