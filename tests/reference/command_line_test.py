"""What the commands other than train answer to wrong options, in the words of those options."""

import json
import re
import shutil
import subprocess

import rondo_runs
from mistakes_test import TRAINS, WithCorpus
from rondo_runs import words

HF_CONFIG = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 6,
             "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
             "vocab_size": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
             "tie_word_embeddings": True, "max_position_embeddings": 64}


class CommandLine(WithCorpus):

    def setUp(self):
        super().setUp()
        (self.folder / "hf").mkdir()
        (self.folder / "hf" / "config.json").write_text(json.dumps(HF_CONFIG))
        (self.folder / "text.txt").write_text("some text\n" * 50)

    def convert_refuses(self, *options, to="out.h5"):
        *options, expected = options
        with self.subTest(options=options):
            self.refuses(["convert", "--from", "hf:hf", "--to", to, *options], [expected])

    def test_convert_complains_about_its_own_options(self):
        self.convert_refuses("--sharing", "sequence", "--unique", "4",
                             r"^rondo: --unique = 4: no sequence of 4 blocks over 6 layers")
        self.convert_refuses("--sharing", "interleaved", "--unique", "1", "--unique = 1.* 4 blocks")
        self.convert_refuses("--map", "0,1",
                             "--map names the blocks of 2 layers, but there are 6 layers")
        self.convert_refuses("--map", "0,1,2,0,1,2", "--sharing", "cycle",
                             "--map is given, but --sharing is 'cycle'")
        self.convert_refuses("--precision", "bf17", "--precision: bf17.*float32, float64")
        self.convert_refuses("--init", "stepwize", "--init: .*did you mean stepwise")

    def test_a_count_below_1_is_answered_with_the_option(self):
        for option in ("--sequence", "--max-tokens", "--micro-batch", "--threads"):
            self.refuses(["eval", "--checkpoint", "x.h5", "--data", "corpus", option, "0"],
                         [f"{option}: 0 is no whole number of at least 1"])

    def test_a_name_to_write_is_refused_alike_by_all(self):
        prepare = ["prepare", "--input", "text.txt", "--output"]
        for command in (prepare, ["convert", "--from", "hf:hf", "--to"]):
            self.refuses([*command, "nowhere/out"],
                         [f"{command[-1]} nowhere/out: the folder nowhere does not exist; create"])
            self.refuses([*command, "hf/"], [f"{command[-1]} hf/: names a folder; add"])

    def test_an_option_without_effect_is_refused(self):
        self.convert_refuses("--shard-size", "1GB", "--shard-size: a FILE.h5 is one file")
        self.convert_refuses("--adapter", "zero", "--adapter: .* --relax RANK")
        self.convert_refuses("--original", "hf:hf", "--original: .* --relax RANK")
        self.convert_refuses("--sharing", "cycle", "--unique", "2", "--relax", "2", "--adapter",
                             "zero", "--original", "hf:hf", "--original: --adapter zero")
        self.convert_refuses("--seed", "3", "--seed: nothing is drawn")
        for option in (["--seed", "1"], ["--top-p", "0.5"]):
            self.refuses(["generate", "--checkpoint", "x.h5", "--prompt", "a", *option],
                         [f"{option[0]}: nothing is drawn at --temperature 0"])

    def test_a_far_word_is_no_suggestion(self):
        for arguments in (["elephant"], ["train", "elephant.size=3"], ["train", "elephant=3"],
                          ["train", "sharing=elephant"], ["train", "train.precision=elephant"],
                          ["convert", "--from", "hf:hf", "--to", "x.h5", "--init", "elephant"]):
            with self.subTest(arguments=arguments):
                self.refuses(arguments, [r"^(?!.*did you mean)"])

    def test_the_version_comes_with_those_of_the_libraries(self):
        lines = self.rondo("--version").splitlines()
        self.assertRegex(lines[0], r"^rondo \d+\.\d+\.\d+$")
        for name in ("LibTorch", "CUDA of LibTorch", "Open MPI", "HDF5", "oneDNN", r"toml\+\+",
                     "compiler"):
            found = [line for line in lines if re.match(rf"{name} +\D*\d+\.\d+", line)]
            self.assertEqual(len(found), 1, (name, lines))
        self.assertEqual(len([line for line in lines if line.startswith("NCCL ")]), 1)

    def test_the_keys_explain_themselves(self):
        self.assertIn("Steps over which the rate rises",
                      self.rondo("train", "--help-config", "optimizer"))
        self.assertIn("train.micro_batch = ",
                      self.rondo("train", "--help-config", "train.micro_batch"))
        everything = self.rondo("train", "--help-config")
        for table in ("[model]", "[cluster]", "[run]"):
            self.assertIn(table, everything)
        self.refuses(["train", "--help-config", "optimzer"], ["did you mean optimizer"])

    def test_a_sweep_prints_the_config_of_each_run(self):
        printed = self.rondo("train", "--cfg", "--multirun", "train.seed=0,1")
        self.assertIn("# run 2 of 2: train.seed=1", printed)
        self.assertEqual(printed.count("[train]"), 2)

    def with_environment(self, variables, *arguments):
        return subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True,
                              env=rondo_runs.ENVIRONMENT | variables, text=True, timeout=120)

    def test_every_task_of_slurm_does_what_needs_no_ranks(self):
        for procid, rank in (("1", {}), ("3", {"PMIX_RANK": "3"})):
            done = self.with_environment(
                {"SLURM_PROCID": procid, "SLURM_NTASKS": "4"} | rank, "prepare", "--input",
                "text.txt", "--output", f"task{procid}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue((self.folder / f"task{procid}.bin").exists())

    def test_tasks_that_mpi_does_not_see_are_refused(self):
        for procid in ("0", "1"):
            for command in (["train", *words(TRAINS)], ["eval", "--checkpoint", "x", "--data", "y"]):
                done = self.with_environment({"SLURM_PROCID": procid, "SLURM_NTASKS": "2"}, *command)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertRegex(done.stderr, "rondo: 2 tasks, but MPI sees 1: .*srun --mpi=pmix")
        self.assertFalse((self.folder / "run").exists())
        batch = {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "7"}
        self.assertEqual(self.with_environment(batch, "train", *words(TRAINS)).returncode, 0)

    def test_a_path_may_begin_at_home_and_has_names_that_file_systems_take(self):
        done = self.with_environment({"HOME": str(self.folder / "home")}, "prepare", "--input",
                                     "text.txt", "--output=~/out")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, "--output .*/home/out: the folder .*/home does not exist")
        long = "x" * 300
        for arguments in (["prepare", "--input", "text.txt", "--output", f"{long}/out"],
                          ["inspect", f"{long}.h5"], ["train", f"log.dir={long}"],
                          ["convert", "--from", f"hf:{long}", "--to", "x.h5"]):
            self.refuses(arguments, [r"a name in the path has 30\d bytes"])

    def test_the_benchmarks_are_found_from_the_program_or_named(self):
        moved = self.folder / "moved"
        shutil.copy(self.program, moved)
        done = subprocess.run([moved, "bench", "compare"], capture_output=True, text=True,
                              env=rondo_runs.ENVIRONMENT)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, r"benchmarks/run\.sh above .*moved; set RONDO_SOURCE")
        done = subprocess.run([moved, "bench", "gradients", "--help"], capture_output=True, text=True,
                              env=rondo_runs.ENVIRONMENT | {"RONDO_SOURCE": str(self.folder)})
        self.assertRegex(done.stderr, "RONDO_SOURCE = ")

    def test_ranks_answer_with_one_voice(self):
        for arguments in (["train", "--foo"], ["eval", "--foo"], ["trian"], ["train", "--cfg", "a"],
                          ["train", "data.path=nowhere", "model.hidden=many"]):
            with self.subTest(arguments=arguments):
                self.refuses(arguments, [], ranks=2)
        for arguments in (["train", "--help"], ["eval", "--help"], ["--help"], ["--version"],
                          ["train", "--cfg", "train.steps=7"]):
            with self.subTest(arguments=arguments):
                self.assertEqual(self.rondo(*arguments, ranks=2), self.rondo(*arguments))

    def test_ranks_with_other_words_are_told_which(self):
        command = self.command("train", *words(TRAINS), ranks=1)
        other = ["-n", "1", self.program, "train", *words(TRAINS | {"optimizer.lr": 0.5})]
        done = subprocess.run([*command, ":", *other], cwd=self.folder, capture_output=True,
                              env=rondo_runs.ENVIRONMENT, text=True, timeout=120)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"rondo: rank 1 has another config than rank 0, lr = 0\.5")
        self.assertFalse((self.folder / "run").exists())

    def test_one_process_does_what_needs_no_ranks(self):
        printed = self.rondo("prepare", "--input", "text.txt", "--output", "new", ranks=3)
        self.assertEqual(printed.count("new.bin"), 1)
        self.refuses(["inspect", "none.h5"], ["none.h5"], ranks=2)

    def test_a_refused_run_leaves_no_folder(self):
        self.refuses(["train", *words(TRAINS | {"checkpoint.dir": "/proc/x", "log.dir": "a/b"})],
                     ["/proc/x", r"checkpoint\.dir"])

    def test_a_folder_is_no_place_to_convert_to(self):
        self.convert_refuses("--to hf: names a folder", to="hf")
        self.convert_refuses("hf is there already", to="hf:hf")
        self.convert_refuses("--precision", "bfloat16", "--to hf: takes less")

    def test_a_folder_of_groups_is_searched_before_the_built_in_ones(self):
        (self.folder / "mine" / "run").mkdir(parents=True)
        (self.folder / "mine" / "run" / "short.toml").write_text("[train]\nsteps = 3\n")
        printed = self.rondo("train", "--cfg", "--config-dir", "mine", "run=short", "sharing=zigzag")
        self.assertIn("\nsteps = 3\n", printed)
        self.assertIn('\nstrategy = "zigzag"\n', printed)
        self.refuses(["train", "--cfg", "--config-dir", "nowhere"], ["'nowhere'", "--config-dir"])

    def test_a_model_beyond_the_machine_is_refused_with_numbers(self):
        self.refuses(["train", *words(TRAINS | {"model.hidden": 1000000})],
                     [r"takes \S+B on each rank \(weights \S+B, gradients \S+B, optimizer \S+B, "
                     r"copy for saves \S+B\)",
                      "machine has"])

    def test_a_misspelt_option_is_named_before_one_that_is_missing(self):
        self.refuses(["convert", "--form", "hf:hf", "--to", "out.h5"],
                     [r"--form is no option: did you mean --from\?; see rondo convert --help"])
        self.refuses(["plan", "--wrld=3"], [r"--wrld is no option: did you mean --world\?"])

    def test_output_that_is_lost_is_no_success(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run(self.command("plan", "--world", 2), cwd=self.folder, stdout=full,
                                  env=rondo_runs.ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        self.assertEqual((done.returncode, done.stderr),
                         (2, "rondo: standard output is full or closed: what was printed is not complete\n"))

    def test_an_option_that_stands_twice_is_named(self):
        self.refuses(["train", "--cfg", "--config-dir", "one", "--config-dir=two"],
                     [r"--config-dir is given 2 times, not once \(folder\(s\) .*joined by ':', before rondo's\)"])
        self.refuses(["plan", "--world=3", "--world", "4"], [r"--world is given 2 times, not once"])

    def test_a_file_in_place_of_the_run_folder_is_named(self):
        (self.folder / "notes").write_text("mine\n")
        for folder in ("notes", "notes/run"):
            self.refuses(["train", *words(TRAINS | {"log.dir": folder})],
                         [rf"the folder {folder}: notes is a file; choose another with log\.dir"])

    def test_a_batch_beyond_the_machine_is_refused_with_numbers(self):
        batch = {"train.global_batch": 2**24, "train.micro_batch": 2**24}
        self.refuses(["train", *words(TRAINS | batch)],
                     [r"a rank takes about \S+B with the activations", "train.recompute=layer"])

    def test_a_foreign_file_in_the_run_folder_is_found_before_anything_is_written(self):
        (self.folder / "run").mkdir()
        (self.folder / "run" / "metrics.jsonl").write_text("my notes\n")
        self.refuses(["train", *words(TRAINS)], [r"metrics\.jsonl:1", r"log\.dir"])

    def test_prepare_without_held_out_text_speaks_of_what_an_earlier_one_held_out(self):
        prepare = ["prepare", "--input", "text.txt", "--output", "out"]
        self.assertNotIn("out.validation", self.rondo(*prepare))
        self.assertNotIn("stays", self.rondo(*prepare, "--holdout", "0.5"))
        self.assertIn("out.validation.bin was there before and stays", self.rondo(*prepare))

    def test_eval_names_the_option_of_tokens_that_are_not_there(self):
        self.rondo("train", *words(TRAINS))
        for prefix, answer in (("nowhere", "rondo prepare"), ("corpus.bin", "corpus$")):
            self.refuses(["eval", "--checkpoint", self.checkpoint_file("run", 2), "--data", prefix],
                         [f"--data {prefix}: .*{answer}"])


if __name__ == "__main__":
    rondo_runs.main()
