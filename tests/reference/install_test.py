"""An installed rondo needs nothing of the tree that it was built in."""

import pathlib
import re
import shutil
import subprocess

import rondo_runs
from rondo_runs import RondoTest, random_tokens, words, write_corpus


class Installed(RondoTest):

    @classmethod
    def setUpClass(cls):
        cls.build = pathlib.Path(cls.program).parent

    def install(self):
        done = subprocess.run(["cmake", "--install", self.build, "--prefix", self.folder / "usr", "--component", "rondo"],
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return self.folder / "usr"

    def test_trains_with_its_own_libraries_and_configs_and_explains_itself(self):
        prefix = self.install()
        program = prefix / "bin" / "rondo"
        found = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        for line in found.splitlines():
            if "libtorch" in line or "libc10" in line or "libcudart" in line:
                self.assertIn(str(prefix), line)
        # Another config folder in its place shows that it is the one that is read.
        (prefix / "share/rondo/configs/run/default.toml").write_text("[train]\nsteps = 3\n[log]\ndir = \"here\"\n")
        write_corpus(self.folder / "corpus", [random_tokens(900, 64)])
        settings = rondo_runs.TINY_MODEL | {"data.path": "corpus", "data.sequence": 16, "log.tensorboard": False}
        done = subprocess.run([program, "train", *words(settings)], cwd=self.folder, env=rondo_runs.ENVIRONMENT,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "here/checkpoints/step-00000003.h5").exists())
        for page, text in (("man1/rondo-train.1", "launcher=slurm"), ("man5/rondo-config.5", "optimizer.lr"),
                           ("man1/rondo.1", "report")):
            self.assertIn(text.replace("-", "\\-"), (prefix / "share/man" / page).read_text())
        for script in ("train.sbatch", "env.sh", "requeue.sh"):
            self.assertTrue((prefix / "share/rondo/slurm" / script).exists())

    def test_pages_are_clean_troff(self):
        self.assertTrue(shutil.which("man"), "there is no man (Debian: man-db)")
        for command in ("train", "plan", "convert"):
            page = self.rondo(command, "--help-manual")
            done = subprocess.run(["man", "--warnings", "-l", "-"], input=page, capture_output=True, text=True,
                                  env=rondo_runs.ENVIRONMENT | {"MANWIDTH": "100", "LANG": "C.UTF-8"})
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_shell_completes_commands_options_keys_and_groups(self):
        completion = pathlib.Path(__file__).parent.parent.parent / "scripts" / "completion.bash"

        def complete(*typed):
            """What bash offers after these words, which it breaks at "=" before it asks."""
            line = " ".join(typed)
            broken = re.findall(r"=|[^\s=]+", line)
            script = (f"source {completion}; PATH={self.build}:$PATH; COMP_WORDS=({' '.join(broken)}); "
                      f"COMP_CWORD={len(broken) - 1}; COMP_LINE='{line}'; COMP_POINT={len(line)}; "
                      f"compopt() {{ :; }}; _rondo; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
            return subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout.split()

        self.assertEqual(complete("rondo", "tr"), ["train"])
        self.assertEqual(complete("rondo", "train", "optimizer.warm"), ["optimizer.warmup="])
        self.assertIn("cycle_rev", complete("rondo", "train", "sharing=cy"))
        self.assertIn("none", complete("rondo", "train", "optimizer.lr=0.1", "sharing="))
        self.assertEqual(complete("rondo", "train", "train.on_spike="), ["ignore", "rewind"])
        self.assertEqual(complete("rondo", "train", "log.tensorb"), ["log.tensorboard=true", "log.tensorboard=false"])
        self.assertIn("zero_bubble", complete("rondo", "train", "distributed.schedule="))
        self.assertEqual(complete("rondo", "plan", "--swe"), ["--sweep"])
        self.assertIn("scaling", complete("rondo", "bench", "s"))


if __name__ == "__main__":
    rondo_runs.main()
