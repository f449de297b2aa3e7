"""What a new user does wrong: exit code 2, one line with the place and the fix, nothing created.

Also what the new user does right first: --help, --cfg, --multirun, eval and inspect.
"""

import json
import tomllib

import h5py

import rondo_runs
from rondo_runs import RondoTest, read_metrics, words, write_corpus

TRAINS = rondo_runs.TINY_MODEL | {
    "data.path": "corpus", "data.sequence": 16, "train.steps": 2, "train.global_batch": 2,
    "train.micro_batch": 1, "train.eval_every": 0, "log.dir": "run", "log.tensorboard": False}


class WithCorpus(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [range(64)] * 20)

    def files(self):
        return {path: path.read_bytes() if path.is_file() else None
                for path in self.folder.rglob("*")}

    def refuses(self, arguments, expected, ranks=0):
        """`expected`: regular expressions that the one line must match."""
        before = self.files()
        done = self.run_rondo(*arguments, ranks=ranks)
        lines = done.stderr.splitlines()
        if ranks:  # mpirun has its own to say
            lines = [line for line in lines if line.startswith("rondo: ")]
        self.assertEqual(done.returncode, 2, f"{arguments}\n{done.stdout}\n{done.stderr}")
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("rondo: "), lines[0])
        for pattern in expected:
            self.assertRegex(lines[0], pattern)
        self.assertEqual(self.files(), before)

    def train_refuses(self, settings, *expected, ranks=0):
        with self.subTest(**settings):
            self.refuses(["train", *words(TRAINS | settings)], expected, ranks)


