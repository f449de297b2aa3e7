"""Training on CUDA devices through NCCL, judged by the same runs on processors.

With one device this is one rank: all of training but the messages. Exits with 77 where there is no
device.
"""

import itertools
import json
import shutil
import sys

import torch

import rondo_runs
from rondo_runs import RondoTest, random_tokens, words, write_corpus

STEPS = 6
SETTINGS = rondo_runs.TINY_MODEL | {
    "data.path": "corpus", "data.sequence": 32, "train.steps": STEPS, "train.global_batch": 8,
    "train.micro_batch": 2, "train.eval_every": 0, "train.precision": "float64",
    "optimizer.warmup": 0, "checkpoint.every": 3, "log.tensorboard": False}
DEVICE = {"distributed.backend": "nccl"}
# Large enough for the kernels that split their sums; the size of the heads chooses the kernel.
LARGER = {"model.hidden": 256, "model.ffn": 512, "data.sequence": 256}
HEADS = ({"model.heads": 4, "model.kv_heads": 2}, {"model.heads": 2, "model.kv_heads": 1})


class OneDevice(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(20000, 64)])
        write_corpus(self.folder / "heldout", [random_tokens(1000, 64, seed=1)])

    def both(self, settings, tolerance):
        """New runs "host" and "device", which must have the same losses and gradient norms."""
        for run in ("host", "device"):
            shutil.rmtree(self.folder / run, ignore_errors=True)
        host = self.train("host", SETTINGS | settings)
        device = self.train("device", SETTINGS | settings | DEVICE)
        self.assertEqual(len(device), STEPS)
        for one, other in zip(device, host, strict=True):
            for key in ("loss", "grad_norm"):
                self.assertLess(abs(one[key] - other[key]) / other[key], tolerance,
                                f"{key} of step {one['step']}: {one[key]}, {other[key]}")
        return host, device

    def assert_same_files(self, one, other, tolerance):
        self.assert_same_datasets(self.checkpoint_file(one, STEPS),
                                  self.checkpoint_file(other, STEPS), tolerance)

    def test_it_computes_what_the_processor_does(self):
        for settings in ({},
                         {"train.recompute": "layer", "model.tie_embeddings": False},
                         {"relaxation.rank": 2, "optimizer.schedule": "cosine"},
                         {"train.passes": "uniform:1..2", "train.backprop_passes": 1},
                         {"sharing": "none", "sharing.unique": 0, "distributed.zero": 1}):
            with self.subTest(settings):
                self.both(settings, 1e-10)

    def test_every_family_computes_what_the_processor_does(self):
        for family in ("llama", "qwen2", "qwen3", "gemma", "gpt_neox", "gpt2"):
            with self.subTest(family):
                positions = {"model.positions": 32} if family == "gpt2" else {}
                for rank in (0, 2):
                    self.both({"model.family": family, "relaxation.rank": rank} | positions, 1e-10)

    def test_its_weights_and_moments_are_the_processors(self):
        self.both({}, 1e-10)
        self.assert_same_files("device", "host", 1e-10)

    def test_single_precision_is_near_it(self):
        self.both({"train.precision": "float32"}, 1e-4)

    def test_half_the_precision_is_not_far(self):
        exact = self.train("exact", SETTINGS)
        near = self.train("near", SETTINGS | DEVICE | {"train.precision": "bfloat16"})
        for one, other in zip(near, exact, strict=True):
            self.assertLess(abs(one["loss"] - other["loss"]) / other["loss"], 0.01)

    def resume(self, run, settings):
        """`run` again from its middle."""
        self.checkpoint_file(run, STEPS).unlink()
        printed = self.rondo("train", *words(SETTINGS | settings | {"log.dir": run}))
        self.assertIn(f"resumes after step {STEPS // 2}\n", printed)

    def test_it_resumes_bit_for_bit(self):
        cases = itertools.product(("float32", "bfloat16"), HEADS)
        for number, (precision, heads) in enumerate(cases):
            with self.subTest(precision=precision, **heads):
                wanted = DEVICE | LARGER | heads | {"train.precision": precision}
                straight, again = f"straight-{number}", f"again-{number}"
                self.train(straight, SETTINGS | wanted)
                self.train(again, SETTINGS | wanted)
                self.resume(again, wanted)
                self.assert_same_files(again, straight, 0)

    def test_runs_move_between_processor_and_device(self):
        self.both({}, 1e-10)
        self.rondo("train", *words(SETTINGS | DEVICE | {"log.dir": "third"}))
        self.resume("host", DEVICE)
        self.resume("device", {})
        self.assert_same_files("device", "third", 1e-10)
        self.assert_same_files("host", "third", 1e-10)

    def test_saves_behind_the_training_are_those_that_block_it(self):
        self.train("background", SETTINGS | DEVICE | {"checkpoint.every": 1})
        self.train("blocking", SETTINGS | DEVICE | {"checkpoint.async": False})
        self.assert_same_files("background", "blocking", 0)

    def test_a_teacher_teaches_on_the_device(self):
        self.train("teacher", SETTINGS | {"model.hidden": 48})
        self.both({"train.distill": self.checkpoint_file("teacher", STEPS)}, 1e-10)

    def test_held_out_losses_and_timelines_and_measured_plans(self):
        wanted = {"data.validation_path": "heldout", "train.eval_every": 3, "log.trace_step": 2}
        host, device = self.both(wanted, 1e-10)
        self.assertAlmostEqual(device[-1]["validation_loss"], host[-1]["validation_loss"],
                               delta=1e-10)
        self.assertTrue(list((self.folder / "device").glob("*measured*")))
        self.train("measured", SETTINGS | DEVICE | {"cluster": "measured",
                                                    "train.precision": "float32"})

    def test_it_evaluates_and_speaks_as_the_processor_does(self):
        self.train("run", SETTINGS | {"optimizer.lr": 0.02})
        file = self.checkpoint_file("run", STEPS)
        same = ["--checkpoint", file, "--precision", "float64"]
        losses, texts = [], []
        for device in ("cpu", "cuda"):
            losses.append(json.loads(self.rondo("eval", *same, "--data", "heldout", "--device",
                                                device))["loss"])
            texts.append(json.loads(self.rondo(
                "generate", *same, "--tokenizer", "bytes", "--prompt", "12 + 34 = ", "--max-tokens",
                12, "--temperature", 1, "--json", "--device", device))["tokens"])
        self.assertAlmostEqual(*losses, delta=1e-10)
        self.assertEqual(*texts)


if __name__ == "__main__":
    if not torch.cuda.is_available():
        print("NOT RUN: no CUDA device")
        sys.exit(77)
    rondo_runs.main()
