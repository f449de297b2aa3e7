"""Training on several ranks is training on one: losses, norms, weights, optimizer state."""

import numpy as np

import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_checkpoint, write_corpus

LAYOUTS = [(ranks, zero) for ranks in (1, 2, 4) for zero in (0, 1)]


class Ranks(RondoTest):

    def setUp(self):
        super().setUp()
        tokens = random_tokens(2000, 64)
        write_corpus(self.folder / "corpus", [tokens[:777], tokens[777:]])

    def train_on(self, run, ranks, settings):
        return self.train(run, rondo_runs.TINY_MODEL | {
            "data.path": "corpus", "data.sequence": 16, "train.steps": 5, "train.global_batch": 8,
            "train.micro_batch": 1, "train.eval_every": 0, "optimizer.warmup": 2,
            "optimizer.lr": 3e-3} | settings, ranks=ranks)

    def assert_close(self, ours, theirs, tolerance):
        for one, other in zip(ours, theirs, strict=True):
            for key in ("loss", "grad_norm"):
                self.assertAlmostEqual(one[key], other[key], delta=tolerance)
            self.assertEqual((one["step"], one["lr"], one["tokens"]),
                             (other["step"], other["lr"], other["tokens"]))

    def assert_same_state(self, ours, theirs):
        """Weights and optimizer state, each tensor to rounding of its largest element."""
        self.assertEqual(set(ours), set(theirs))
        for name, expected in theirs.items():
            scale = np.abs(expected).max()
            self.assertGreater(scale, 0, f"{name} was never updated")
            np.testing.assert_allclose(ours[name], expected, atol=1e-12 * scale, rtol=0,
                                       err_msg=name)

    def assert_traffic(self, metrics, ranks, zero, parameters):
        """What a ring sends, summed over the ranks, for one flat float64 buffer; it is padded to
        whole lines of 32 elements after each of its components and once for all ranks."""
        sent = [m["sent_bytes"] for m in metrics]
        self.assertEqual(sent, [sent[0]] * len(sent))
        self.assertEqual(sent[0]["activation"], 0)
        whole = 8 * sum(value.size for value in parameters.values())
        padding = 8 * 32 * (len(parameters) + ranks)
        around = ranks - 1  # n ranks send (n − 1)/n of the buffer each
        kinds = {"reduce": 1, "gather": 1} if zero else {"reduce": 2, "gather": 0}
        for kind, times in kinds.items():
            self.assertGreaterEqual(sent[0][kind], times * around * whole)
            self.assertLessEqual(sent[0][kind], times * around * (whole + padding))

    def test_ranks_and_sharded_state_change_nothing_but_rounding(self):
        settings = {"train.precision": "float64", "relaxation.rank": 2}
        expected = self.train_on("alone", 0, settings)
        state = read_checkpoint(self.checkpoint_file("alone", 5))
        parameters = {name: v for name, v in state.items() if name.startswith("parameters/")}
        moments = [name for name in state if name.startswith("optimizer/")]
        self.assertEqual(len(moments), 2 * len(parameters))
        self.assertLess(expected[-1]["loss"], expected[0]["loss"])
        for ranks, zero in LAYOUTS:
            with self.subTest(ranks=ranks, zero=zero):
                run = f"on-{ranks}-zero-{zero}"
                metrics = self.train_on(run, ranks, settings | {"distributed.zero": zero})
                self.assert_close(metrics, expected, 1e-10)
                self.assert_same_state(read_checkpoint(self.checkpoint_file(run, 5)), state)
                self.assert_traffic(metrics, ranks, zero, parameters)

    def test_larger_microbatches_on_more_ranks_change_nothing_but_rounding(self):
        settings = {"train.precision": "float64", "sharing": "zigzag"}
        expected = self.train_on("alone", 0, settings | {"train.micro_batch": 8})
        metrics = self.train_on("spread", 2, settings | {"train.micro_batch": 4,
                                                         "distributed.zero": 1,
                                                         "train.recompute": "layer"})
        self.assert_close(metrics, expected, 1e-10)

    def test_float32_on_two_ranks_stays_near_one_rank(self):
        expected = self.train_on("alone", 0, {})
        for zero in (0, 1):
            metrics = self.train_on(f"zero-{zero}", 2, {"distributed.zero": zero})
            self.assert_close(metrics, expected, 1e-4)


if __name__ == "__main__":
    rondo_runs.main()
