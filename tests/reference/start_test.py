"""Where a run begins: from another run's weights, or from a checkpoint; and what that refuses."""

import h5py

import rondo_runs
from rondo_runs import read_checkpoint, words
from mistakes_test import TRAINS, WithCorpus

# As TRAINS, the model left to the groups' defaults.
OF_A_FILE = {key: value for key, value in TRAINS.items() if key not in rondo_runs.TINY_MODEL}


class Start(WithCorpus):

    def setUp(self):
        super().setUp()
        self.rondo("train", *words(TRAINS))
        self.file = "run/checkpoints/step-00000002.h5"
        self.weights = "weights.h5"  # as from a conversion
        with h5py.File(self.folder / self.file) as whole:
            with h5py.File(self.folder / self.weights, "w") as bare:
                bare.attrs.update(whole.attrs)
                whole.copy("parameters", bare)

    def start_refuses(self, settings, *expected, ranks=0):
        with self.subTest(**settings):
            self.refuses(["train", *words(OF_A_FILE | {"log.dir": "new"} | settings)], expected,
                         ranks)

    def test_the_model_of_the_file_stands_and_no_key_is_ignored(self):
        start = {"train.init": self.file}
        self.rondo("train", *words(OF_A_FILE | start | {"log.dir": "bare"}))
        self.rondo("train", *words(TRAINS | start | {"log.dir": "same"}))
        for run in ("bare", "same"):
            found = read_checkpoint(self.checkpoint_file(run, 2))
            self.assertEqual(found["parameters/embedding/weight"].shape, (64, 32))
        self.start_refuses(start | {"model.hidden": 64}, r"'model\.hidden=64'", r"train\.init",
                           "model.hidden = 32", "drop", "rondo convert")
        self.start_refuses(start | {"sharing.unique": 2}, r"'sharing\.unique=2'", "drop")
        self.start_refuses(start | {"relaxation.rank": 1}, r"'relaxation\.rank=1'", "drop", ranks=2)
        self.refuses(["train", "--multirun", *words(OF_A_FILE | start), "model.ffn=48,49"],
                     [r"'model\.ffn=49'"])

    def test_a_file_that_cannot_serve_is_named_with_its_key(self):
        self.start_refuses({"train.init": "nope.h5"}, r"train\.init.*nope\.h5.*no such file")
        resume = TRAINS | {"log.dir": "new"}
        self.start_refuses(resume | {"checkpoint.resume": "Auto"}, r"checkpoint\.resume",
                           "did you mean auto")
        self.start_refuses(resume | {"checkpoint.resume": "nope.h5"},
                           r"checkpoint\.resume.*nope\.h5.*no such file")
        self.start_refuses(resume | {"checkpoint.resume": self.weights}, r"weights\.h5",
                           "optimizer", r"train\.init=weights\.h5")

    def test_a_resumed_run_says_what_it_does_differently(self):
        again = TRAINS | {"train.steps": 3, "distributed.zero": 1, "checkpoint.keep": 7}
        self.assertIn("resumes with other values than the file's: train.steps 2 -> 3, "
                      "distributed.zero 0 -> 1\n", self.rondo("train", *words(again)))
        self.assertNotIn("other values", self.rondo("train", *words(again)))


if __name__ == "__main__":
    rondo_runs.main()
