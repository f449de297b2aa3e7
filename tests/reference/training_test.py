"""Training from given weights shows the losses, gradient norms and weights of the reference."""

import dataclasses
import json

import h5py
import numpy as np
import torch

import rondo_runs
from reference_trainer import (SLOT_MODULES, LlamaConfig, Recipe, ReferenceTrainer, assign_blocks,
                               llama_config, make_random_model, shared_parameters)
from rondo_runs import RondoTest, random_tokens, read_checkpoint, replace_dataset, write_corpus

torch.set_num_threads(1)
VOCAB = 64
TOLERANCE = 1e-11  # of losses near 4 and norms near 1
WEIGHT_TOLERANCE = 1e-10  # Adam divides by what may be a small gradient


@dataclasses.dataclass
class Case:
    """One converted model. `unique` = 0 leaves it to the strategy."""
    strategy: str
    depth: int = 6
    unique: int = 0
    map: tuple = ()
    kv_heads: int = 2
    tied: bool = True
    init: str = "stepwise"

    def blocks(self):
        return list(self.map) or assign_blocks(self.strategy, self.depth, self.unique)


class Training(RondoTest):

    def setUp(self):
        super().setUp()
        self.tokens = random_tokens(5 * 8 * 16 + 40, VOCAB)
        write_corpus(self.folder / "corpus", [self.tokens[:300], self.tokens[300:]])

    def convert(self, case, seed):
        """The checkpoint that rondo makes of a random Hugging Face folder, which is "hf"."""
        make_random_model(self.folder / "hf", seed, hidden_size=32, intermediate_size=48,
                          num_hidden_layers=case.depth, num_attention_heads=4,
                          num_key_value_heads=case.kv_heads, vocab_size=VOCAB,
                          rms_norm_eps=1e-4, tie_word_embeddings=case.tied,
                          rope_parameters={"rope_type": "default", "rope_theta": 500.0})
        options = ["--sharing", case.strategy, "--init", case.init, "--precision", "float64"]
        options += ["--unique", case.unique] if case.unique else []
        options += ["--map", ",".join(map(str, case.map))] if case.map else []
        self.rondo("convert", "--from", "hf:hf", "--to", "start.h5", *options)

    def train_from(self, checkpoint, settings, run):
        fixed = {"train.init": checkpoint, "data.path": "corpus", "data.shuffle": False,
                 "data.sequence": 16, "train.steps": 5, "train.global_batch": 8,
                 "train.micro_batch": 4, "train.precision": "float64", "train.eval_every": 0,
                 "optimizer.schedule": "constant", "optimizer.warmup": 0, "optimizer.lr": 1e-3}
        return self.train(run, fixed | settings)

    def assert_same_weights(self, reference, run):
        found = read_checkpoint(self.checkpoint_file(run, 5))
        stored = {name.removeprefix("parameters/"): value for name, value in found.items()
                  if name.startswith("parameters/")}
        self.assertEqual(set(stored), set(reference.parameters))
        for name, value in reference.parameters.items():
            np.testing.assert_allclose(stored[name], value.detach(), atol=WEIGHT_TOLERANCE, rtol=0,
                                       err_msg=name)

    def assert_trains_as(self, reference, start, variations):
        """Each of `variations` of the settings must show what the reference shows."""
        expected = reference.run(self.tokens)
        for number, settings in enumerate(variations):
            with self.subTest(**settings):
                run = f"run-{number}"
                metrics = self.train_from(start, settings, run)
                self.assertEqual([m["step"] for m in metrics], [1, 2, 3, 4, 5])
                for ours, theirs in zip(metrics, expected, strict=True):
                    self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=TOLERANCE)
                    self.assertAlmostEqual(ours["grad_norm"], theirs["grad_norm"], delta=TOLERANCE)
                self.assert_same_weights(reference, run)

    def check(self, case, seed=0, recipe=Recipe(), variations=({},)):
        self.convert(case, seed)
        blocks = case.blocks()
        reference = ReferenceTrainer(
            LlamaConfig.from_pretrained(self.folder / "hf"), dict.fromkeys(SLOT_MODULES, blocks),
            shared_parameters(self.folder / "hf", blocks, case.init), recipe)
        self.assert_trains_as(reference, "start.h5", variations)

    def test_sequence_agrees_with_the_reference(self):
        self.check(Case("sequence", unique=3, kv_heads=4))

    def test_cycle_agrees_with_the_reference(self):
        self.check(Case("cycle", depth=7, unique=3, init="average", tied=False))

    def test_cycle_rev_agrees_with_the_reference(self):
        self.check(Case("cycle_rev", depth=8, unique=3, init="lower", kv_heads=1), seed=1)

    def test_middle_cycle_agrees_with_the_reference(self):
        self.check(Case("middle_cycle", depth=8, unique=4, init="upper"), seed=2)

    def test_middle_sequence_agrees_with_the_reference(self):
        self.check(Case("middle_sequence", depth=8, unique=4, tied=False), seed=3)

    def test_zigzag_agrees_with_the_reference(self):
        self.check(Case("zigzag", depth=7, unique=2, kv_heads=4, init="average"), seed=4)

    def test_an_explicit_map_agrees_with_the_reference(self):
        self.check(Case("explicit", map=(0, 2, 1, 1, 2, 0), init="upper", tied=False), seed=5)

    def test_no_sharing_agrees_with_the_reference(self):
        self.check(Case("none", depth=4, kv_heads=1), seed=6)

    def test_one_block_for_all_agrees_with_the_reference(self):
        self.check(Case("universal", init="average"), seed=7)

    def test_interleaved_agrees_with_the_reference(self):
        self.check(Case("interleaved", depth=7, init="lower"), seed=8)

    def test_neither_accumulation_nor_recompute_changes_training(self):
        self.check(Case("cycle", unique=3), variations=(
            {"train.micro_batch": 1}, {"train.micro_batch": 2}, {"train.micro_batch": 8},
            {"train.micro_batch": 2, "train.recompute": "layer"}))

    def test_mean_divides_each_shared_gradient_by_its_uses(self):
        self.check(Case("cycle", depth=7, unique=3), recipe=Recipe(gradient="mean"),
                   variations=({"sharing.gradient": "mean"},))

    def test_owner_lets_only_the_first_use_train(self):
        self.check(Case("zigzag", unique=2), recipe=Recipe(gradient="owner"), variations=(
            {"sharing.gradient": "owner"},
            {"sharing.gradient": "owner", "train.recompute": "layer"}))

    def test_optimizer_settings_mean_what_they_mean_in_pytorch(self):
        self.check(Case("cycle", unique=2), recipe=Recipe(lr=5e-3, clip=0.05, weight_decay=0.5),
                   variations=({"optimizer.lr": 5e-3, "optimizer.clip": 0.05,
                                "optimizer.weight_decay": 0.5},))

    def drawn_model(self, settings):
        """A checkpoint with drawn weights, of a model that `convert` cannot make: a training step
        at a rate of nothing."""
        self.train("drawn", rondo_runs.TINY_MODEL | {
            "data.path": "corpus", "data.sequence": 16, "train.steps": 1, "train.global_batch": 1,
            "train.micro_batch": 1, "train.eval_every": 0, "train.precision": "float64",
            "optimizer.schedule": "constant", "optimizer.warmup": 0, "optimizer.lr": 0.0,
            "train.seed": 3} | settings)
        return self.checkpoint_file("drawn", 1)

    def check_drawn(self, start, maps, variations=({},)):
        with h5py.File(start) as file:
            self.assertEqual(json.loads(file.attrs["sharing"]), maps)
            config = llama_config(file.attrs["model"])
        parameters = {name.removeprefix("parameters/"): torch.from_numpy(value)
                      for name, value in read_checkpoint(start).items()
                      if name.startswith("parameters/")}
        self.assert_trains_as(ReferenceTrainer(config, maps, parameters, Recipe()), start,
                              variations)

    def test_slots_with_maps_of_their_own_agree_with_the_reference(self):
        start = self.drawn_model({"sharing.attention": "sequence:3", "sharing.feed_forward":
                                  "universal", "sharing.norms": "none"})
        norms = assign_blocks("none", 6)
        self.check_drawn(start, {"attention": assign_blocks("sequence", 6, 3),
                                 "feed_forward": assign_blocks("universal", 6),
                                 "attention_norm": norms, "feed_forward_norm": norms})

    def test_prelude_and_coda_agree_with_the_reference(self):
        start = self.drawn_model({"sharing.unique": 2, "sharing.prelude": 1, "sharing.coda": 1})
        self.check_drawn(start, dict.fromkeys(SLOT_MODULES, [0, 1, 2, 1, 2, 3]))

    def test_relaxed_layers_agree_with_the_reference(self):
        # Rank 20 is more than half of the matrices have in one direction; 16 caps k_proj, v_proj.
        start = self.drawn_model({"relaxation.rank": 20})
        drawn = read_checkpoint(start)
        random = np.random.default_rng(0)
        adapters = [name for name in drawn if name.startswith("parameters/adapters")]
        self.assertEqual(len(adapters), 6 * 7 * 2)
        for name in filter(lambda name: name.endswith("/b"), adapters):
            self.assertFalse(drawn[name].any(), f"{name} must start at zero")
            replace_dataset(start, name, 0.05 * random.standard_normal(drawn[name].shape))
        self.assertEqual(drawn["parameters/adapters/0/attention/k_proj/a"].shape, (16, 32))
        self.check_drawn(start, dict.fromkeys(SLOT_MODULES, assign_blocks("cycle", 6, 3)),
                         variations=({}, {"train.recompute": "layer"}))


if __name__ == "__main__":
    rondo_runs.main()
