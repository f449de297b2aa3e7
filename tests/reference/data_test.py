"""What a run reads, seen in its losses: at a rate of zero the loss of a step depends on its samples alone."""

import json
import subprocess

import h5py
import numpy as np

import rondo_runs
from rondo_runs import RondoTest

MODEL = ["model.hidden=32", "model.ffn=48", "model.depth=4", "model.heads=2", "model.kv_heads=2",
         "sharing=cycle", "sharing.unique=2", "train.micro_batch=1", "train.eval_every=0",
         "train.precision=float64", "optimizer.lr=0", "optimizer.warmup=0", "checkpoint.every=0",
         "log.every=1", "log.tensorboard=false"]


class Data(RondoTest):

    def prepare(self, name, first, count):
        text = "".join(f"{number}\n" for number in range(first, first + count))
        (self.folder / f"{name}.txt").write_text(text)
        self.rondo("prepare", "--input", f"{name}.txt", "--output", name, "--tokenizer", "bytes")

    def metrics(self, run, *words):
        self.rondo("train", *MODEL, f"log.dir={run}", *words)
        return rondo_runs.read_metrics(self.folder / run)

    def losses(self, run, *words):
        return [line["loss"] for line in self.metrics(run, *words)]

    def test_after_a_change_of_batch_or_sequence_the_next_token_is_read(self):
        self.prepare("c", 1, 3000)
        common = ["data.path=c", "data.shuffle=false"]
        first = ["data.sequence=16", "train.global_batch=4", "train.steps=4"]
        self.losses("a", *common, *first)
        again = self.losses("a", *common, "data.sequence=16", "train.global_batch=2",
                            "train.steps=5")
        straight = self.losses("b", *common, "data.sequence=16", "train.global_batch=2",
                               "train.steps=9")
        self.assertAlmostEqual(again[4], straight[8], places=12)  # samples 16 and 17
        longer = self.losses("a", *common, "data.sequence=32", "train.global_batch=1",
                             "train.steps=6")
        straight = self.losses("d", *common, "data.sequence=32", "train.global_batch=1",
                               "train.steps=10")
        self.assertAlmostEqual(longer[5], straight[9], places=12)  # tokens 288 to 319
        with h5py.File(self.folder / "a/checkpoints/step-00000006.h5") as file:
            self.assertEqual((file.attrs["samples"], file.attrs["tokens"]), (19, 320))
            position = json.loads(bytes(file["position"][:]))
        self.assertEqual([phase["sequence"] for phase in position], [16, 32])

    def test_a_checkpoint_without_a_position_goes_on_by_its_config(self):
        self.prepare("c", 1, 3000)
        common = ["data.path=c", "data.sequence=16", "train.global_batch=2"]
        straight = self.losses("a", *common, "train.steps=6")
        self.losses("b", *common, "train.steps=4")
        with h5py.File(self.folder / "b/checkpoints/step-00000004.h5", "a") as file:
            del file.attrs["samples"], file["position"]
        self.assertEqual(self.losses("b", *common, "train.steps=6"), straight)

    def test_each_corpus_of_a_blend_is_held_out_and_measured_once(self):
        self.prepare("a", 1, 3000)
        self.prepare("b", 500000, 300)
        common = ["data.sequence=16", "data.validation=0.1", "train.global_batch=4",
                  "train.steps=1", "train.eval_batches=1000000"]
        alone = {name: self.metrics(f"of_{name}", f"data.path={name}", *common)[-1]
                 for name in "ab"}
        blend = self.metrics("blend", "data.blend=[a, 0.9, b, 0.1]", *common)[-1]
        for name in "ab":
            self.assertNotIn("validation_losses", alone[name])
            self.assertAlmostEqual(blend["validation_losses"][name],
                                   alone[name]["validation_loss"], places=12)
        mean = 0.9 * alone["a"]["validation_loss"] + 0.1 * alone["b"]["validation_loss"]
        self.assertAlmostEqual(blend["validation_loss"], mean, places=12)

    def test_ranks_share_the_look_through_a_corpus_that_nothing_vouches_for(self):
        self.prepare("c", 1, 3000)
        (self.folder / "c.json").unlink()
        tokens = np.fromfile(self.folder / "c.bin", dtype=np.uint16)
        words = [*MODEL, "data.path=c", "data.sequence=16", "train.global_batch=4",
                 "train.steps=1", "log.dir=run"]
        self.rondo("train", *words)
        tokens[[9000, 200]] = 300
        tokens.tofile(self.folder / "c.bin")
        for ranks in (0, 2):
            done = self.run_rondo("train", *words, "log.dir=bad", ranks=ranks)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("c.bin: token 300 at position 200 is outside", done.stderr)

    def test_text_comes_from_standard_input_and_json_lines(self):
        lines = "".join(json.dumps({"body": f"text {i}\n"}) + "\n" for i in range(100))
        command = self.command("prepare", "--input", "-", "--jsonl-key", "body", "--output", "c")
        subprocess.run(command, cwd=self.folder, input=lines, text=True, check=True,
                       capture_output=True)
        tokens = np.fromfile(self.folder / "c.bin", dtype=np.uint16)
        self.assertEqual(bytes(tokens.astype(np.uint8)).decode(),
                         "".join(f"text {i}\n" for i in range(100)))
        self.assertEqual(sorted(file.name for file in self.folder.iterdir()),
                         ["c.bin", "c.idx", "c.json"])


if __name__ == "__main__":
    rondo_runs.main()
