"""Models of every family that transformers makes, trained by rondo, show transformers' losses."""

import json

import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

import rondo_runs
from rondo_runs import RondoTest, random_tokens, write_corpus

torch.set_num_threads(1)
transformers_logging.disable_progress_bar()
VOCAB, SEQUENCE, BATCH, STEPS = 64, 16, 4, 4
LLAMA_LIKE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
              "num_attention_heads": 4, "vocab_size": VOCAB, "initializer_range": 0.1}
GQA = LLAMA_LIKE | {"num_key_value_heads": 2}
# transformers computes norms and rotary angles in float32, whatever the model's type.
TOLERANCE = 1e-7


class Families(RondoTest):

    def setUp(self):
        super().setUp()
        self.tokens = random_tokens(STEPS * BATCH * SEQUENCE + 40, VOCAB)
        write_corpus(self.folder / "corpus", [self.tokens])

    def make_model(self, config):
        """A folder with a random model; biases and gains are random too."""
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(config).float()
        with torch.no_grad():
            for value in model.parameters():
                if value.dim() == 1:
                    value.add_(0.2 * torch.randn_like(value))
        model.save_pretrained(self.folder / "hf")

    def expected(self):
        """Loss and gradient norm of each step of AdamW."""
        model = AutoModelForCausalLM.from_pretrained(self.folder / "hf", dtype=torch.float64)
        model.eval()  # no dropout
        matrices = [p for p in model.parameters() if p.dim() >= 2]
        vectors = [p for p in model.parameters() if p.dim() < 2]
        optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1},
                                       {"params": vectors, "weight_decay": 0.0}],
                                      lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
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
        self.make_model(config)
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

    def test_gpt2(self):
        self.check(transformers.GPT2Config(n_embd=32, n_layer=3, n_head=4, vocab_size=VOCAB,
                                           n_positions=24, initializer_range=0.1,
                                           bos_token_id=None, eos_token_id=None))

    def test_gemma(self):
        # Else the embedding's row of the padding token would start at zero and get no gradient.
        self.check(transformers.GemmaConfig(**LLAMA_LIKE, num_key_value_heads=1, head_dim=12,
                                            pad_token_id=None))

    def test_qwen2(self):
        self.check(transformers.Qwen2Config(**GQA, tie_word_embeddings=True))

    def test_qwen3(self):
        self.check(transformers.Qwen3Config(**GQA, head_dim=12))

    def test_mistral(self):
        self.check(transformers.MistralConfig(**GQA, sliding_window=None))


if __name__ == "__main__":
    rondo_runs.main()
