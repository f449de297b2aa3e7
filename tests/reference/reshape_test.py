"""A checkpoint of a pipeline with replicas goes on in any other shape of the job."""

import shutil

import h5py

import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_checkpoint, read_metrics, words, write_corpus

STEPS, HALF = 8, 4
SETTINGS = rondo_runs.TINY_MODEL | {
    "model.depth": 8, "sharing": "cycle", "sharing.unique": 4, "relaxation.rank": 2,
    "data.path": "corpus", "data.sequence": 16, "data.shuffle": True, "train.steps": STEPS,
    "train.global_batch": 8, "train.micro_batch": 1, "train.precision": "float64",
    "train.eval_every": 0, "optimizer.lr": 3e-3, "optimizer.warmup": 2,
    "optimizer.schedule": "cosine", "checkpoint.every": HALF, "log.tensorboard": False}
RANKS = 4


def shape(pipeline, zero, route="loop", passes=2):
    chosen = {"distributed.pipeline": pipeline, "distributed.zero": zero}
    if pipeline > 1:
        chosen |= {"distributed.route": route, "distributed.passes": passes}
    return chosen


SAVED = shape(2, 1)  # 2 ranks × 2 replicas
SHAPES = {
    "alone": (0, shape(1, 0)),
    "4 replicas": (RANKS, shape(1, 0)),
    "4 replicas, sharded": (RANKS, shape(1, 1)),
    "a pipeline of 4": (RANKS, shape(4, 0)),
    "a pipeline of 4 and back": (RANKS, shape(4, 1, route="vee")),
    "a pipeline of 4 in one pass": (RANKS, shape(4, 0, route="contiguous", passes=1)),
    "2 × 2 and back": (RANKS, shape(2, 0, route="vee")),
    "2 × 2 in four passes": (RANKS, shape(2, 1, passes=4)),
    "a pipeline of 2": (2, shape(2, 1)),
}


class Reshape(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(3000, 64)])
        self.straight = self.train("straight", SETTINGS | SAVED, ranks=RANKS)

    def resumed(self, run, ranks, settings):
        """The steps of a copy of the straight run that goes on from its half."""
        if not (self.folder / run).exists():
            self.half(run)
        printed = self.rondo("train", *words(SETTINGS | settings | {"log.dir": run}), ranks=ranks)
        self.assertIn(f"resumes after step {HALF}\n", printed)
        return read_metrics(self.folder / run)

    def half(self, run):
        shutil.copytree(self.folder / "straight", self.folder / run)
        self.checkpoint_file(run, STEPS).unlink()
        return self.checkpoint_file(run, HALF)

    def farthest(self, metrics):
        """The largest relative difference of a loss or norm after the half."""
        self.assertEqual([m["step"] for m in metrics], list(range(1, STEPS + 1)))
        return max(abs(ours[key] / theirs[key] - 1) for key in ("loss", "grad_norm")
                   for ours, theirs in zip(metrics[HALF:], self.straight[HALF:], strict=True))

    def test_another_shape_goes_on_with_the_same_losses(self):
        self.assertLess(self.straight[-1]["loss"], self.straight[0]["loss"])
        for number, (name, (ranks, settings)) in enumerate(SHAPES.items()):
            with self.subTest(name):
                metrics = self.resumed(f"run-{number}", ranks, settings)
                self.assertLess(self.farthest(metrics), 1e-9)

    def test_the_same_shape_goes_on_bit_for_bit(self):
        metrics = self.resumed("again", RANKS, SAVED)
        for ours, theirs in zip(metrics, self.straight, strict=True):
            for key in ("step", "loss", "grad_norm", "lr", "tokens"):
                self.assertEqual(ours[key], theirs[key], f"{key} of step {theirs['step']}")
        ours, theirs = (read_checkpoint(self.checkpoint_file(run, STEPS))
                        for run in ("again", "straight"))
        self.assertEqual(set(ours), set(theirs))
        for name, expected in theirs.items():
            self.assertEqual(ours[name].tobytes(), expected.tobytes(), name)

    def test_a_run_that_forgets_one_moment_is_far_from_it(self):
        """What the comparison above is worth: one tensor's moment is lost between the halves."""
        with h5py.File(self.half("forgetful"), "r+") as file:
            moment = file["optimizer/exp_avg_sq/attention/0/q_proj/weight"]
            moment[...] = moment[()].mean()
            del moment.attrs["checksum"]
        self.assertGreater(self.farthest(self.resumed("forgetful", *SHAPES["alone"])), 1e-7)


if __name__ == "__main__":
    rondo_runs.main()
