"""Hugging Face folders as they are found: what transformers computes from them, rondo does."""

import json
import shutil

import numpy as np
import safetensors.torch
import torch
import transformers

import hf_models
import rondo_runs
from rondo_runs import RondoTest, read_checkpoint

LAYERS = 3
TOKENS = torch.randint(0, hf_models.VOCAB, (24,), generator=torch.Generator().manual_seed(5))
EMBEDDINGS = {"llama": "model.embed_tokens.weight", "gpt2": "transformer.wte.weight",
              "gpt_neox": "gpt_neox.embed_in.weight"}


class Folders(RondoTest):

    def make(self, family="llama", dtype=torch.float32, **more):
        config = hf_models.configs(LAYERS)[family]
        for key, value in more.items():
            setattr(config, key, value)
        shutil.rmtree(self.folder / "hf", ignore_errors=True)
        return hf_models.save_random_model(config, self.folder / "hf", dtype)

    def edit(self, changes, without=()):
        file = self.folder / "hf/config.json"
        config = {key: value for key, value in json.loads(file.read_text()).items()
                  if key not in without}
        file.write_text(json.dumps(config | changes))

    def tensors(self, change):
        file = self.folder / "hf/model.safetensors"
        safetensors.torch.save_file(change(safetensors.torch.load_file(file)), file)

    def convert(self, source, target, *options):
        return self.rondo("convert", "--from", source, "--to", target, *options)

    def theirs(self, folder="hf"):
        with torch.no_grad():
            model = hf_models.load(self.folder / folder, torch.float32)
            return model(TOKENS[None]).logits[0].numpy()

    def check_same_function(self):
        """Of the folder, of rondo's model and of what rondo exports."""
        expected = self.theirs()
        self.convert("hf:hf", "model.h5")
        ours = hf_models.logits_of(self, "model.h5", "whole", TOKENS.tolist())
        self.assertLess(np.abs(ours - expected).max(), 1e-5)
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        self.convert("model.h5", "hf:out")
        self.assertTrue(np.array_equal(self.theirs("out"), expected))
        return expected

    def test_the_rotary_base_is_read_wherever_it_stands(self):
        default = {"rope_type": "default"}
        found = []
        for family, changes in (
                ("llama", {"rope_theta": 10.0}),
                ("llama", {"rope_scaling": default | {"rope_theta": 10.0}}),
                ("qwen3", {"rope_parameters": default | {"rope_theta": 10.0}}),
                ("gemma", {"rope_scaling": default | {"rope_theta": 10.0}, "rope_theta": 10.0}),
                ("gpt_neox", {"rotary_emb_base": 10.0, "rotary_pct": 1.0}),
                ("gpt_neox", {"rope_scaling": default | {"rope_theta": 10.0},
                              "rotary_pct": 0.5})):
            with self.subTest(family=family, changes=changes):
                self.make(family)
                plain = self.theirs()
                self.edit(changes, ("rope_parameters", "rope_theta"))
                found.append(np.abs(self.check_same_function() - plain).max())
        self.assertGreater(min(found), 1e-3, "the base does not matter")

    def test_a_mistral_folder_that_names_no_window_has_one(self):
        self.make("mistral", max_position_embeddings=8192)
        self.edit({}, ("sliding_window",))
        self.convert("hf:hf", "model.h5")
        model = json.loads(self.rondo("inspect", "model.h5", "--json"))["model"]
        self.assertEqual((model["window"], model.get("window_layers", "all")), (4096, "all"))

    def test_a_switched_on_window_that_no_layer_has_is_none(self):
        for changes in ({"max_window_layers": LAYERS}, {"max_window_layers": 28},
                        {"sliding_window": None}):
            self.make("qwen2")
            self.edit({"use_sliding_window": True, "sliding_window": 4} | changes, ("layer_types",))
            self.check_same_function()

    def test_a_tied_folder_may_hold_the_head_alone(self):
        for family in ("llama", "gpt2", "gpt_neox"):
            with self.subTest(family=family):
                model = self.make(family, tie_word_embeddings=True)
                expected = self.check_same_function()
                model.tie_weights()
                # Which of two names stays is up to safetensors.
                (self.folder / "hf/model.safetensors").unlink()
                safetensors.torch.save_model(model, self.folder / "hf/model.safetensors")
                names = set(safetensors.torch.load_file(self.folder / "hf/model.safetensors"))
                if EMBEDDINGS[family] in names:
                    self.tensors(lambda t: {"lm_head.weight" if k == EMBEDDINGS[family] else k: v
                                            for k, v in t.items()})
                self.convert("hf:hf", "head.h5")
                ours = hf_models.logits_of(self, "head.h5", "whole", TOKENS.tolist())
                self.assertLess(np.abs(ours - expected).max(), 1e-5)

    def test_wrappers_leave_no_trace(self):
        self.make()
        self.convert("hf:hf", "plain.h5")
        for wrapped in (lambda name: "_orig_mod." + name, lambda name: "module." + name,
                        lambda name: "module._orig_mod." + name,
                        lambda name: name.replace(".self_attn.", "._orig_mod.self_attn.")):
            self.make()
            self.tensors(lambda t: {wrapped(name): values for name, values in t.items()})
            self.convert("hf:hf", "wrapped.h5")
            self.assert_same_datasets(self.folder / "wrapped.h5", self.folder / "plain.h5")

    def test_the_whole_file_goes_before_shards_as_in_transformers(self):
        self.make()
        expected = self.theirs()
        other = self.make(initializer_range=0.3)
        shutil.rmtree(self.folder / "hf")
        other.save_pretrained(self.folder / "hf", max_shard_size="20KB")
        self.assertTrue((self.folder / "hf/model.safetensors.index.json").exists())
        keep = self.folder / "shards"
        shutil.copytree(self.folder / "hf", keep)
        self.make()
        for file in keep.glob("model*"):
            shutil.copy(file, self.folder / "hf")
        np.testing.assert_array_equal(self.theirs(), expected)
        self.assertIn("model.safetensors and shards with an index", self.convert("hf:hf", "a.h5"))
        self.check_same_function()
        next((self.folder / "hf").glob("model-00001*")).unlink()
        self.check_same_function()

    def shard(self, change):
        """The folder in shards, with another index."""
        model = hf_models.load(self.folder / "hf", torch.float32)
        (self.folder / "hf/model.safetensors").unlink()
        model.save_pretrained(self.folder / "hf", max_shard_size="20KB")
        file = self.folder / "hf/model.safetensors.index.json"
        index = json.loads(file.read_text())
        change(index["weight_map"])
        file.write_text(json.dumps(index))

    def test_an_index_may_list_what_the_model_does_not_need(self):
        for name, shard in (("model.layers.0.self_attn.rotary_emb.inv_freq", None),
                            ("lm_head.weight", "model-99999-of-99999.safetensors"),
                            ("vision.weight", "other.safetensors")):
            with self.subTest(name=name):
                self.make("qwen2")
                expected = self.theirs()
                self.shard(lambda entries: entries.update(
                    {name: shard or next(iter(entries.values()))}))
                self.assertIn(name, self.convert("hf:hf", "model.h5"))
                ours = hf_models.logits_of(self, "model.h5", "whole", TOKENS.tolist())
                self.assertLess(np.abs(ours - expected).max(), 1e-5)

    def test_an_index_must_lead_to_what_the_model_needs(self):
        norm = "model.norm.weight"
        for change, part in ((lambda e: e.update({norm: "x.safetensors"}), "names x.safetensors"),
                             (lambda e: e.pop(norm), "does not list it")):
            self.make()
            self.shard(change)
            done = self.run_rondo("convert", "--from", "hf:hf", "--to", "model.h5")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(norm, done.stderr)
            self.assertIn(part, done.stderr)

    def test_values_that_are_not_finite_are_named(self):
        relax = ["--sharing", "cycle", "--unique", 1, "--relax", 2]
        name = "model.layers.1.mlp.up_proj.weight"
        for value in (float("nan"), float("inf"), float("-inf")):
            for options in ([], relax, [*relax, "--norms", "folded"]):
                self.make()
                self.convert("hf:hf", "good.h5")
                self.tensors(lambda t: t | {name: t[name].index_fill(0, torch.tensor([2]), value)})
                done = self.run_rondo("convert", "--from", "hf:hf", "--to", "model.h5", *options)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(f"hf/model.safetensors: tensor {name}: 32 of 1536 values are not "
                              "finite", done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
                self.assertFalse(list(self.folder.glob("model.h5*")))
        key = "parameters/feed_forward/1/up_proj/weight"
        values = read_checkpoint(self.folder / "good.h5")[key]
        values[3, 4] = np.nan
        rondo_runs.replace_dataset(self.folder / "good.h5", key, values)
        for target, options in (("model.h5", []), ("model.h5", relax), ("hf:out", [])):
            done = self.run_rondo("convert", "--from", "good.h5", "--to", target, *options)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"good.h5: tensor /{key}: 1 of 1536 values", done.stderr)
            self.assertFalse(list(self.folder.glob("model.h5*")) + list(self.folder.glob("out*")))

    def test_a_missing_tensor_is_asked_for_where_it_can_be(self):
        self.make()
        self.tensors(lambda t: {k: v for k, v in t.items() if k != "model.norm.weight"})
        done = self.run_rondo("convert", "--from", "hf:hf", "--to", "model.h5")
        self.assertEqual(done.returncode, 2)
        self.assertIn("save the model again with all of its tensors", done.stderr)
        self.assertNotIn("index", done.stderr)

    def test_new_folders_are_transformers_own_class(self):
        self.make("qwen3")
        self.convert("hf:hf", "model.h5")
        self.convert("model.h5", "hf:out")
        self.assertEqual(type(hf_models.load(self.folder / "out")).__name__, "Qwen3ForCausalLM")
        self.assertIsInstance(transformers.AutoConfig.from_pretrained(self.folder / "out"),
                              transformers.Qwen3Config)


if __name__ == "__main__":
    rondo_runs.main()
