"""Models of every family that transformers makes, trained by rondo, show transformers' losses."""

import json

import torch
import transformers

import hf_models
import rondo_runs
from hf_models import LLAMA_LIKE, VOCAB
from rondo_runs import RondoTest, random_tokens, write_corpus

SEQUENCE, BATCH, STEPS = 16, 4, 4
# transformers computes norms and rotary angles in float32, whatever the model's type.
TOLERANCE = 1e-7


class Families(RondoTest):

    def setUp(self):
        super().setUp()
        self.tokens = random_tokens(STEPS * BATCH * SEQUENCE + 40, VOCAB)
        write_corpus(self.folder / "corpus", [self.tokens])

    def expected(self):
        """Loss and gradient norm of each step of AdamW."""
        model = hf_models.load(self.folder / "hf")
        optimizer = hf_models.adamw(model)
        windows = torch.as_tensor(self.tokens).unfold(0, SEQUENCE + 1, SEQUENCE)
        for step in range(STEPS):
            samples = windows[step * BATCH:(step + 1) * BATCH]
            logits = model(samples[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), samples[:, 1:].flatten())
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            yield loss.item(), norm.item()

    def check(self, config, run="run"):
        hf_models.save_random_model(config, self.folder / "hf")
        self.rondo("convert", "--from", "hf:hf", "--to", "start.h5", "--sharing", "none",
                   "--precision", "float64")
        metrics = self.train(run, {
            "train.init": "start.h5", "data.path": "corpus", "data.shuffle": False,
            "data.sequence": SEQUENCE, "train.steps": STEPS, "train.global_batch": BATCH,
            "train.micro_batch": 2, "train.precision": "float64", "train.eval_every": 0,
            "optimizer.schedule": "constant", "optimizer.warmup": 0, "optimizer.lr": 1e-3})
        self.check_eval(metrics)
        for ours, (loss, norm) in zip(metrics, self.expected(), strict=True):
            self.assertAlmostEqual(ours["loss"], loss, delta=TOLERANCE)
            self.assertAlmostEqual(ours["grad_norm"], norm, delta=10 * TOLERANCE * norm)

    def check_eval(self, metrics):
        """The samples of the first step, before it."""
        printed = self.rondo("eval", "--checkpoint", "start.h5", "--data", "corpus", "--precision",
                             "float64", "--sequence", SEQUENCE, "--max-tokens", BATCH * SEQUENCE)
        self.assertAlmostEqual(json.loads(printed)["loss"], metrics[0]["loss"], delta=1e-12)

    def test_gpt_neox(self):
        for fraction in (0.25, 1.0):
            with self.subTest(fraction=fraction):
                self.check(transformers.GPTNeoXConfig(**LLAMA_LIKE, rotary_pct=fraction,
                                                      tie_word_embeddings=False),
                           run=f"run-{fraction}")

    def test_the_others(self):
        for family, config in hf_models.configs().items():
            if family == "gpt_neox":
                continue
            with self.subTest(family=family):
                self.check(config, run=f"run-{family}")


if __name__ == "__main__":
    rondo_runs.main()
