"""Steps of changing depth, and gradients through the last passes only, agree with the reference."""

import h5py
import torch

import rondo_runs
from reference_trainer import (SLOT_MODULES, Recipe, ReferenceTrainer, float64_model, llama_config)
from rondo_runs import RondoTest, random_tokens, read_checkpoint, write_corpus

torch.set_num_threads(1)
PRELUDE, PERIOD, PASSES, CODA = 1, 2, 4, 1
SETTINGS = rondo_runs.TINY_MODEL | {
    "model.depth": PRELUDE + PERIOD * PASSES + CODA, "sharing.unique": PERIOD,
    "sharing.prelude": PRELUDE, "sharing.coda": CODA, "relaxation.rank": 2,
    "data.path": "corpus", "data.shuffle": False, "data.sequence": 16, "train.steps": 8,
    "train.global_batch": 8, "train.micro_batch": 1, "train.precision": "float64",
    "train.eval_every": 0, "optimizer.schedule": "constant", "optimizer.warmup": 0,
    "optimizer.lr": 1e-3}
TOLERANCE = 1e-10


class PassesReference(ReferenceTrainer):
    """Executes some of the layers of a whole model."""

    def __init__(self, config, maps, parameters, recipe):
        super().__init__(config, maps, parameters, recipe)
        self.config, self.whole, self.executed = config, maps, None

    def use(self, slot, layer, tensor):
        part, self.maps = self.maps, self.whole
        try:
            return super().use(slot, self.executed[layer], tensor)
        finally:
            self.maps = part

    def step_of(self, samples, passes, trained):
        """The first `passes` of the recurring layers; the last `trained` of them are trained."""
        recurring = PERIOD * passes
        self.executed = [*range(PRELUDE + recurring),
                         *range(PRELUDE + PERIOD * PASSES, len(self.whole["attention"]))]
        self.maps = {slot: [ids[layer] for layer in self.executed]
                     for slot, ids in self.whole.items()}
        self.config.num_hidden_layers = len(self.executed)
        self.model = float64_model(self.config)
        if trained < passes:
            first = self.model.model.layers[PRELUDE + recurring - PERIOD * trained]
            first.register_forward_pre_hook(lambda _, inputs: (inputs[0].detach(), *inputs[1:]))
        # What a step does not use has a gradient of zero; AdamW would skip it without one.
        for value in self.parameters.values():
            value.grad = torch.zeros_like(value)
        return self.step(samples)


class Passes(RondoTest):

    def setUp(self):
        super().setUp()
        self.tokens = random_tokens(8 * 8 * 16 + 40, rondo_runs.TINY_MODEL["model.vocab"])
        write_corpus(self.folder / "corpus", [self.tokens])
        still = {"train.steps": 1, "optimizer.lr": 0.0}
        self.train("start", SETTINGS | still)
        self.start = self.checkpoint_file("start", 1)

    def reference(self):
        blocks = [0, *[1, 2] * PASSES, 3]
        stored = read_checkpoint(self.start)
        parameters = {name.removeprefix("parameters/"): torch.from_numpy(value)
                      for name, value in stored.items() if name.startswith("parameters/")}
        with h5py.File(self.start) as file:
            config = llama_config(file.attrs["model"])
        return PassesReference(config, dict.fromkeys(SLOT_MODULES, blocks), parameters, Recipe())

    def check(self, settings, trained, ranks):
        found = self.train("run", {"train.init": self.start} | SETTINGS | settings, ranks=ranks)
        reference = self.reference()
        windows = torch.as_tensor(self.tokens).unfold(0, 17, 16)
        depths = set()
        for step, ours in enumerate(found):
            depths.add(ours["passes"])
            samples = windows[step * 8:(step + 1) * 8]
            theirs = reference.step_of(samples, ours["passes"], trained or PASSES)
            self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=TOLERANCE)
            self.assertAlmostEqual(ours["grad_norm"], theirs["grad_norm"], delta=TOLERANCE)
        return depths

    def test_depth_may_change_from_step_to_step(self):
        depths = self.check({"train.passes": "uniform:1..4"}, 0, ranks=1)
        self.assertGreater(len(depths), 2)

    def test_depth_may_change_on_a_pipeline(self):
        self.check({"train.passes": "poisson:2.5", "distributed.pipeline": 2,
                    "distributed.route": "vee", "distributed.zero": 1}, 0, ranks=2)

    def test_gradients_may_stop_before_the_last_passes(self):
        self.check({"train.passes": "uniform:1..4", "train.backprop_passes": 1}, 1, ranks=1)

    def test_gradients_may_stop_inside_a_pipeline(self):
        self.check({"train.backprop_passes": 2, "distributed.pipeline": 2,
                    "distributed.route": "contiguous", "distributed.schedule": "zero_bubble"}, 2,
                   ranks=4)


if __name__ == "__main__":
    rondo_runs.main()