class Mistakes(WithCorpus):

    def test_a_fault_that_would_strike_nothing_is_refused(self):
        for fault, expected in (("nan@1:atention/0", "atention/0.*did you mean.*attention/0"),
                                ("inf@1:embedding/0", "no layer reads it"), ("kill@1:3", "WHAT is a rank, 0 to 0"),
                                ("kill@3", "the last step is train.steps = 2"),
                                ("spike@1:attention/0", "a spike strikes all ranks")):
            with self.subTest(fault):
                self.refuses(["train", *words(TRAINS), "--chaos", fault], ["--chaos " + fault.split(":")[0], expected])

    def test_an_unknown_name_is_answered_with_the_nearest_one(self):
        self.train_refuses({"sharing.uniqe": 3}, "sharing.uniqe", "did you mean sharing.unique")
        self.train_refuses({"sharing": "cycl"}, "sharing", "did you mean cycle")
        self.train_refuses({"shraing": "cycle"}, "shraing", "did you mean sharing")
        self.train_refuses({"model": "llama_tny"}, "llama_tny", "did you mean llama_tiny")
        self.train_refuses({"sharing.strategy": "cyle"}, "cyle", "cycle")
        self.train_refuses({"train.precision": "float46"}, "train.precision", "float64")
        self.train_refuses({"optimizer.schedule": "cosin"}, "optimizer.schedule", "cosine")
        self.refuses(["trian"], ["trian", "did you mean 'train'"])
        self.refuses(["train", "--confg"], ["--confg", "rondo train --help"])
        self.refuses(["train", "steps"], ["'steps'", "key=value"])

    def test_a_sweep_with_one_bad_value_starts_none_of_its_runs(self):
        self.refuses(["train", "--multirun", *words(TRAINS), "sharing=cycle,sequense"],
                     ["did you mean sequence"])

    def test_a_value_of_the_wrong_type_or_range_names_its_key(self):
        self.train_refuses({"train.steps": "many"}, r"train\.steps", "an integer")
        self.train_refuses({"train.steps": 1.5}, r"train\.steps", "an integer")
        self.train_refuses({"optimizer.lr": -1}, r"optimizer\.lr", "at least 0")
        self.train_refuses({"train.global_batch": 0}, r"train\.global_batch", "at least 1")
        self.train_refuses({"data.validation": 1.5}, r"data\.validation", r"\[0, 1\)")

    def test_a_mistake_in_a_config_file_is_found_by_its_line(self):
        (self.folder / "configs" / "run").mkdir(parents=True)
        (self.folder / "configs" / "run" / "mine.toml").write_text("[data]\nshuffle = 'x'\n")
        self.train_refuses({"run": "mine"}, r"run/mine\.toml:2", r"data\.shuffle")
        (self.folder / "configs" / "run" / "mine.toml").write_text("[model]\ndepth = 4\n[sharing]\nunique = 9\n")
        keys = {key: value for key, value in TRAINS.items() if key not in ("model.depth", "sharing.unique")}
        self.refuses(["train", *words(keys), "run=mine"], [r"run/mine\.toml:4: sharing\.unique = 9"])

    def test_sizes_that_do_not_fit_together_come_with_sizes_that_do(self):
        self.train_refuses({"model.hidden": 30}, r"model\.heads = 4", "24 or 32")
        self.train_refuses({"model.kv_heads": 3}, r"model\.kv_heads", "2 or 4")
        self.train_refuses({"train.global_batch": 8, "train.micro_batch": 3},
                           r"train\.micro_batch", "2 or 4")
        self.train_refuses({"sharing.unique": 9}, r"sharing\.unique = 9", "1 to 6")
        self.train_refuses({"sharing": "sequence", "sharing.unique": 4}, "sharing.unique = 4",
                           "1, 2, 3, 6")
        self.train_refuses({"sharing": "explicit"}, r"sharing\.map names the blocks of 8 layers",
                           "6 layers")

    def test_a_corpus_that_does_not_serve_is_named(self):
        self.train_refuses({"data.path": ""}, r"data\.path", "rondo prepare")
        self.train_refuses({"data.path": "nowhere"}, r"data\.path nowhere", "rondo prepare")
        self.train_refuses({"data.path": "corpus.bin"}, r"data\.path corpus\.bin", "corpus$")
        self.train_refuses({"data.validation_path": "corpus.idx"}, r"data\.validation_path",
                           "corpus$")
        self.train_refuses({"model.vocab": 32}, "corpus", "32", r"model\.vocab")
        (self.folder / "half.bin").write_bytes(b"tokens")
        self.train_refuses({"data.path": "half"}, r"data\.path half", r"half\.bin without half\.idx")
        self.train_refuses({"data.sequence": 100000}, "corpus", r"data\.sequence")

    def test_a_corpus_that_vouches_wrongly_for_its_tokens_is_named_when_it_is_read(self):
        info = {"tokenizer": "bytes", "vocab": 16, "bytes": 1280, "tokens": 1280, "documents": 20,
                "unigram_entropy": 6.0}
        (self.folder / "corpus.json").write_text(json.dumps(info))
        done = self.run_rondo("train", *words(TRAINS | {"model.vocab": 16}))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, r"rondo: corpus\.bin: token \d+ at position \d+ is outside")

    def test_a_file_that_is_no_checkpoint_is_named(self):
        with h5py.File(self.folder / "foreign.h5", "w") as file:
            file["values"] = [1.0, 2.0]
        for name in ("foreign.h5", "corpus.bin", "nowhere.h5"):
            self.train_refuses({"train.init": name}, name.replace(".", r"\."))
            self.refuses(["eval", "--checkpoint", name, "--data", "corpus"], [name])
            self.refuses(["inspect", name], [name])

    def test_a_misspelt_path_is_answered_with_the_near_one(self):
        self.rondo("train", *words(TRAINS | {"log.dir": "runs/first"}))
        self.train_refuses({"data.path": "corpsu"}, r"data\.path corpsu: .*did you mean corpus\?$")
        self.train_refuses({"train.init": "runs/first/checkpoint/step-00000002.h5"},
                           r"did you mean runs/first/checkpoints/step-00000002\.h5\?$")
        self.refuses(["inspect", "runs/first/checkpoints/step-00000003.h5"],
                     [r"did you mean runs/first/checkpoints/step-00000002\.h5\?$"])
        self.refuses(["report", "runs/frist", "--output", "page.html"], [r"did you mean runs/first\?$"])
        self.refuses(["prepare", "--input", "corpus.idxx", "--output", "other"], [r"did you mean corpus\.idx\?$"])
        self.refuses(["inspect", "elsewhere/step-00000002.h5"], ["there is no such file$"])

    def test_what_is_written_under_a_name_does_not_replace_another_kind_of_file(self):
        self.rondo("train", *words(TRAINS | {"log.dir": "runs/first"}))
        kept = {path: path.read_bytes() for path in self.folder.glob("runs/first/**/*") if path.is_file()}
        self.refuses(["report", "runs/first", "--output", "runs/first/metrics.jsonl"],
                     [r"--output .*metrics\.jsonl: what is written there needs a name that ends in \.html$"])
        checkpoint = "runs/first/checkpoints/step-00000002.h5"
        for option, extension in (("--svg", "svg"), ("--json", "json"), ("--trace", "json"), ("--csv", "csv")):
            self.refuses(["plan", "--world", "2", option, checkpoint], [rf"{option} .*ends in \.{extension}$"])
        self.refuses(["plan", "--world", "2", "--svg", "nowhere/x.svg"], ["the folder nowhere does not exist"])
        self.assertEqual({path: path.read_bytes() for path in kept}, kept)

    def test_all_runs_below_a_folder_are_meant_and_what_is_none_is_left_out_aloud(self):
        self.rondo("train", "--multirun", *words(TRAINS | {"log.dir": "runs/sweep", "train.seed": "1,2"}))
        self.rondo("train", *words(TRAINS | {"log.dir": "runs/day/hour"}))
        (self.folder / "runs" / "empty").mkdir()
        for pattern in (["runs"], ["runs/sweep", "runs/day", "runs/empty", "runs/sweep/sweep.txt"]):
            done = self.run_rondo("watch", "--once", *pattern)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout.count("step 2/2"), 3, done.stdout)
            self.assertEqual(done.stderr.count("left out: runs/"), len(pattern) // 2, done.stderr)
        self.refuses(["watch", "--once", "runs/empty"], ["runs/empty has no metrics.jsonl"])

    def test_a_run_folder_with_another_model_is_left_alone(self):
        self.rondo("train", *words(TRAINS))
        self.train_refuses({"model.hidden": 64}, "step-00000002", "another model", r"log\.dir")
        self.train_refuses({"sharing.unique": 1}, "step-00000002",
                           r"sharing map \(3 blocks of attention, not 1\)", r"log\.dir")
        self.train_refuses({"sharing": "sequence"}, r"layer 1 takes block 1 of attention, not 0\)")
        self.train_refuses({"relaxation.rank": 2}, "step-00000002", r"relaxation rank \(0, not 2\)", r"log\.dir")

    def test_a_run_folder_that_cannot_be_written_is_named(self):
        self.train_refuses({"log.dir": "/proc/run"}, "/proc/run", r"log\.dir")
        self.train_refuses({"log.dir": "corpus.bin"}, r"corpus\.bin", r"log\.dir")

    def test_what_cannot_be_is_said(self):
        self.train_refuses({"distributed.pipeline": 2}, r"distributed\.pipeline", "1")

    def test_several_ranks_refuse_with_one_line(self):
        self.train_refuses({"train.global_batch": 1}, r"train\.global_batch", "2", ranks=2)
        self.train_refuses({"data.path": "nowhere"}, "nowhere", ranks=2)

    def test_prepare_names_the_text_that_it_cannot_take(self):
        (self.folder / "text.txt").write_text("ein Text, more text, et encore. " * 200)
        (self.folder / "empty.txt").write_text("")
        (self.folder / "latin.txt").write_bytes(b"abc \xff def\n" * 50)
        self.prepare_refuses("nowhere.txt", "bytes", r"nowhere\.txt")
        self.prepare_refuses("empty.txt", "bytes", r"empty\.txt", "leave it out")
        self.prepare_refuses("text.txt", "wrods", "wrods", "sentencepiece")
        self.prepare_refuses("text.txt", "sentencepiece:new.model", r"new\.model", "--vocab")
        train = ["--vocab", "280"]
        self.prepare_refuses("latin.txt", "sentencepiece:new.model", r"latin\.txt",
                             "UTF-8 at byte 4", more=train)
        self.prepare_refuses("text.txt", "bytes", "--output nowhere/out", output="nowhere/out")
        self.rondo("prepare", "--input", "text.txt", "--output", "out", "--tokenizer",
                   "sentencepiece:new.model", *train)
        self.prepare_refuses("latin.txt", "sentencepiece:new.model", r"latin\.txt",
                             "UTF-8 at byte 4")

    def prepare_refuses(self, text, tokenizer, *expected, output="out", more=()):
        with self.subTest(text=text, tokenizer=tokenizer):
            self.refuses(["prepare", "--input", text, "--output", output, "--tokenizer", tokenizer,
                          *more], expected)

    def test_other_commands_name_what_is_missing(self):
        self.refuses(["convert", "--from", "hf:nowhere", "--to", "out.h5"], ["nowhere"])
        self.refuses(["convert", "--from", "nowhere", "--to", "out.h5"], ["nowhere", "hf:DIR"])
        self.refuses(["eval"], ["--checkpoint", "rondo eval --help"])
        self.refuses(["convert", "--from", "hf:nowhere"], ["--to", "rondo convert --help"])


class MistakesWithoutCuda(WithCorpus):

    def test_nccl_is_refused_with_the_two_ways_out(self):
        self.train_refuses({"distributed.backend": "nccl"}, r"distributed\.backend",
                           "-DRONDO_CUDA=ON", "distributed.backend=mpi")


class FirstSteps(WithCorpus):

    def test_every_command_explains_itself_with_an_example(self):
        commands = [line.split()[0] for line in self.rondo("--help").splitlines()
                    if line.startswith("  ")]
        self.assertLessEqual({"train", "prepare", "convert", "eval", "inspect"}, set(commands))
        for command in commands:
            self.assertRegex(self.rondo(command, "--help"), rf"Example(.|\n)*rondo {command} ")

    def test_the_printed_config_reads_back_as_itself(self):
        printed = self.rondo("train", "--cfg", *words(TRAINS), "sharing=zigzag", "train.seed=7",
                             "optimizer.betas=[0.8, 0.99]", "sharing.unique=2")
        config = tomllib.loads(printed)
        self.assertEqual(config["sharing"]["strategy"], "zigzag")
        self.assertEqual(config["optimizer"]["betas"], [0.8, 0.99])
        (self.folder / "kept").mkdir()
        (self.folder / "kept" / "rondo.toml").write_text(printed)
        self.assertEqual(self.rondo("train", "--cfg", "--config-dir", "kept"), printed)
        self.assertFalse((self.folder / "run").exists())
        (self.folder / "configs" / "run").mkdir(parents=True)
        (self.folder / "configs" / "run" / "again.toml").write_text(printed)
        self.assertEqual(self.rondo("train", "--cfg", "run=again"), printed)

    def test_a_run_keeps_the_config_that_cfg_prints(self):
        self.rondo("train", *words(TRAINS))
        self.assertEqual((self.folder / "run" / "config.toml").read_text(),
                         self.rondo("train", "--cfg", *words(TRAINS)))

    def test_a_warm_up_that_takes_the_whole_run_is_said(self):
        remark = "optimizer.warmup = {} is not below train.steps = 2"
        for warmup in (1, 2):
            settings = TRAINS | {"optimizer.warmup": warmup, "log.dir": f"run{warmup}"}
            printed = self.rondo("train", *words(settings))
            self.assertEqual(remark.format(warmup) in printed, warmup == 2, printed)

    def test_a_multirun_makes_a_numbered_folder_per_combination(self):
        printed = self.rondo("train", "--multirun", *words(TRAINS | {"log.dir": "sweep"}),
                             "sharing=cycle,sequence", "train.seed=0,1")
        kept = {path.parent.name: tomllib.loads(path.read_text())
                for path in (self.folder / "sweep").glob("*/config.toml")}
        self.assertEqual({name: (c["sharing"]["strategy"], c["train"]["seed"])
                          for name, c in kept.items()},
                         {"0": ("cycle", 0), "1": ("cycle", 1),
                          "2": ("sequence", 0), "3": ("sequence", 1)})
        losses = {read_metrics(self.folder / "sweep" / name)[-1]["loss"] for name in kept}
        self.assertEqual(len(losses), 4)
        for name in kept:
            self.assertIn(f"sweep/{name}  step 2", printed)

    def sweep(self, *arguments, code=0):
        settings = {key: value for key, value in TRAINS.items() if key != "log.dir"}
        done = self.run_rondo("train", "--multirun", *words(settings), *arguments)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        return done.stdout

    def test_every_sweep_has_a_folder_of_its_own_and_goes_on_in_it(self):
        self.sweep("train.seed=0,1")
        before = self.files()
        printed = self.sweep("optimizer.lr=1e-3,1e-2")
        self.assertIn("multirun/1/1  step 2  loss", printed)
        kept = self.files()
        self.assertEqual({path: kept[path] for path in before}, before)
        self.assertIn("multirun/0/1  step 2  was done before", self.sweep("train.seed=0,1"))
        self.rondo("train", "--multirun", *words(TRAINS), "train.seed=0,1")
        self.refuses(["train", "--multirun", *words(TRAINS), "train.seed=1,2"],
                     [r'log\.dir = "run" holds another sweep', "multirun/"])

    def test_a_run_of_a_sweep_that_fails_does_not_stop_the_rest(self):
        printed = self.sweep("optimizer.lr=1e-3,1e38,2e-3", "train.steps=4", "optimizer.warmup=0",
                             code=1)
        self.assertRegex(printed, r"multirun/0/0  step 4  loss")
        self.assertRegex(printed, r"multirun/0/1  failed .*optimizer\.lr=1e38")
        self.assertRegex(printed, r"multirun/0/2  step 4  loss")

    def test_a_folder_used_again_keeps_its_config_and_takes_no_values_in_vain(self):
        trains = TRAINS | {"optimizer.warmup": 0}
        self.rondo("train", *words(trains))
        self.refuses(["train", *words(trains | {"optimizer.lr": 1, "train.seed": 9})],
                     ["step 2 of 2", r"optimizer\.lr .* -> 1", r"train\.seed 0 -> 9", r"log\.dir"])
        first = (self.folder / "run" / "config.toml").read_text()
        self.rondo("train", *words(trains | {"log.every": 1}))
        self.assertEqual((self.folder / "run" / "config.toml").read_text(), first)
        printed = self.rondo("train", *words(trains | {"train.steps": 4}))
        self.assertRegex(printed, r"warning: the rate of step 3 is \S+; it was \S+ at step 2, and would be \S+ with")
        self.assertEqual((self.folder / "run" / "config-until-00000002.toml").read_text(), first)
        self.assertIn("\nsteps = 4\n", (self.folder / "run" / "config.toml").read_text())

    def test_evaluation_and_inspection_speak_json(self):
        metrics = self.train("run", TRAINS | {"data.validation_path": "corpus",
                                              "train.eval_batches": 100})
        file = self.checkpoint_file("run", 2)
        for ranks in (0, 2):
            result = json.loads(self.rondo("eval", "--checkpoint", file, "--data", "corpus",
                                           ranks=ranks))
            self.assertAlmostEqual(result["loss"], metrics[-1]["validation_loss"], places=5)
            self.assertEqual(result["tokens"], (20 * 64 - 1) // 16 * 16)
        seen = json.loads(self.rondo("inspect", file, "--json"))
        self.assertEqual(seen["step"], 2)
        self.assertEqual(seen["sharing"]["attention"], [0, 1, 2, 0, 1, 2])


if __name__ == "__main__":
    rondo_runs.main()
