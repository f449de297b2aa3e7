"""What `rondo convert` makes, judged by transformers and by linear algebra in PyTorch."""

import json
import re
import resource
import signal
import subprocess

import h5py
import numpy as np
import peft
import safetensors.torch
import torch

import hf_models
import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_checkpoint, write_corpus

LAYERS, SEQUENCE = 6, 16


class Convert(RondoTest):

    def setUp(self):
        super().setUp()
        torch.manual_seed(2)
        self.ids = torch.randint(0, hf_models.VOCAB, (3, SEQUENCE))

    def convert(self, source, target, *options):
        return self.rondo("convert", "--from", source, "--to", target, *options)

    def logits(self, folder):
        with torch.no_grad():
            return hf_models.load(self.folder / folder)(self.ids).logits

    def exported_logits(self, file):
        """Of a checkpoint, by transformers."""
        folder = file.replace(".h5", "-hf")
        self.convert(file, f"hf:{folder}", "--precision", "float64")
        return self.logits(folder)

    def make_model(self, family="llama"):
        hf_models.save_random_model(hf_models.configs(LAYERS)[family], self.folder / "hf",
                                    torch.float64)

    def train_three_blocks(self, file):
        """Of six layers, with an optimizer's state."""
        write_corpus(self.folder / "corpus", [random_tokens(400, 64)])
        self.train("run", rondo_runs.TINY_MODEL | {
            "data.path": "corpus", "data.sequence": 16, "train.steps": 2, "train.global_batch": 4,
            "train.micro_batch": 2, "train.eval_every": 0})
        self.checkpoint_file("run", 2).rename(self.folder / file)

    def test_every_family_comes_back_to_the_bit(self):
        for family, config in hf_models.configs(LAYERS).items():
            for dtype in (torch.float32, torch.bfloat16):
                with self.subTest(family=family, dtype=dtype):
                    name = f"{family}-{str(dtype)[6:]}"
                    hf_models.save_random_model(config, self.folder / name, dtype)
                    self.convert(f"hf:{name}", f"{name}.h5")
                    self.convert(f"{name}.h5", f"hf:{name}-out", "--precision", str(dtype)[6:])
                    before, after = (safetensors.torch.load_file(
                        self.folder / folder / "model.safetensors")
                        for folder in (name, f"{name}-out"))
                    before.pop("lm_head.weight", None) if config.tie_word_embeddings else None
                    self.assertEqual(before.keys(), after.keys())
                    for key, values in before.items():
                        self.assertTrue(torch.equal(values, after[key]), key)
                    self.assertTrue(torch.equal(self.logits(name), self.logits(f"{name}-out")))

    def test_the_layers_of_a_shared_model_have_its_loss(self):
        write_corpus(self.folder / "corpus", [random_tokens(400, hf_models.VOCAB)])
        for family in ("llama", "gemma", "gpt_neox", "gpt2"):
            with self.subTest(family=family):
                self.make_model(family)
                file = f"{family}.h5"
                self.convert("hf:hf", file, "--sharing", "cycle", "--unique", 2, "--init",
                             "average", "--relax", 2, "--precision", "float64")
                printed = self.rondo("eval", "--checkpoint", file, "--data", "corpus",
                                     "--precision", "float64", "--sequence", SEQUENCE,
                                     "--max-tokens", 4 * SEQUENCE)
                tokens = torch.as_tensor(random_tokens(400, hf_models.VOCAB))
                samples = tokens.unfold(0, SEQUENCE + 1, SEQUENCE)[:4]
                self.convert(file, f"hf:{family}-hf", "--precision", "float64")
                with torch.no_grad():
                    logits = hf_models.load(self.folder / f"{family}-hf")(samples[:, :-1]).logits
                loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1),
                                                         samples[:, 1:].flatten())
                self.assertAlmostEqual(json.loads(printed)["loss"], loss.item(), delta=1e-7)

    def test_low_rank_terms_become_a_peft_adapter_beside_the_shared_base(self):
        for family in hf_models.configs(LAYERS):
            with self.subTest(family=family):
                self.make_model(family)
                file, base = f"{family}.h5", f"{family}-base"
                # Rank 20 is more than the key and value projections of the smaller ones have.
                self.convert("hf:hf", file, "--sharing", "cycle", "--unique", 2, "--init",
                             "average", "--relax", 20, "--precision", "float64")
                self.convert(file, f"hf:{base}", "--peft", "--precision", "float64")
                alone = self.logits(base)
                with torch.no_grad():
                    adapted = peft.PeftModel.from_pretrained(
                        hf_models.load(self.folder / base), self.folder / base / "adapter",
                        autocast_adapter_dtype=False)(self.ids).logits
                expected = self.exported_logits(file)
                self.assertGreater((alone - expected).abs().max(), 1e-3)
                self.assertLess((adapted - expected).abs().max(), 1e-10)
                layers = safetensors.torch.load_file(self.folder / base / "model.safetensors")
                for name, values in layers.items():
                    if ".0." in name and values.dim() == 2:
                        self.assertTrue(torch.equal(values, layers[name.replace(".0.", ".2.")]))

    def test_an_adapter_finds_its_base_from_any_folder(self):
        self.make_model()
        self.convert("hf:hf", "model.h5", "--sharing", "cycle", "--unique", 2, "--relax", 2)
        self.convert("model.h5", "hf:base", "--peft")
        config = json.loads((self.folder / "base/adapter/adapter_config.json").read_text())
        self.assertEqual(config["base_model_name_or_path"], str((self.folder / "base").absolute()))

    def test_large_models_are_written_in_shards(self):
        self.make_model()
        self.convert("hf:hf", "model.h5", "--precision", "float64")
        self.convert("model.h5", "hf:whole", "--precision", "float64")
        self.convert("model.h5", "hf:shards", "--precision", "float64", "--shard-size", "50KB")
        files = sorted(path.name for path in (self.folder / "shards").glob("*.safetensors"))
        count = len(files)
        self.assertGreater(count, 3)
        self.assertEqual(files, [f"model-{i + 1:05}-of-{count:05}.safetensors"
                                 for i in range(count)])
        sizes = [sum(values.nbytes for values in safetensors.torch.load_file(
            self.folder / "shards" / name).values()) for name in files]
        self.assertLessEqual(max(sizes), 50000)
        index = json.loads((self.folder / "shards/model.safetensors.index.json").read_text())
        self.assertEqual(index["metadata"]["total_size"], sum(sizes))
        self.assertTrue(torch.equal(self.logits("shards"), self.logits("whole")))
        self.convert("hf:shards", "back.h5", "--precision", "float64")
        before, after = (read_checkpoint(self.folder / f"{n}.h5") for n in ("model", "back"))
        self.assertTrue(all(np.array_equal(before[key], after[key]) for key in before
                            if key.startswith("parameters/")))

    def test_full_rank_reproduces_the_original_unless_gains_are_tied(self):
        for family in hf_models.configs(LAYERS):
            self.make_model(family)
            original = self.logits("hf")
            scale = original.abs().max()
            for norms, same in (("folded", True), ("per_layer", True), ("shared", False)):
                with self.subTest(family=family, norms=norms):
                    file = f"{family}-{norms}.h5"
                    self.convert("hf:hf", file, "--sharing", "cycle", "--unique", 3, "--init",
                                 "average", "--relax", 48, "--norms", norms, "--precision",
                                 "float64")
                    error = (self.exported_logits(file) - original).abs().max() / scale
                    self.assertEqual(bool(error < 1e-4), same, error)

    def test_what_no_low_rank_term_brings_back_is_counted(self):
        full = ["--sharing", "cycle", "--unique", 2, "--init", "average", "--relax", 48]
        self.make_model("qwen2")
        printed = self.convert("hf:hf", "relaxed.h5", *full)
        lost = dict(re.findall(r"^  (\S+) +lost (\S+) of", printed, re.MULTILINE))
        layers = hf_models.load(self.folder / "hf").model.layers
        gains = torch.stack([layer.post_attention_layernorm.weight for layer in layers[::2]])
        expected = (gains - gains.mean(0)).norm().item()
        self.assertGreater(expected, 0.1)
        self.assertAlmostEqual(float(lost["feed_forward_norm/0/weight"]), expected, delta=1e-3)
        self.assertNotIn("attention/0/k_proj/bias", lost)
        self.assertIn("--norms per_layer", printed)
        printed = self.convert("hf:hf", "relaxed.h5", *full, "--norms", "per_layer")
        self.assertNotIn("which no low-rank term", printed)

    def test_values_beyond_float16_are_refused(self):
        self.make_model()
        self.convert("hf:hf", "model.h5")
        values = read_checkpoint(self.folder / "model.h5")["parameters/head/weight"]
        values[0, 0] = 1e6
        rondo_runs.replace_dataset(self.folder / "model.h5", "parameters/head/weight", values)
        done = self.run_rondo("convert", "--from", "model.h5", "--to", "hf:out", "--precision",
                              "float16")
        self.assertEqual(done.returncode, 2)
        self.assertIn("lm_head.weight has values beyond float16's 65504", done.stderr)
        self.assertFalse((self.folder / "out").exists())

    def test_a_file_that_may_not_grow_is_said(self):
        def limited():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))
        self.make_model()
        done = subprocess.run(self.command("convert", "--from", "hf:hf", "--to", "full.h5"),
                              cwd=self.folder, env=rondo_runs.ENVIRONMENT, text=True,
                              capture_output=True, preexec_fn=limited)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, "^rondo: cannot write full.h5: .*File too large\n$")
        self.assertFalse(list(self.folder.glob("full*")))

    def test_what_a_rank_loses_is_the_discarded_singular_values(self):
        self.make_model()
        printed = self.convert("hf:hf", "relaxed.h5", "--sharing", "cycle", "--unique", 3, "--relax",
                               5, "--precision", "float64")
        lost = {name: float(norm) for name, norm in
                re.findall(r"^  (\S+) +lost (\S+) of", printed, re.MULTILINE)}
        layers = hf_models.load(self.folder / "hf").model.layers
        stored = read_checkpoint(self.folder / "relaxed.h5")
        compared = 0
        for index, layer in enumerate(layers):
            for name, weight in (("attention/{}/q_proj", layer.self_attn.q_proj.weight),
                                 ("feed_forward/{}/down_proj", layer.mlp.down_proj.weight)):
                base = stored[f"parameters/{name.format(index % 3)}/weight"]
                residual = weight.detach().numpy() - base
                values = np.linalg.svd(residual, compute_uv=False)
                expected = np.sqrt((values[5:] ** 2).sum())
                if expected < 1e-12:
                    # Stepwise takes the layer itself: B is zero, A is not.
                    slot, linear = name.replace("/{}", "").split("/")
                    adapter = f"parameters/adapters/{index}/{slot}/{linear}"
                    self.assertFalse(stored[f"{adapter}/b"].any())
                    self.assertTrue(stored[f"{adapter}/a"].all())
                    continue
                self.assertAlmostEqual(lost[f"{name.format(index)}/weight"], expected,
                                       delta=1e-3 * expected)
                compared += 1
        self.assertGreater(compared, 4)

    def test_relaxed_models_become_strict_untied_and_of_another_rank(self):
        self.make_model()
        self.convert("hf:hf", "relaxed.h5", "--sharing", "cycle", "--unique", 2, "--relax", 4,
                     "--precision", "float64")
        function = self.exported_logits("relaxed.h5")
        self.assertIn("float64 values are rounded", self.convert("relaxed.h5", "less.h5"))
        self.assertNotIn("rounded", self.convert("relaxed.h5", "copy.h5", "--precision", "float64"))
        before, after = (read_checkpoint(self.folder / f"{n}.h5") for n in ("relaxed", "copy"))
        self.assertEqual(before.keys(), after.keys())
        self.assertTrue(all(np.array_equal(before[key], after[key]) for key in before))
        self.convert("relaxed.h5", "more.h5", "--relax", 9, "--precision", "float64")
        self.convert("relaxed.h5", "untied.h5", "--untie", "--precision", "float64")
        for file in ("more.h5", "untied.h5"):
            with self.subTest(file=file):
                error = (self.exported_logits(file) - function).abs().max()
                self.assertLess(error, 1e-10)
        self.convert("relaxed.h5", "strict.h5", "--strict", "--precision", "float64")
        strict = read_checkpoint(self.folder / "strict.h5")
        self.assertFalse(any("adapters" in key for key in strict))
        untied = read_checkpoint(self.folder / "untied.h5")
        for block in (0, 1):
            key = "parameters/feed_forward/{}/up_proj/weight"
            mean = np.mean([untied[key.format(layer)] for layer in range(block, LAYERS, 2)], axis=0)
            np.testing.assert_allclose(strict[key.format(block)], mean, rtol=0, atol=1e-12)

    def test_state_goes_along_where_weights_are_copied(self):
        self.train_three_blocks("shared.h5")
        self.convert("shared.h5", "split.h5", "--map", "0,1,2,3,1,2")
        shared, split = (read_checkpoint(self.folder / f"{n}.h5") for n in ("shared", "split"))
        for root in ("parameters", "optimizer/exp_avg", "optimizer/exp_avg_sq"):
            for target, source in ((0, 0), (3, 0), (1, 1)):
                key = "{}/attention/{}/q_proj/weight"
                np.testing.assert_array_equal(split[key.format(root, target)],
                                              shared[key.format(root, source)])
        self.convert("split.h5", "merged.h5", "--sharing", "cycle", "--unique", 3)
        merged = read_checkpoint(self.folder / "merged.h5")
        self.assertTrue(all(np.array_equal(merged[key], shared[key]) for key in shared))
        printed = self.convert("shared.h5", "relaxed.h5", "--relax", 2)
        self.assertIn("optimizer state is left out", printed)
        self.assertFalse(any("optimizer" in key for key in
                             read_checkpoint(self.folder / "relaxed.h5")))

    def test_blocks_that_merge_are_their_mean_or_their_owner(self):
        self.train_three_blocks("three.h5")
        three = read_checkpoint(self.folder / "three.h5")
        for init, said in (("average", "averaged"), ("owner", "the chosen layer's")):
            printed = self.convert("three.h5", f"{init}.h5", "--map", "0,1,0,0,1,0", "--init", init)
            self.assertIn(f"{said} where blocks are merged", printed)
            self.assertIn("feed_forward/0/up_proj/weight", printed)  # of what is lost
            two = read_checkpoint(self.folder / f"{init}.h5")
            for root in ("parameters", "optimizer/exp_avg", "optimizer/exp_avg_sq"):
                # Layers 0, 2, 3 and 5 used blocks 0, 2, 0 and 2.
                key = root + "/feed_forward/{}/up_proj/weight"
                first, other = three[key.format(0)], three[key.format(2)]
                wanted = first if init == "owner" else (first.astype(float) + other) / 2
                np.testing.assert_allclose(two[key.format(0)], wanted, rtol=1e-6)
                np.testing.assert_array_equal(two[key.format(1)], three[key.format(1)])

    def test_norms_are_given_to_layers_and_shared_again(self):
        self.make_model()
        shared = ["--sharing", "cycle", "--unique", 2, "--init", "average"]
        self.convert("hf:hf", "shared.h5", *shared)
        self.convert("hf:hf", "own.h5", *shared, "--norms", "per_layer")
        self.convert("own.h5", "again.h5", "--norms", "shared")
        self.convert("own.h5", "same.h5")
        files = {n: read_checkpoint(self.folder / f"{n}.h5")
                 for n in ("shared", "own", "again", "same")}
        self.assertIn("parameters/attention_norm/5/weight", files["own"])
        self.assertEqual(files["own"].keys(), files["same"].keys())
        self.assertEqual(files["again"].keys(), files["shared"].keys())
        for key, values in files["shared"].items():
            np.testing.assert_allclose(files["again"][key], values, rtol=1e-6, err_msg=key)

    def test_slots_whose_map_stays_keep_their_components(self):
        self.make_model("qwen3")
        own = ["--sharing", "cycle", "--unique", 2, "--init", "random", "--norms", "per_layer"]
        self.convert("hf:hf", "drawn.h5", *own, "--relax", 48, "--precision", "float64")
        error = (self.exported_logits("drawn.h5") - self.logits("hf")).abs().max()
        self.assertLess(error, 1e-4)
        self.convert("drawn.h5", "shared.h5", "--norms", "shared", "--init", "upper", "--precision",
                     "float64")
        before, after = (read_checkpoint(self.folder / f"{n}.h5") for n in ("drawn", "shared"))
        for key, values in after.items():
            if key.startswith("parameters/attention/"):
                np.testing.assert_array_equal(values, before[key], key)
        np.testing.assert_array_equal(after["parameters/attention_norm/0/weight"],
                                      before["parameters/attention_norm/4/weight"])

    def test_a_layer_that_shares_with_none_and_is_replaced_is_named(self):
        self.make_model()
        around = ["--sharing", "cycle", "--unique", 2, "--prelude", 1, "--coda", 1, "--dry-run"]
        for init, named in (("lower", " 5;"), ("upper", " 0;"), ("stepwise", None), ("owner", None)):
            printed = self.convert("hf:hf", "out.h5", *around, "--init", init)
            said = re.search("layers that share with none, .* the same:(.*;)", printed)
            self.assertEqual(said and said[1], named, init)

    def test_terms_are_not_thrown_away_and_a_new_model_has_no_old_keys(self):
        self.train_three_blocks("strict.h5")
        self.convert("strict.h5", "relaxed.h5", "--relax", 2)
        done = self.run_rondo("convert", "--from", "relaxed.h5", "--to", "none.h5", "--relax", 0)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, "--relax 0 would throw the low-rank terms .*--strict")
        with h5py.File(self.folder / "relaxed.h5") as file:
            self.assertNotIn("[relaxation]", file.attrs["config"])

    def test_what_the_folder_said_besides_comes_back(self):
        config = hf_models.configs(LAYERS)["mistral"]
        config.max_position_embeddings, config.bos_token_id, config.eos_token_id = 77, 5, [6, 9]
        hf_models.save_random_model(config, self.folder / "hf")
        besides = {"tokenizer_config.json": '{"model_max_length": 77}',
                   "chat_template.jinja": "{{ messages }} größer\n"}
        for name, text in (besides | {"notes.txt": "of nobody's concern"}).items():
            (self.folder / "hf" / name).write_text(text)
        self.convert("hf:hf", "model.h5", "--sharing", "cycle", "--unique", 2)
        with h5py.File(self.folder / "model.h5", "r+") as file:
            file["hugging_face/run_me.py"] = np.frombuffer(b"import os", np.uint8)
        write_corpus(self.folder / "corpus", [random_tokens(400, hf_models.VOCAB)])
        self.train("run", {"train.init": "model.h5", "data.path": "corpus", "data.sequence": 16,
                           "train.steps": 1, "train.global_batch": 2, "train.micro_batch": 2})
        self.convert(self.checkpoint_file("run", 1), "hf:out", "--precision", "bfloat16")
        before, after = (json.loads((self.folder / n / "config.json").read_text())
                         for n in ("hf", "out"))
        for key in ("model_type", "architectures", "max_position_embeddings", "bos_token_id",
                    "eos_token_id", "hidden_size", "num_hidden_layers", "rms_norm_eps"):
            self.assertEqual(before[key], after[key], key)
        self.assertEqual(after["dtype"], "bfloat16")
        for name in [*besides, "generation_config.json"]:
            self.assertEqual((self.folder / "out" / name).read_bytes(),
                             (self.folder / "hf" / name).read_bytes())
        self.assertFalse((self.folder / "out/notes.txt").exists())
        self.assertFalse((self.folder / "out/run_me.py").exists())
        self.assertEqual(type(hf_models.load(self.folder / "out")).__name__, "MistralForCausalLM")

    def test_gpt2_is_read_as_it_is_published(self):
        self.make_model("gpt2")
        expected = self.logits("hf")
        file = self.folder / "hf" / "model.safetensors"
        published = {name.removeprefix("transformer."): values
                     for name, values in safetensors.torch.load_file(file).items()}
        published |= {f"h.{layer}.attn.bias": torch.ones(1, 1, 24, 24) for layer in range(LAYERS)}
        safetensors.torch.save_file(published, file)
        self.convert("hf:hf", "model.h5", "--precision", "float64")
        self.assertTrue(torch.equal(self.exported_logits("model.h5"), expected))

    def test_a_dry_run_writes_nothing_and_tells_map_and_sizes(self):
        self.make_model()
        shared = ["--sharing", "cycle", "--unique", 2, "--relax", 3]
        printed = self.convert("hf:hf", "out.h5", *shared, "--dry-run")
        self.assertIn("A B A B A B", re.sub(" +", " ", printed))
        self.assertFalse((self.folder / "out.h5").exists())
        self.convert("hf:hf", "out.h5", *shared)
        bytes_of = re.compile(r"would write \S+, (\d+) bytes")
        self.assertEqual(int(bytes_of.search(printed)[1]), sum(
            values.nbytes for key, values in read_checkpoint(self.folder / "out.h5").items()
            if key.startswith("parameters/")))
        to_folder = ["out.h5", "hf:base", "--peft", "--precision", "bfloat16"]
        printed = self.convert(*to_folder, "--dry-run")
        self.assertFalse((self.folder / "base").exists())
        self.convert(*to_folder)
        self.assertEqual(int(bytes_of.search(printed)[1]), sum(
            values.nbytes for file in (self.folder / "base").rglob("*.safetensors")
            for values in safetensors.torch.load_file(file).values()))


if __name__ == "__main__":
    rondo_runs.main()
