"""Norms and encodings of passes, and scalars of each use, train as a transformers Llama with hooks."""

import types

import h5py
import torch

import rondo_runs
from reference_trainer import SLOT_MODULES, Recipe, ReferenceTrainer, llama_config
from rondo_runs import RondoTest, random_tokens, read_checkpoint, write_corpus

torch.set_num_threads(1)
PRELUDE, PERIOD, PASSES = 1, 2, 3
STEPS = 5
SETTINGS = rondo_runs.TINY_MODEL | {
    "sharing.unique": PERIOD, "sharing.prelude": PRELUDE, "model.pass_encoding": True,
    "model.branch_scales": True, "data.path": "corpus", "data.shuffle": False,
    "data.sequence": 16, "train.global_batch": 8, "train.micro_batch": 1,
    "train.precision": "float64", "train.eval_every": 0, "optimizer.schedule": "constant",
    "optimizer.warmup": 0, "optimizer.clip": 1.0}
TOLERANCE = 1e-10


def scaled_layer(trainer, index):
    """transformers' decoder layer, with a scalar on each branch and on the stream beside it."""
    def scale(slot, what):
        return trainer.parameters[f"scales/{index}/{slot}/{what}"]

    def forward(layer, hidden_states, **context):
        mixed, _ = layer.self_attn(hidden_states=layer.input_layernorm(hidden_states), **context)
        hidden_states = scale("attention", "residual") * hidden_states + (
            scale("attention", "branch") * mixed)
        mixed = layer.mlp(layer.post_attention_layernorm(hidden_states))
        return scale("feed_forward", "residual") * hidden_states + (
            scale("feed_forward", "branch") * mixed)
    return forward


class PassReference(ReferenceTrainer):

    def __init__(self, config, maps, parameters, recipe, norm, coda):
        super().__init__(config, maps, parameters, recipe)
        layers = self.model.model.layers
        for index, layer in enumerate(layers):
            layer.forward = types.MethodType(scaled_layer(self, index), layer)
        for number in range(PASSES):
            first = PRELUDE + number * PERIOD
            layers[first].register_forward_pre_hook(self.encoding(number))
            if coda > 0 or number + 1 < PASSES:  # else the final norm follows at once
                gain = "final_norm" if norm == "shared" else f"pass_norm/{number}"
                layers[first + PERIOD - 1].register_forward_hook(self.norm(gain, config))

    def encoding(self, number):
        return lambda _, inputs: (
            inputs[0] + self.parameters[f"pass_encoding/{number}/weight"], *inputs[1:])

    def norm(self, gain, config):
        return lambda _, __, output: torch.nn.functional.rms_norm(
            output, output.shape[-1:], self.parameters[f"{gain}/weight"], config.rms_norm_eps)


class PassFeatures(RondoTest):

    def check(self, norm, coda, variations):
        depth = PRELUDE + PERIOD * PASSES + coda
        settings = SETTINGS | {"model.depth": depth, "sharing.coda": coda, "model.pass_norm": norm}
        tokens = random_tokens(8 * STEPS * 16 + 40, rondo_runs.TINY_MODEL["model.vocab"])
        write_corpus(self.folder / "corpus", [tokens])
        # Far enough from a start, where scales are ones and encodings zeros.
        self.train("start", settings | {"train.steps": 4, "optimizer.lr": 3e-2})
        start = self.checkpoint_file("start", 4)
        stored = read_checkpoint(start)
        parameters = {name.removeprefix("parameters/"): torch.from_numpy(value)
                      for name, value in stored.items() if name.startswith("parameters/")}
        self.assertGreater(parameters["pass_encoding/1/weight"].abs().max(), 1e-2)
        with h5py.File(start) as file:
            config = llama_config(file.attrs["model"])
        blocks = [0, *[1, 2] * PASSES, *([3] * coda)]
        expected = PassReference(config, dict.fromkeys(SLOT_MODULES, blocks), parameters,
                                 Recipe(steps=STEPS), norm, coda).run(tokens)
        for number, (ranks, variation) in enumerate(variations):
            with self.subTest(**variation):
                found = self.train(f"run{number}", settings | variation | {
                    "train.init": start, "train.steps": STEPS, "optimizer.lr": 1e-3}, ranks=ranks)
                for ours, theirs in zip(found, expected, strict=True):
                    self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=TOLERANCE)
                    self.assertAlmostEqual(ours["grad_norm"], theirs["grad_norm"], delta=TOLERANCE)

    def test_norms_of_their_own(self):
        self.check("own", 1, [(1, {}), (2, {"distributed.pipeline": 2,
                                            "distributed.schedule": "zero_bubble"})])

    def test_norms_of_their_own_before_the_final_norm(self):
        self.check("own", 0, [(1, {"train.recompute": "layer"})])

    def test_the_final_norm_after_every_pass(self):
        self.check("shared", 0, [(1, {}), (2, {"distributed.pipeline": 2,
                                               "distributed.route": "vee",
                                               "distributed.zero": 1})])


if __name__ == "__main__":
    rondo_runs.main()
