"""Any number of ranks, with and without sharded optimizer state, trains as one rank does."""

import numpy as np

import rondo_runs
from rondo_runs import TINY_MODEL, RondoTest, random_tokens, read_checkpoint, write_corpus

STEPS = 5
TOLERANCE = 1e-10
SETTINGS = TINY_MODEL | {
    "sharing.strategy": "cycle", "relaxation.rank": 2, "data.path": "corpus", "data.sequence": 16,
    "train.steps": STEPS, "train.global_batch": 8, "train.micro_batch": 2,
    "train.precision": "float64", "optimizer.warmup": 2, "optimizer.lr": 1e-3}


class Ranks(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(2000, 64)])

    def test_any_ranks_and_zero_levels_agree_with_one_rank(self):
        one = self.train("one", SETTINGS)
        weights = read_checkpoint(self.checkpoint_file("one", STEPS))
        self.assertTrue(any(name.startswith("optimizer/exp_avg_sq/") for name in weights))
        for ranks in (2, 4):
            for zero in (0, 1):
                with self.subTest(ranks=ranks, zero=zero):
                    run = f"run-{ranks}-{zero}"
                    many = self.train(run, SETTINGS | {"distributed.zero": zero}, ranks=ranks)
                    self.assertEqual(len(many), STEPS)
                    for ours, alone in zip(many, one, strict=True):
                        for key in ("loss", "grad_norm"):
                            self.assertAlmostEqual(ours[key], alone[key], delta=TOLERANCE)
                    found = read_checkpoint(self.checkpoint_file(run, STEPS))
                    self.assertEqual(set(found), set(weights))
                    for name, value in weights.items():
                        np.testing.assert_allclose(found[name], value, rtol=0, atol=TOLERANCE,
                                                   err_msg=name)

    def test_bytes_sent_are_those_of_a_ring(self):
        settings = SETTINGS | {"relaxation.rank": 0, "train.steps": 1}
        self.train("alone", settings)
        stored = read_checkpoint(self.checkpoint_file("alone", 1))
        smallest = 8 * sum(v.size for n, v in stored.items() if n.startswith("parameters/"))
        for ranks in (2, 4):
            plain, sharded = (
                self.train(f"run-{ranks}-{zero}", settings | {"distributed.zero": zero},
                           ranks=ranks)[0]["sent_bytes"] for zero in (0, 1))
            # All ranks together: 2 (n - 1) buffers for a sum, half of that for its scattered form
            # and for the gather. Padding to equal shards adds less than a part in fifty.
            self.assertEqual(plain["gather"], 0)
            self.assertEqual(sharded["reduce"], sharded["gather"])
            self.assertEqual(plain["reduce"], 2 * sharded["reduce"])
            self.assertEqual(plain["activation"], 0)
            buffers = sharded["reduce"] / (ranks - 1)
            self.assertGreaterEqual(buffers, smallest)
            self.assertLess(buffers, 1.02 * smallest)

    def test_one_rank_sends_nothing(self):
        sent = self.train("one", SETTINGS | {"train.steps": 1})[0]["sent_bytes"]
        self.assertEqual(sent, {"activation": 0, "reduce": 0, "gather": 0})


if __name__ == "__main__":
    rondo_runs.main()
