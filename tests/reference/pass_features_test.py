"""Norms and encodings of passes, and scalars of each use: on pipelines, resumed and converted."""

import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_checkpoint, words, write_corpus

SETTINGS = rondo_runs.TINY_MODEL | {
    "model.depth": 8, "sharing.unique": 2, "sharing.prelude": 1, "sharing.coda": 1,
    "model.pass_norm": "own", "model.pass_encoding": True, "model.branch_scales": True,
    "data.path": "corpus", "data.sequence": 16, "train.steps": 6, "train.global_batch": 8,
    "train.micro_batch": 1, "train.precision": "float64", "train.eval_every": 0,
    "optimizer.schedule": "constant", "optimizer.warmup": 0, "optimizer.lr": 1e-2}
LAYOUTS = [
    (2, {"distributed.pipeline": 2, "distributed.schedule": "zero_bubble"}),
    (2, {"distributed.pipeline": 2, "distributed.route": "vee", "distributed.passes": 2,
         "train.recompute": "layer"}),
    (4, {"distributed.pipeline": 2, "distributed.zero": 1, "distributed.schedule": "interleaved"}),
]


class PassFeatures(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(9000, 64)])

    def losses(self, run, settings, ranks=1):
        return [m["loss"] for m in self.train(run, SETTINGS | settings, ranks=ranks)]

    def refuses(self, arguments, expected):
        done = self.run_rondo(*arguments)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        for part in expected:
            self.assertIn(part, done.stderr)

    def assert_near(self, found, expected):
        for ours, theirs in zip(found, expected, strict=True):
            self.assertAlmostEqual(ours, theirs, delta=1e-10)

    def test_are_one_process_on_every_layout(self):
        kinds = [{}, {"model.pass_norm": "shared", "sharing.coda": 0, "model.depth": 7},
                 {"train.passes": "uniform:1..3"}, {"relaxation.rank": 2}]
        for kind, features in enumerate(kinds):
            expected = self.losses(f"one{kind}", features)
            for number, (ranks, layout) in enumerate(LAYOUTS):
                with self.subTest(features=features, layout=layout):
                    run = f"run{kind}{number}"
                    self.assert_near(self.losses(run, features | layout, ranks), expected)

    def test_have_parameters_that_learn(self):
        self.train("run", SETTINGS)
        state = read_checkpoint(self.checkpoint_file("run", 6))
        for name, start in (("scales/3/attention/branch", 1), ("scales/0/feed_forward/residual", 1),
                            ("pass_encoding/2/weight", 0), ("pass_norm/0/weight", 1)):
            self.assertGreater(abs(state[f"parameters/{name}"] - start).max(), 1e-3, name)

    def test_resume_bit_for_bit(self):
        straight = self.losses("straight", {})
        self.losses("parts", {"train.steps": 3})
        self.assertEqual(self.losses("parts", {}), straight)

    def test_keep_to_maps_of_the_same_passes_and_to_files_of_rondo(self):
        self.train("run", SETTINGS)
        file = self.checkpoint_file("run", 6)
        self.refuses(["convert", "--from", str(file), "--to", "hf:out"], ["norms, encodings"])
        self.refuses(["convert", "--from", str(file), "--to", "x.h5", "--untie"], ["other passes"])
        self.rondo("convert", "--from", file, "--to", "relaxed.h5", "--relax", 2, "--adapter", "zero",
                   "--precision", "float64")
        report = [self.rondo("eval", "--checkpoint", name, "--data", "corpus", "--sequence", 16,
                             "--precision", "float64") for name in (file, "relaxed.h5")]
        self.assertEqual(report[0], report[1])

    def test_are_refused_where_nothing_recurs(self):
        self.refuses(["train", *words(SETTINGS | {"sharing.strategy": "none", "log.dir": "run",
                                                  "sharing.unique": 0})], ["repeats none"])


if __name__ == "__main__":
    rondo_runs.main()
