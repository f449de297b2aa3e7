"""Sliding windows: what rondo computes, trains, keeps and hands back is what transformers does."""

import json

import h5py
import numpy as np
import safetensors.torch
import torch
import transformers

import hf_models
import rondo_runs
from hf_models import GQA, VOCAB
from rondo_runs import RondoTest, random_tokens, read_checkpoint, write_corpus

LAYERS, SEQUENCE, BATCH, STEPS, WINDOW = 6, 16, 4, 4, 5
KINDS = ("full_attention", "sliding_attention")
SIZES = GQA | {"num_hidden_layers": LAYERS}


def configs():
    """By what slides: every layer, those from one on, and any."""
    qwen = SIZES | {"use_sliding_window": True, "sliding_window": WINDOW}
    listed = [KINDS[layer in (0, 3, 4)] for layer in range(LAYERS)]
    return {
        "mistral": transformers.MistralConfig(**SIZES, sliding_window=WINDOW),
        "qwen2": transformers.Qwen2Config(**qwen, max_window_layers=2, tie_word_embeddings=True),
        "qwen3": transformers.Qwen3Config(**qwen, head_dim=12, layer_types=listed),
        "ministral": transformers.MinistralConfig(**SIZES, head_dim=8, sliding_window=WINDOW,
                                                  layer_types=[*KINDS] * (LAYERS // 2))}


class Windows(RondoTest):

    def make(self, config, file="start.h5", *options, folder="hf"):
        hf_models.save_random_model(config, self.folder / folder)
        self.rondo("convert", "--from", f"hf:{folder}", "--to", file, "--precision", "float64",
                   *options)

    def make_corpus(self):
        self.tokens = random_tokens(STEPS * BATCH * SEQUENCE + 40, VOCAB)
        write_corpus(self.folder / "corpus", [self.tokens])

    def run_from(self, start, run, ranks=0, **settings):
        return self.train(run, {
            "train.init": start, "data.path": "corpus", "data.shuffle": False,
            "data.sequence": SEQUENCE, "train.steps": STEPS, "train.global_batch": BATCH,
            "train.micro_batch": 2, "train.precision": "float64", "train.eval_every": 0,
            "optimizer.schedule": "constant", "optimizer.warmup": 0, "optimizer.lr": 1e-3} |
            {key.replace("__", "."): value for key, value in settings.items()}, ranks=ranks)

    def expected(self, model):
        """Loss and gradient norm of each step, by transformers."""
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

    def test_logits_are_those_of_transformers(self):
        tokens = torch.randint(0, VOCAB, (24,), generator=torch.Generator().manual_seed(5)).tolist()
        for family, config in configs().items():
            self.make(config, f"{family}.h5")
            with torch.no_grad():
                single = hf_models.load(self.folder / "hf", torch.float32)
                whole_config = hf_models.load(self.folder / "hf").config
                exact = hf_models.load_exact(self.folder / "hf")
                expected = {"float32": single(torch.tensor([tokens])).logits[0].numpy(),
                            "float64": exact(torch.tensor([tokens])).logits[0].numpy()}
                for layer in range(len(exact.model.layers)):
                    exact.model.layers[layer].self_attn.sliding_window = None
                if hasattr(exact.config, "layer_types"):
                    exact.config.layer_types = [KINDS[0]] * LAYERS
                else:
                    exact.config.sliding_window = None
                unlike = exact(torch.tensor([tokens])).logits[0].numpy()
            self.assertEqual(whole_config.sliding_window, WINDOW)
            self.assertGreater(np.abs(unlike - expected["float64"]).max(), 1e-3, "no window matters")
            for precision, tolerance in (("float32", 1e-5), ("float64", 1e-10)):
                for way in ("whole", "step"):
                    with self.subTest(family=family, precision=precision, way=way):
                        ours = hf_models.logits_of(self, f"{family}.h5", way, tokens, precision)
                        self.assertLess(np.abs(ours - expected[precision]).max(), tolerance)

    def test_generation_sees_no_further_back(self):
        for family, config in configs().items():
            config.initializer_range = 0.6
            self.make(config)
            prompt = "12 + 34 = 46"  # longer than the window, and all below the vocabulary's 64
            said = json.loads(self.rondo(
                "generate", "--checkpoint", "start.h5", "--prompt", prompt, "--precision",
                "float64", "--max-tokens", 12, "--json", "--tokenizer", "bytes"))
            ids = torch.tensor([said["prompt_tokens"]])
            with torch.no_grad():
                out = hf_models.load(self.folder / "hf").generate(
                    ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12,
                    eos_token_id=None, pad_token_id=0)
            with self.subTest(family=family):
                self.assertEqual(said["tokens"], out[0, ids.shape[1]:].tolist())
                self.assertGreater(len(set(said["tokens"])), 2, "too dull to compare")

    def test_training_is_that_of_transformers(self):
        self.make_corpus()
        for family, config in configs().items():
            self.make(config, f"{family}.h5")
            metrics = self.run_from(f"{family}.h5", f"run-{family}")
            wanted = self.expected(hf_models.load_exact(self.folder / "hf"))
            with self.subTest(family=family):
                for ours, (loss, norm) in zip(metrics, wanted, strict=True):
                    self.assertAlmostEqual(ours["loss"], loss, delta=1e-10)
                    self.assertAlmostEqual(ours["grad_norm"], norm, delta=1e-9 * norm)

    def test_a_shared_block_has_the_window_of_each_layer_that_runs_it(self):
        self.make_corpus()
        self.make(configs()["qwen3"], "shared.h5", "--sharing", "cycle", "--unique", 2, "--init",
                  "average")
        metrics = self.run_from("shared.h5", "one")
        self.rondo("convert", "--from", "shared.h5", "--to", "hf:layers", "--precision", "float64")
        loss, _ = next(self.expected(hf_models.load_exact(self.folder / "layers")))
        self.assertAlmostEqual(metrics[0]["loss"], loss, delta=1e-10)
        for run, ranks, more in (
                ("pipeline", 2, {"distributed__pipeline": 2}),
                ("loop", 2, {"distributed__pipeline": 2, "distributed__route": "loop",
                             "distributed__schedule": "zero_bubble"}),
                ("replicas", 4, {"distributed__pipeline": 2, "distributed__zero": 1}),
                ("recompute", 0, {"train__recompute": "layer"})):
            with self.subTest(run=run):
                others = self.run_from("shared.h5", run, ranks=ranks, **more)
                for one, other in zip(metrics, others, strict=True):
                    self.assertAlmostEqual(one["loss"], other["loss"], delta=1e-10)
                    self.assertAlmostEqual(one["grad_norm"], other["grad_norm"], delta=1e-10)
                self.assert_same_datasets(self.checkpoint_file(run, STEPS),
                                          self.checkpoint_file("one", STEPS), tolerance=1e-10)

    def test_fewer_passes_keep_the_windows_of_their_layers(self):
        self.make_corpus()
        # Layers 2 and 3 are the second pass of a block of two; the first passes do not slide.
        config = transformers.Qwen2Config(**GQA | {"num_hidden_layers": 4}, use_sliding_window=True,
                                          sliding_window=WINDOW, max_window_layers=2)
        self.make(config, "shared.h5", "--sharing", "cycle", "--unique", 2, "--init", "average")
        all_passes = self.run_from("shared.h5", "all")
        first_pass = self.run_from("shared.h5", "first", train__passes="uniform:1..1")
        model = json.loads(h5py.File(self.folder / "shared.h5").attrs["model"])
        self.assertEqual((model["window"], model["window_layers"]), (WINDOW, "from:2"))
        self.rondo("convert", "--from", "shared.h5", "--to", "hf:layers", "--precision", "float64")
        exact = hf_models.load_exact(self.folder / "layers")
        self.assertAlmostEqual(all_passes[0]["loss"], next(self.expected(exact))[0], delta=1e-10)
        exact = hf_models.load_exact(self.folder / "layers")  # the other has made a step
        exact.model.layers = exact.model.layers[:2]
        exact.config.num_hidden_layers = 2
        self.assertAlmostEqual(first_pass[0]["loss"], next(self.expected(exact))[0], delta=1e-10)

    def test_a_run_resumes_bit_for_bit(self):
        self.make_corpus()
        self.make(configs()["mistral"])
        self.run_from("start.h5", "straight")
        self.run_from("start.h5", "halves", train__steps=2)
        self.run_from("start.h5", "halves", train__steps=STEPS)
        self.assert_same_datasets(self.checkpoint_file("halves", STEPS),
                                  self.checkpoint_file("straight", STEPS))

    def test_folders_come_back_to_the_bit_with_their_windows(self):
        for family, config in configs().items():
            with self.subTest(family=family):
                hf_models.save_random_model(config, self.folder / family, torch.bfloat16)
                self.rondo("convert", "--from", f"hf:{family}", "--to", f"{family}.h5")
                self.rondo("convert", "--from", f"{family}.h5", "--to", f"hf:{family}-out",
                           "--precision", "bfloat16")
                self.rondo("convert", "--from", f"hf:{family}-out", "--to", f"{family}-2.h5")
                before, after = (safetensors.torch.load_file(self.folder / f / "model.safetensors")
                                 for f in (family, f"{family}-out"))
                for key in after:
                    self.assertTrue(torch.equal(before[key], after[key]), key)
                first, again = (read_checkpoint(self.folder / f"{family}{n}.h5") for n in ("", "-2"))
                for key in first:
                    if key.startswith("parameters/"):
                        self.assertEqual(first[key].tobytes(), again[key].tobytes(), key)
                ours, theirs = (transformers.AutoConfig.from_pretrained(self.folder / f)
                                for f in (f"{family}-out", family))
                self.assertEqual(ours.model_type, theirs.model_type)
                self.assertEqual(ours.sliding_window, theirs.sliding_window)
                if family != "mistral":
                    self.assertEqual(ours.layer_types, theirs.layer_types)

    def test_what_a_family_cannot_say_is_not_written(self):
        write_corpus(self.folder / "corpus", [random_tokens(400, 64)])
        tiny = rondo_runs.TINY_MODEL | {
            "data.path": "corpus", "data.sequence": 16, "train.steps": 1, "train.global_batch": 4,
            "train.micro_batch": 2, "train.eval_every": 0, "model.window": 3}
        self.train("gemma", tiny | {"model.family": "gemma"})
        self.train("llama", tiny | {"model.window_layers": "ssf"})
        done = self.run_rondo("convert", "--from", self.checkpoint_file("gemma", 1), "--to",
                              "hf:out")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("transformers has no gemma with sliding windows", done.stderr)
        self.assertFalse(list(self.folder.glob("out*")))
        self.rondo("convert", "--from", self.checkpoint_file("llama", 1), "--to", "hf:out")
        config = transformers.AutoConfig.from_pretrained(self.folder / "out")
        self.assertEqual(type(config).__name__, "MinistralConfig")
        self.assertEqual(config.layer_types, [KINDS[k] for k in (1, 1, 0)] * 2)

    def tiny_run(self, run, **more):
        return self.train(run, rondo_runs.TINY_MODEL | {
            "data.path": "corpus", "data.sequence": SEQUENCE, "train.steps": 2,
            "train.global_batch": 4, "train.micro_batch": 2, "train.eval_every": 0} |
            {f"model.{key}": value for key, value in more.items()})

    def test_a_window_that_hides_nothing_is_whole_attention(self):
        self.make_corpus()
        whole, equal, longer, shorter = (
            [step["loss"] for step in self.tiny_run(f"run-{window}", window=window)]
            for window in (0, SEQUENCE, 99, SEQUENCE - 1))
        self.assertEqual(whole, equal)
        self.assertEqual(whole, longer)
        self.assertNotEqual(whole, shorter)

    def test_a_checkpoint_without_windows_is_as_it_was(self):
        self.make_corpus()
        self.tiny_run("run")
        file = self.checkpoint_file("run", 2)
        with h5py.File(file) as opened:
            self.assertNotIn("window", opened.attrs["model"])
        self.rondo("convert", "--from", file, "--to", "hf:out")
        self.assertEqual(type(hf_models.load(self.folder / "out")).__name__, "LlamaForCausalLM")

    def test_windows_are_counted_and_priced(self):
        self.make_corpus()
        flops, seconds = {}, {}
        for window in (0, 4, SEQUENCE):
            self.tiny_run(f"run-{window}", window=window, window_layers="sf" if window else "all")
            printed = json.loads(self.rondo("inspect", self.checkpoint_file(f"run-{window}", 2),
                                            "--json"))
            flops[window] = printed["flops_per_token"]
            seconds[window] = self.plan_json(window)["step_s"]
        self.assertLess(flops[4], flops[0])
        # LibTorch computes what a mask hides too: a window costs twice the triangle.
        self.assertGreater(seconds[4], seconds[0])
        self.assertEqual(seconds[4], seconds[SEQUENCE])

    def plan_json(self, window):
        self.rondo("plan", "--world", 1, "--json", "plan.json", *rondo_runs.words(
            rondo_runs.TINY_MODEL | {
                "data.sequence": 2048, "train.global_batch": 4, "train.micro_batch": 2,
                "model.window": window, "model.window_layers": "sf" if window else "all"}))
        return json.loads((self.folder / "plan.json").read_text())

    def test_values_that_mean_nothing_are_refused(self):
        self.make_corpus()
        for settings, part in (({"window_layers": "from:2"}, "no effect without model.window"),
                               ({"window": 3, "window_layers": "from:6"}, "K below the 6 layers"),
                               ({"window": 3, "window_layers": "ff"}, "a pattern of s"),
                               ({"window": 3, "window_layers": "every"}, "a pattern of s"),
                               ({"window": 3, "window_layers": "sffffff"}, "at most as many"),
                               ({"window": -1}, "model.window = -1")):
            with self.subTest(settings=settings):
                done = self.run_rondo("train", *rondo_runs.words(
                    rondo_runs.TINY_MODEL | {"data.path": "corpus"} |
                    {f"model.{key}": value for key, value in settings.items()}))
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(part, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


if __name__ == "__main__":
    rondo_runs.main()
