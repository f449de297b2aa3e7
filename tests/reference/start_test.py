"""Where a run begins: from another run's weights, or from a checkpoint; and what that refuses."""

import json

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

    def test_a_run_is_not_resumed_in_the_place_of_another_start(self):
        start = OF_A_FILE | {"log.dir": "own"}
        self.rondo("train", *words(start | {"train.init": self.weights}))
        self.refuses(["train", *words(start | {"train.init": "nope.h5"})],
                     [r"own/checkpoints.* began from weights\.h5", r"choose another log\.dir"])
        same = {"train.init": f"../{self.folder.name}/{self.weights}"}
        self.assertIn("nothing to do", self.rondo("train", *words(start | same)))

    def test_a_resumed_run_says_what_it_does_differently(self):
        again = TRAINS | {"train.steps": 3, "distributed.zero": 1, "checkpoint.keep": 7}
        self.assertIn("resumes with other values than the file's: train.steps 2 -> 3, "
                      "distributed.zero 0 -> 1\n", self.rondo("train", *words(again)))
        self.assertNotIn("other values", self.rondo("train", *words(again)))

    def flip_a_bit_of(self, dataset):
        content = bytearray((self.folder / self.file).read_bytes())
        with h5py.File(self.folder / self.file) as file:
            content[file[dataset].id.get_offset()] ^= 1
        (self.folder / "damaged.h5").write_bytes(content)

    def test_weights_serve_where_only_the_optimizers_numbers_are_damaged(self):
        uses = [["eval", "--checkpoint", "damaged.h5", "--data", "corpus"],
                ["train", *words(OF_A_FILE | {"train.init": "damaged.h5", "log.dir": "new"})]]
        self.flip_a_bit_of("parameters/final_norm/weight")
        for use in uses:
            self.refuses(use, [r"damaged\.h5: /parameters/final_norm/weight does not match"])
        self.flip_a_bit_of("optimizer/exp_avg/final_norm/weight")
        for use in uses:
            self.rondo(*use)
        self.rondo("inspect", "damaged.h5")
        self.refuses(["inspect", "--verify", "damaged.h5"],
                     [r"damaged\.h5: /optimizer/exp_avg/final_norm/weight does not match"])

    def test_inspection_counts_for_the_sequence_that_was_trained_or_is_asked_for(self):
        seen = json.loads(self.rondo("inspect", "--json", "--verify", self.file))
        self.assertEqual(seen["sequence"], 16)
        self.assertTrue(seen["verified"])
        self.assertEqual(seen["parameters"]["unique"] - 64 * 32,
                         seen["parameters"]["unique_non_embedding"])
        longer = json.loads(self.rondo("inspect", "--json", "--sequence", 32, self.file))
        # Attention: 6 layers, 4 heads of 8, 12 operations a pair, half of the square.
        self.assertEqual(longer["flops_per_token"] - seen["flops_per_token"], 6 * 6 * 32 * 16)
        self.assertIn("16 tokens a sequence", self.rondo("inspect", self.file))


if __name__ == "__main__":
    rondo_runs.main()
