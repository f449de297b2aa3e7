"""Training with a teacher, judged by the same loss of transformers' models in PyTorch."""

import torch
from torch.nn import functional

import hf_models
import rondo_runs
from hf_models import VOCAB
from rondo_runs import RondoTest, random_tokens, words, write_corpus

SEQUENCE, BATCH, STEPS, LAYERS = 16, 4, 3, 4
TEMPERATURE, WEIGHT = 2.0, 0.7
SETTINGS = {
    "train.init": "student.h5", "train.distill": "teacher.h5",
    "train.distill_temperature": TEMPERATURE, "train.distill_weight": WEIGHT,
    "data.path": "corpus", "data.shuffle": False, "data.sequence": SEQUENCE, "train.steps": STEPS,
    "train.global_batch": BATCH, "train.micro_batch": 1, "train.precision": "float64",
    "train.eval_every": 0, "optimizer.schedule": "constant", "optimizer.warmup": 0,
    "optimizer.lr": 1e-3}
# transformers computes norms and rotary angles in float32, whatever the model's type.
TOLERANCE = 1e-7


class Distill(RondoTest):

    def setUp(self):
        super().setUp()
        self.tokens = random_tokens(STEPS * BATCH * SEQUENCE + 40, VOCAB)
        write_corpus(self.folder / "corpus", [self.tokens])
        self.make("teacher", "qwen3", LAYERS)

    def make(self, name, family, layers, *options):
        folder = self.folder / name
        hf_models.save_random_model(hf_models.configs(layers)[family], folder)
        self.rondo("convert", "--from", f"hf:{name}", "--to", f"{name}.h5", "--precision",
                   "float64", *options)

    def expected(self, temperature=TEMPERATURE, weight=WEIGHT):
        """Cross-entropy, divergence and gradient norm of each step of AdamW."""
        student, teacher = (hf_models.load(self.folder / n) for n in ("student", "teacher"))
        optimizer = hf_models.adamw(student)
        windows = torch.as_tensor(self.tokens).unfold(0, SEQUENCE + 1, SEQUENCE)
        for step in range(STEPS):
            samples = windows[step * BATCH:(step + 1) * BATCH]
            logits = student(samples[:, :-1], use_cache=False).logits.flatten(0, 1)
            with torch.no_grad():
                taught = teacher(samples[:, :-1], use_cache=False).logits.flatten(0, 1)
            hard = functional.cross_entropy(logits, samples[:, 1:].flatten())
            soft = functional.kl_div(functional.log_softmax(logits / temperature, -1),
                                     functional.log_softmax(taught / temperature, -1),
                                     log_target=True, reduction="batchmean")
            ((1 - weight) * hard + weight * temperature ** 2 * soft).backward()
            norm = torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            yield {"loss": hard.item(), "divergence": soft.item(), "grad_norm": norm.item()}

    def test_losses_and_gradients_are_those_of_pytorch(self):
        self.make("student", "llama", 3)
        metrics = self.train("run", SETTINGS)
        for ours, theirs in zip(metrics, self.expected(), strict=True):
            for key, value in theirs.items():
                self.assertAlmostEqual(ours[key], value, delta=TOLERANCE * max(1, 10 * value),
                                       msg=f"{key} of step {ours['step']}")

    def test_what_the_teacher_says_of_itself_is_no_divergence(self):
        metrics = self.train("run", SETTINGS | {
            "train.init": "teacher.h5", "train.steps": 1, "train.distill_weight": 1.0})
        self.assertLess(abs(metrics[0]["divergence"]), 1e-12)
        self.assertLess(metrics[0]["grad_norm"], 1e-12)

    def test_any_ranks_learn_what_one_learns(self):
        self.make("student", "llama", LAYERS, "--sharing", "cycle", "--unique", 2, "--relax", 3)
        alone = self.train("alone", SETTINGS)
        self.assertGreater(alone[0]["divergence"], 0.01)
        for name, ranks, shape in (
                ("pipeline", 2, {"distributed.pipeline": 2, "distributed.passes": 2}),
                ("replicas", 2, {"distributed.zero": 1}),
                ("both", 4, {"distributed.pipeline": 2, "distributed.route": "vee",
                             "distributed.passes": 2})):
            with self.subTest(name):
                metrics = self.train(name, SETTINGS | shape, ranks=ranks)
                for ours, theirs in zip(metrics, alone, strict=True):
                    for key in ("loss", "divergence", "grad_norm"):
                        self.assertAlmostEqual(ours[key] / theirs[key], 1.0, delta=1e-10,
                                               msg=f"{key} of step {ours['step']}")

    def test_a_teacher_that_cannot_teach_is_refused(self):
        self.make("student", "llama", 3)
        config = hf_models.configs(2)["llama"]
        config.vocab_size = VOCAB + 1
        hf_models.save_random_model(config, self.folder / "foreign")
        self.rondo("convert", "--from", "hf:foreign", "--to", "foreign.h5")
        (self.folder / "damaged.h5").write_bytes(
            (self.folder / "teacher.h5").read_bytes()[:-1000])
        for file, part in (("nowhere.h5", "nowhere.h5"),
                           ("damaged.h5", "it ends at byte"),
                           ("foreign.h5", f"knows {VOCAB + 1} tokens and the model {VOCAB}")):
            with self.subTest(file):
                done = self.run_rondo("train", *words(SETTINGS | {
                    "train.distill": file, "log.dir": "refused"}))
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn("train.distill", done.stderr)
                self.assertIn(part, done.stderr)
                self.assertFalse((self.folder / "refused").exists())


if __name__ == "__main__":
    rondo_runs.main()
