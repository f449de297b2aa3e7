"""The mistakes of a new user: exit code 2, one line that says what, where and how to mend it, and
nothing left behind."""

import json

import rondo_runs
from rondo_runs import (TINY_MODEL, RondoTest, random_tokens, read_metrics, words, write_corpus)

SETTINGS = TINY_MODEL | {"data.path": "corpus", "data.sequence": 16, "train.steps": 2,
                         "train.global_batch": 4, "train.micro_batch": 2, "log.dir": "run"}


class Mistakes(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(500, 64)])
        self.before = self.files()

    def files(self):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*"))

    def refuse(self, *arguments, says, ranks=0):
        done = self.run_rondo(*arguments, ranks=ranks)
        lines = [line for line in done.stderr.splitlines() if line.startswith("rondo: ")]
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        if not ranks:
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, lines[0])
        self.assertEqual(self.files(), self.before, "something was left behind")

    def refuse_train(self, change, says, ranks=0):
        with self.subTest(change=change):
            settings = {k: v for k, v in (SETTINGS | change).items() if v is not None}
            self.refuse("train", *words(settings), says=says, ranks=ranks)

    def test_of_the_config(self):
        self.refuse_train({"train.step": 3}, ["train.step=3", "train.steps"])
        self.refuse_train({"model": "llama_tny"}, ["llama_tny", "llama_tiny"])
        self.refuse_train({"train.steps": "many"}, ["train.steps=many"])
        self.refuse_train({"model.heads": 5}, ["model.heads", "does not divide"])
        self.refuse_train({"train.micro_batch": 3}, ["micro_batch"])
        self.refuse_train({"sharing.unique": 9}, "sharing.unique = 9")
        self.refuse_train({"sharing.strategy": "cyle"}, ["cyle", "cycle"])
        self.refuse_train({"train.precision": "float16"}, ["float16", "bfloat16"])
        self.refuse_train({"distributed.backend": "nccl"}, ["nccl", "-DRONDO_CUDA=ON"])
        self.refuse_train({"model": "gemma_2b", "model.head_dim": 8}, ["gemma", "llama"])
        (self.folder / "configs" / "run").mkdir(parents=True)
        (self.folder / "configs" / "run" / "mine.toml").write_text("[train]\nsteps = 'x'\n")
        self.before = self.files()
        self.refuse_train({"run": "mine", "train.steps": None}, ["mine.toml:2", "train.steps"])

    def test_of_the_data(self):
        self.refuse_train({"data.path": None}, "data.path")
        self.refuse_train({"data.path": "nothing"}, "nothing.bin")
        self.refuse_train({"model.vocab": 32}, ["token", "32"])
        self.refuse_train({"data.sequence": 1000}, "corpus")

    def test_of_the_run_folder(self):
        (self.folder / "file").write_text("not a folder")
        self.before = self.files()
        self.refuse_train({"log.dir": "file/run"}, ["file/run", "log.dir"])
        self.refuse_train({"train.init": "file"}, "file")
        self.refuse_train({"train.init": "absent.h5"}, "absent.h5")

    def test_of_the_ranks(self):
        self.refuse_train({"train.global_batch": 1, "train.micro_batch": 1}, "global_batch",
                          ranks=2)
        self.refuse_train({"data.path": "nothing"}, "nothing.bin", ranks=2)

    def test_of_another_model_in_the_run_folder(self):
        self.train("run", {k: v for k, v in SETTINGS.items() if k != "log.dir"})
        self.before = self.files()
        self.refuse_train({"sharing.strategy": "cycle_rev"}, ["sharing map", "log.dir"])
        self.refuse_train({"model.ffn": 40}, ["another model", "resume=never"])

    def test_of_the_words(self):
        self.refuse("trian", says="did you mean 'train'")
        self.refuse("eval", says="--checkpoint")
        self.refuse("inspect", "absent.h5", says="absent.h5")
        self.refuse("convert", "--from", "hf:absent", "--to", "x.h5", says="absent")

    def test_of_prepare(self):
        (self.folder / "empty.txt").write_text("")
        (self.folder / "latin.txt").write_bytes(b"caf\xe9\n" * 200)
        (self.folder / "text.txt").write_text("Some words.\n" * 200)
        self.before = self.files()
        for source, tokenizer, says in (("absent.txt", "bytes", "absent.txt"),
                                        ("empty.txt", "bytes", "empty.txt"),
                                        ("text.txt", "sentencepiece:none.model", "none.model"),
                                        ("text.txt", "words", "words")):
            with self.subTest(source=source, tokenizer=tokenizer):
                self.refuse("prepare", "--input", source, "--output", "out", "--tokenizer",
                            tokenizer, says=says)
        self.refuse("prepare", "--input", "latin.txt", "--output", "out", "--tokenizer",
                    "sentencepiece:new.model", "--vocab", 300, says=["latin.txt", "UTF-8"])


class Help(RondoTest):

    def test_has_an_example_for_every_command(self):
        for command in ("train", "prepare", "convert", "eval", "inspect"):
            self.assertIn("Example", self.rondo(command, "--help"))
            self.assertIn(command, self.rondo("--help"))

    def test_a_printed_config_reads_back_to_itself(self):
        text = self.rondo("train", "--cfg", "sharing=zigzag", "train.seed=7")
        group = self.folder / "configs" / "run"
        group.mkdir(parents=True)
        (group / "again.toml").write_text(text)
        self.assertEqual(self.rondo("train", "--cfg", "run=again"), text)

    def test_multirun_fills_numbered_folders(self):
        write_corpus(self.folder / "corpus", [random_tokens(500, 64)])
        settings = {k: v for k, v in SETTINGS.items() if k != "log.dir"}
        printed = self.rondo("train", "--multirun", *words(settings), "log.dir=sweep",
                             "sharing.strategy=cycle,zigzag", "train.seed=0,1")
        for number in range(4):
            run = self.folder / "sweep" / str(number)
            self.assertTrue((run / "config.toml").exists())
            self.assertEqual(len(read_metrics(run)), 2)
            self.assertIn(f"sweep/{number}  step 2", printed)
        self.assertIn('strategy = "zigzag"', (self.folder / "sweep/2/config.toml").read_text())

    def test_evaluation_and_inspection_speak_json(self):
        write_corpus(self.folder / "corpus", [random_tokens(500, 64)])
        metrics = self.train("run", {k: v for k, v in SETTINGS.items() if k != "log.dir"} |
                             {"data.validation_path": "corpus", "train.eval_batches": 100})
        file = str(self.checkpoint_file("run", 2))
        result = json.loads(self.rondo("eval", "--checkpoint", file, "--data", "corpus"))
        self.assertAlmostEqual(result["loss"], metrics[-1]["validation_loss"], places=5)
        self.assertEqual(result["tokens"], 31 * 16)
        again = json.loads(self.rondo("eval", "--checkpoint", file, "--data", "corpus", ranks=2))
        self.assertAlmostEqual(result["loss"], again["loss"], places=5)
        seen = json.loads(self.rondo("inspect", file, "--json"))
        self.assertEqual(seen["step"], 2)
        self.assertEqual(seen["sharing"]["attention"], [0, 1, 2, 0, 1, 2])


if __name__ == "__main__":
    rondo_runs.main()
