"""What a run says of each pass, against the hidden states of transformers."""

import json

import torch
import torch.nn.functional as F

import hf_models
import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_metrics, words, write_corpus

PASSES, PERIOD, PRELUDE = 3, 2, 1
SETTINGS = rondo_runs.TINY_MODEL | {
    "model.depth": PRELUDE + PASSES * PERIOD + 1, "sharing.unique": PERIOD, "sharing.prelude": PRELUDE,
    "sharing.coda": 1, "data.path": "corpus", "data.sequence": 16, "data.shuffle": False, "train.steps": 1,
    "train.global_batch": 4, "train.micro_batch": 1, "train.eval_every": 0, "optimizer.lr": 0,
    "train.precision": "float64", "log.pass_every": 1, "log.pass_loss_every": 1}


class PassStats(RondoTest):

    def setUp(self):
        super().setUp()
        self.tokens = random_tokens(900, 64)
        write_corpus(self.folder / "corpus", [self.tokens])

    def per_pass(self, run, settings=None, ranks=0):
        return self.train(run, SETTINGS | (settings or {}), ranks=ranks)[0]["per_pass"]

    def expected(self):
        """By transformers, of the first sample: the states around each pass."""
        self.rondo("convert", "--from", self.checkpoint_file("run", 1), "--to", "hf:hf")
        model = hf_models.load(self.folder / "hf")
        inputs = torch.tensor(self.tokens[:16])[None]
        targets = torch.tensor(self.tokens[1:17])
        with torch.no_grad():
            states = model(inputs, output_hidden_states=True).hidden_states  # entering each layer
            around = [states[PRELUDE + PERIOD * i][0] for i in range(PASSES + 1)]
            added = [after - before for before, after in zip(around, around[1:])]
            result = []
            for i, after in enumerate(around[1:]):
                logits = model.lm_head(model.model.norm(after))
                result.append({"norm": (after.norm() / 4).item(),  # over 16 tokens
                               "adds": (added[i].norm() / around[i].norm()).item(),
                               "loss": F.cross_entropy(logits, targets).item()})
                if i:
                    result[-1]["cosine"] = F.cosine_similarity(added[i].flatten(), added[i - 1].flatten(),
                                                               dim=0).item()
        return result

    def assert_near(self, found, expected):
        self.assertEqual(len(found), PASSES)
        for ours, theirs in zip(found, expected, strict=True):
            self.assertEqual(set(ours), set(theirs))
            for key, value in theirs.items():
                self.assertAlmostEqual(ours[key], value, delta=1e-5 * max(1, abs(value)), msg=key)

    def test_norms_shares_directions_and_losses_are_those_of_the_hidden_states(self):
        found = self.per_pass("run")
        self.assert_near(found, self.expected())

    def test_a_pipeline_and_replicas_say_the_same(self):
        alone = self.per_pass("run")
        for name, settings, ranks in (("two", {"distributed.pipeline": 2}, 2),
                                      ("vee", {"distributed.pipeline": 2, "distributed.route": "vee"}, 2),
                                      ("replicas", {"train.global_batch": 4}, 2)):
            with self.subTest(name):
                self.assert_near(self.per_pass(name, settings, ranks), alone)

    def test_looks_come_when_the_keys_say_so_and_change_nothing(self):
        settings = SETTINGS | {"train.steps": 6, "optimizer.lr": 1e-3}
        seen = self.train("seen", settings | {"log.pass_every": 2, "log.pass_loss_every": 3})
        kinds = ["loss" in m["per_pass"][0] if "per_pass" in m else None for m in seen]
        self.assertEqual(kinds, [None, False, True, False, None, True])
        blind = self.train("blind", settings | {"log.pass_every": 0, "log.pass_loss_every": 0})
        self.assertEqual([m["loss"] for m in seen], [m["loss"] for m in blind])
        self.assertFalse(any("per_pass" in m for m in blind))

    def test_a_model_without_passes_says_nothing(self):
        self.rondo("train", *words(SETTINGS | {"sharing.strategy": "none", "sharing.prelude": 0,
                                               "sharing.coda": 0, "sharing.unique": 8, "log.dir": "none",
                                               "log.tensorboard": False}))
        self.assertNotIn("per_pass", json.dumps(read_metrics(self.folder / "none")))


if __name__ == "__main__":
    rondo_runs.main()
