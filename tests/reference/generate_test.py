"""What `rondo generate` says, judged by transformers and by Hugging Face's tokenizers."""

import json
import shutil

import tokenizers
import torch
from transformers import AutoTokenizer

import hf_models
import rondo_runs
from rondo_runs import RondoTest

PROMPT = "12 + 34 = "  # whose bytes are below the vocabulary's 64
TOKENS, LAYERS = 12, 4
CORPUS = "It is a truth universally acknowledged, that a single man must want a wife. " * 40


class Generate(RondoTest):

    def convert(self, source, target, *options):
        return self.rondo("convert", "--from", source, "--to", target, "--precision", "float64",
                          *options)

    def make_model(self, family="llama", **changes):
        config = hf_models.configs(LAYERS)[family]
        for key, value in changes.items():
            setattr(config, key, value)
        hf_models.save_random_model(config, self.folder / "hf", torch.float64)

    def generate(self, file, *options, prompt=PROMPT, tokenizer="bytes"):
        named = ["--tokenizer", tokenizer] if tokenizer else []
        return json.loads(self.rondo(
            "generate", "--checkpoint", file, "--prompt", prompt, "--precision", "float64",
            "--max-tokens", TOKENS, "--json", *named, *options))

    def greedy(self, folder, prompt):
        """The likeliest tokens, by transformers."""
        ids = torch.tensor([prompt])
        with torch.no_grad():
            out = hf_models.load(self.folder / folder).generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS,
                eos_token_id=None, pad_token_id=0)
        return out[0, len(prompt):].tolist()

    def test_every_family_goes_on_as_in_transformers(self):
        for family in hf_models.configs():
            with self.subTest(family=family):
                # Small weights, and a head that is the embedding, say one token again and again.
                lively = {"initializer_range": 0.6}
                if family == "gpt2":
                    lively["tie_word_embeddings"] = False
                self.make_model(family, **lively)
                self.convert("hf:hf", f"{family}.h5")
                said = self.generate(f"{family}.h5")
                self.assertEqual(said["prompt_tokens"], list(PROMPT.encode()))
                self.assertEqual(said["tokens"], self.greedy("hf", said["prompt_tokens"]))
                self.assertGreater(len(set(said["tokens"])), 2, "too dull to compare")

    def test_a_shared_model_goes_on_as_its_layers_do(self):
        self.make_model()
        self.convert("hf:hf", "relaxed.h5", "--sharing", "cycle", "--unique", 2, "--relax", 3)
        self.convert("relaxed.h5", "hf:layers")
        said = self.generate("relaxed.h5")
        self.assertEqual(said["tokens"], self.greedy("layers", said["prompt_tokens"]))

    def test_what_is_drawn_depends_on_the_seed_and_on_nothing_else(self):
        self.make_model()
        self.convert("hf:hf", "model.h5")
        likeliest = self.generate("model.h5")["tokens"]
        drawn = [self.generate("model.h5", "--temperature", 1.5, "--seed", seed)["tokens"]
                 for seed in (1, 1, 2)]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])
        self.assertNotEqual(drawn[0], likeliest)
        nucleus = self.generate("model.h5", "--temperature", 1.5, "--top-p", 1e-6)["tokens"]
        self.assertEqual(nucleus, likeliest)

    def make_tokenizer(self):
        """A byte-level one in the model's folder."""
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=300, special_tokens=["<|end|>"],
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator([CORPUS], trainer)
        (self.folder / "hf").mkdir(exist_ok=True)
        tokenizer.save(str(self.folder / "hf" / "tokenizer.json"))
        return tokenizer

    def test_a_checkpoint_brings_its_tokenizer_from_folder_to_folder(self):
        tokenizer = self.make_tokenizer()
        self.make_model(vocab_size=tokenizer.get_vocab_size(), eos_token_id=0)
        self.convert("hf:hf", "model.h5", "--sharing", "cycle", "--unique", 2)
        prompt = "that a single man"
        said = self.generate("model.h5", "--ignore-end", prompt=prompt, tokenizer=None)
        self.assertEqual(said["prompt_tokens"], tokenizer.encode(prompt).ids)
        self.assertEqual(said["text"], tokenizer.decode(said["tokens"], skip_special_tokens=False))

        (self.folder / "text").write_text(CORPUS)
        self.rondo("prepare", "--input", "text", "--output", "corpus", "--tokenizer",
                   "hf:hf/tokenizer.json")
        self.train("run", {"train.init": "model.h5", "data.path": "corpus", "data.sequence": 16,
                           "train.steps": 30, "train.global_batch": 8, "train.micro_batch": 8,
                           "train.eval_every": 0, "optimizer.lr": 1e-2, "optimizer.warmup": 2})
        trained = self.checkpoint_file("run", 30)
        said = self.generate(trained, "--ignore-end", prompt="It is a truth", tokenizer=None)
        self.assertEqual(said["text"], tokenizer.decode(said["tokens"], skip_special_tokens=False))
        self.assertIn(" universally", said["text"])

        self.convert(trained, "hf:out")
        before, after = ((self.folder / f / "tokenizer.json").read_bytes() for f in ("hf", "out"))
        self.assertEqual(before, after)
        self.assertEqual(json.loads((self.folder / "out/config.json").read_text())["eos_token_id"],
                         0)

    def test_data_of_another_tokenizer_is_warned_of(self):
        tokenizer = self.make_tokenizer()
        self.make_model(vocab_size=tokenizer.get_vocab_size())
        self.convert("hf:hf", "model.h5")
        (self.folder / "text").write_text(CORPUS)
        for name, warns in (("hf:hf/tokenizer.json", False), ("bytes", True)):
            self.rondo("prepare", "--input", "text", "--output", "corpus", "--tokenizer", name)
            for command in (["train", "train.init=model.h5", "data.path=corpus",
                             "data.sequence=16", "train.steps=1", "train.global_batch=2",
                             f"log.dir=run-{warns}", "train.micro_batch=2"],
                            ["eval", "--checkpoint", "model.h5", "--data", "corpus",
                             "--sequence", "16"]):
                done = self.run_rondo(*command)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual("another tokenizer than model.h5 carries" in done.stderr, warns)
        self.rondo("prepare", "--input", "text", "--output", "held", "--tokenizer",
                   "hf:hf/tokenizer.json")
        done = self.run_rondo("train", "data.path=corpus", "data.validation_path=held",
                              "data.sequence=16", "model.vocab=512", "train.steps=1")
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("corpus and held were made with different tokenizers", done.stderr)
        (self.folder / "held.json").write_text("{")
        done = self.run_rondo("eval", "--checkpoint", "model.h5", "--data", "held",
                              "--sequence", "16", ranks=2)
        said = [line for line in done.stderr.splitlines() if line.startswith("rondo: ")]
        self.assertEqual([done.returncode, len(said)], [2, 1], done.stderr)
        self.assertIn("held.json: damaged", said[0])

    def test_a_text_ends_with_the_token_that_the_model_says(self):
        tokenizer = self.make_tokenizer()
        self.make_model(vocab_size=tokenizer.get_vocab_size(), eos_token_id=None)
        self.convert("hf:hf", "model.h5")
        likeliest = self.generate("model.h5", prompt="a wife", tokenizer=None)["tokens"]
        self.assertEqual(len(likeliest), TOKENS)
        end = likeliest[TOKENS // 2]
        self.make_model(vocab_size=tokenizer.get_vocab_size(), eos_token_id=end)
        self.convert("hf:hf", "ends.h5")
        said = self.generate("ends.h5", prompt="a wife", tokenizer=None)["tokens"]
        self.assertEqual(said, likeliest[:likeliest.index(end)])
        said = self.generate("ends.h5", "--ignore-end", prompt="a wife", tokenizer=None)["tokens"]
        self.assertEqual(said, likeliest)

    def test_a_text_ends_with_any_of_the_tokens_that_either_file_names(self):
        tokenizer = self.make_tokenizer()
        size = tokenizer.get_vocab_size()
        self.make_model(vocab_size=size, eos_token_id=None)
        self.convert("hf:hf", "model.h5")
        likeliest = self.generate("model.h5", prompt="a wife", tokenizer=None)["tokens"]
        end = likeliest[TOKENS // 2]
        other = next(token for token in range(size) if token not in likeliest)
        for config, generation in (([other, end], None), (other, [other, end]), (None, end)):
            with self.subTest(config=config, generation=generation):
                self.make_model(vocab_size=size, eos_token_id=config)
                settings = self.folder / "hf" / "generation_config.json"
                settings.unlink(missing_ok=True)
                if generation is not None:
                    settings.write_text(json.dumps({"eos_token_id": generation}))
                self.convert("hf:hf", "ends.h5")
                said = self.generate("ends.h5", prompt="a wife", tokenizer=None)["tokens"]
                self.assertEqual(said, likeliest[:likeliest.index(end)])

    def check_tokens_of_folder(self, text):
        """Ids are those of AutoTokenizer, here and from the folder that comes out."""
        self.convert("hf:hf", "model.h5")
        said = self.generate("model.h5", "--ignore-end", prompt=text, tokenizer=None)
        expected = AutoTokenizer.from_pretrained(self.folder / "hf")
        ids = expected.encode(text, add_special_tokens=False)
        self.assertEqual(said["prompt_tokens"], ids)
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        self.convert("model.h5", "hf:out")
        exported = AutoTokenizer.from_pretrained(self.folder / "out")
        self.assertEqual(exported.encode(text, add_special_tokens=False), ids)
        for file in (self.folder / "hf").iterdir():
            if not file.name.endswith("safetensors") and "config.json" not in file.name:
                self.assertEqual((self.folder / "out" / file.name).read_bytes(), file.read_bytes())

    def test_tokens_that_only_files_beside_the_tokenizer_name_stay_whole(self):
        tokenizer = self.make_tokenizer()
        size = tokenizer.get_vocab_size()
        self.make_model(vocab_size=size + 8)
        special = {"content": "<|call|>", "lstrip": False, "normalized": False, "rstrip": False,
                   "single_word": False, "special": True}
        settings = {"tokenizer_class": "PreTrainedTokenizerFast",
                    "added_tokens_decoder": {str(size): special}}
        (self.folder / "hf/tokenizer_config.json").write_text(json.dumps(settings))
        (self.folder / "hf/tokenizer.model").write_bytes(b"not what transformers takes")
        self.check_tokens_of_folder("It is<|call|> a truth")

    def test_a_vocabulary_and_merges_are_a_tokenizer(self):
        tokenizer = self.make_tokenizer()
        self.make_model(vocab_size=tokenizer.get_vocab_size() + 1)  # the special token comes last
        (self.folder / "hf/tokenizer.json").unlink()
        tokenizer.model.save(str(self.folder / "hf"))
        for name in ("GPT2Tokenizer", "Qwen2Tokenizer"):
            settings = {"tokenizer_class": name, "eos_token": "<|endoftext|>"}
            (self.folder / "hf/tokenizer_config.json").write_text(json.dumps(settings))
            self.check_tokens_of_folder("It is<|endoftext|> a truth, 1234 wives\n\n don't  \n")

    def test_tokens_beside_a_sentencepiece_model_stay_whole(self):
        self.make_model(vocab_size=320)
        (self.folder / "text").write_text(CORPUS)
        model = self.folder / "hf" / "tokenizer.model"
        self.rondo("prepare", "--input", "text", "--output", "corpus", "--tokenizer",
                   f"sentencepiece:{model}", "--vocab", 310)
        (self.folder / "hf/added_tokens.json").write_text('{"<|call|>": 312, "</s>": 2}')
        self.convert("hf:hf", "model.h5")
        said = self.generate("model.h5", prompt="It is<|call|> a truth", tokenizer=None)
        plain = self.generate("model.h5", prompt="It is a truth", tokenizer=None)
        tokens = said["prompt_tokens"]
        at = tokens.index(312)
        self.assertEqual(tokens[:at] + tokens[at + 1:], plain["prompt_tokens"])
        self.assertEqual(said["prompt"], "It is<|call|> a truth")
        self.convert("model.h5", "hf:out")
        for name in ("tokenizer.model", "added_tokens.json"):
            self.assertEqual((self.folder / "out" / name).read_bytes(),
                             (self.folder / "hf" / name).read_bytes())

    def test_convert_tells_of_a_tokenizer_that_cannot_be_read(self):
        self.make_tokenizer()
        self.make_model(vocab_size=300)
        file = self.folder / "hf" / "tokenizer.json"
        root = json.loads(file.read_text())
        root["pre_tokenizer"] = {"type": "Whitespace"}
        file.write_text(json.dumps(root))
        done = self.run_rondo("convert", "--from", "hf:hf", "--to", "model.h5")
        self.assertEqual(done.returncode, 0)
        self.assertIn("warning: the tokenizer goes along", done.stderr)
        self.assertIn("Whitespace is not supported", done.stderr)

    def test_what_cannot_be_said_is_refused(self):
        self.make_model("gpt2")
        self.convert("hf:hf", "model.h5")
        for options, part in (
                (["--prompt", PROMPT], "--tokenizer"),
                (["--prompt", "", "--tokenizer", "bytes"], "no token in it"),
                (["--prompt", "words", "--tokenizer", "bytes"], "vocabulary of 64"),
                (["--prompt", PROMPT, "--tokenizer", "bytes", "--max-tokens", 99], "24 positions"),
                (["--prompt", PROMPT, "--tokenizer", "hf:nowhere.json"], "nowhere.json")):
            with self.subTest(options=options):
                done = self.run_rondo("generate", "--checkpoint", "model.h5", *options)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn(part, done.stderr)
                self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    rondo_runs.main()
