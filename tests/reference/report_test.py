"""What people look at: the console's log, --quiet and --json, rondo watch, and the page of rondo report."""

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
import time

import rondo_runs
from rondo_runs import RondoTest, random_tokens, read_metrics, words, write_corpus

SETTINGS = rondo_runs.TINY_MODEL | {
    "data.path": "corpus", "data.sequence": 16, "train.steps": 8, "train.global_batch": 4, "train.micro_batch": 2,
    "data.validation": 0.1, "train.eval_every": 4, "train.eval_batches": 2, "log.every": 2, "log.pass_every": 4,
    "log.pass_loss_every": 4, "log.trace_step": 3, "log.tensorboard": False}


class Looking(RondoTest):

    def setUp(self):
        super().setUp()
        write_corpus(self.folder / "corpus", [random_tokens(9000, 64)])

    def run_train(self, run, *options, settings=None, ranks=0):
        return self.rondo("train", *words(SETTINGS | {"log.dir": run} | (settings or {})), *options, ranks=ranks)

    def test_the_console_is_kept_and_quiet_leaves_it_to_the_file(self):
        said = self.run_train("loud")
        kept = (self.folder / "loud" / "console.log").read_text()
        for text in (said, kept):
            self.assertIn("step 2/8  loss", text)
            self.assertIn("block               A  B  C", text)
            self.assertIn("saved loud/checkpoints/step-00000008.h5", text)
        self.assertEqual(self.run_train("quiet", "--quiet", ranks=2), "")
        self.assertIn("step 8/8  loss", (self.folder / "quiet" / "console.log").read_text())

    def test_json_prints_the_lines_of_metrics_alone(self):
        said = self.run_train("run", "--json", ranks=2)
        self.assertEqual([json.loads(line) for line in said.splitlines()], read_metrics(self.folder / "run"))

    def test_json_of_a_sweep_tells_its_runs_apart(self):
        said = self.run_train("sweep", "--json", "--multirun", settings={"train.seed": "1,2"}, ranks=2)
        expected = []
        for number in (0, 1):
            expected.append({"run": f"sweep/{number}", "overrides": words(
                SETTINGS | {"log.dir": "sweep", "train.seed": number + 1})})
            expected += read_metrics(self.folder / "sweep" / str(number))
        self.assertEqual([json.loads(line) for line in said.splitlines()], expected)

    def test_the_norms_of_components_make_the_whole_norm(self):
        for ranks, settings in ((0, {}), (2, {"distributed.pipeline": 2}), (2, {"distributed.zero": 1})):
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            self.run_train("run", settings=settings, ranks=ranks)
            for metrics in read_metrics(self.folder / "run"):
                if norms := metrics.get("component_norms"):
                    whole = sum(norm ** 2 for norm in norms.values()) ** 0.5
                    self.assertAlmostEqual(whole / metrics["grad_norm"], 1, delta=1e-6)
                    self.assertIn("attention/2", norms)

    def test_watch_shows_where_runs_are(self):
        self.run_train("done")
        self.run_train("early", settings={"train.steps": 8})
        lines = (self.folder / "early" / "metrics.jsonl").read_text().splitlines(keepends=True)
        (self.folder / "early" / "metrics.jsonl").write_text("".join(lines[:3]) + lines[3][:20])  # being written
        said = self.rondo("watch", "done", "early")
        self.assertRegex(said, r"done\n  step 8/8  loss [\d.]+  held-out [\d.]+  \S+ tok/s  done\n  [▁-█]+\n")
        self.assertRegex(said, r"early\n  step 3/8  loss [\d.]+  \S+ tok/s  ETA ")
        log = self.folder / "early" / "metrics.jsonl"
        os.utime(log, times=(time.time() - 1000,) * 2)
        self.assertIn("tok/s  not running for 16m", self.rondo("watch", "early", "--once"))
        with (self.folder / "early" / ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertIn("tok/s  silent for 16m", self.rondo("watch", "early", "--once"))
        refused = self.run_rondo("watch", "corpus")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("corpus has no metrics.jsonl; name the folder of a run", refused.stderr)

    def test_colours_are_for_terminals_alone(self):
        self.run_train("done")

        def said_on_terminal(*arguments, **environment):
            own, theirs = pty.openpty()
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            subprocess.run(self.command(*arguments), cwd=self.folder, stdout=theirs, stderr=theirs,
                           env=rondo_runs.ENVIRONMENT | {"NO_COLOR": ""} | environment)
            os.close(theirs)
            said = os.read(own, 10000).decode()
            os.close(own)
            return said

        self.assertIn("\x1b[32mdone\x1b[0m", said_on_terminal("watch", "done", "--once"))
        self.assertIn("\x1b[31mrondo:\x1b[0m there is no command", said_on_terminal("wtach"))
        self.assertNotIn("\x1b", said_on_terminal("watch", "done", "--once", NO_COLOR="1"))
        self.assertNotIn("\x1b", self.rondo("watch", "done"))
        self.assertTrue(self.run_rondo("wtach").stderr.startswith("rondo: there is no command"))

    def test_a_page_has_every_run_its_map_its_passes_and_what_differs(self):
        self.run_train("one")
        self.run_train("two", settings={"optimizer.lr": 0.01})
        self.rondo("report", "one", "two", "--output", "page.html")
        page = (self.folder / "page.html").read_text()
        self.assertNotIn("{{DATA}}", page)
        self.assertFalse(re.findall(r"(?:src|href)=\"(?!data:)", page), "nothing comes from outside")
        self.assertNotIn("http://", page.replace("http://www.w3.org", ""))
        data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1].replace("<\\/", "</"))
        for run, name in zip(data["runs"], ("one", "two"), strict=True):
            metrics = read_metrics(self.folder / name)
            self.assertEqual([p["loss"] for p in run["points"]], [m["loss"] for m in metrics])
            self.assertEqual(run["map"][0], {"slot": "attention", "ids": [0, 1, 2, 0, 1, 2]})
            self.assertEqual(len(run["timelines"]), 2)
            self.assertEqual(run["points"][3]["per_pass"], metrics[3]["per_pass"])
            self.assertEqual(run["points"][-1]["peak_memory_bytes"],
                             max(rank["peak_memory_bytes"] for rank in metrics[-1]["ranks"]))
            stored = {path: values.size for path, values in rondo_runs.read_checkpoint(
                self.checkpoint_file(name, 8)).items() if path.startswith("parameters/")}
            layers = sum(size for path, size in stored.items() if path.split("/")[2].isdigit()
                         and path.split("/")[1] not in ("embedding", "final_norm", "head"))
            self.assertEqual(run["parameters"], {"stored": sum(stored.values()),
                                                 "executed": sum(stored.values()) + layers})
        self.assertEqual(data["runs"][1]["config"]["optimizer.lr"], "0.01")

    def test_several_validation_sets_and_skipped_steps_are_told(self):
        for name in ("a", "b"):
            write_corpus(self.folder / name, [random_tokens(900, 64)])
        done = self.run_rondo("train", *words(SETTINGS | {
            "data.validation": 0, "data.validation_path": "[a,b]", "log.dir": "run", "train.on_nonfinite": "skip"}),
            "--chaos", "nan@5:attention/1")
        self.assertEqual(done.returncode, 0, done.stderr)
        last = read_metrics(self.folder / "run")[-1]
        each = ", ".join(f"{name} {loss:.4f}" for name, loss in last["validation_losses"].items())
        self.assertIn(f"held-out {last['validation_loss']:.4f} ({each})", self.rondo("watch", "run"))
        self.rondo("report", "run")
        page, _ = self.browse(self.folder / "report.html")
        self.assertIn("<h2>Held-out loss of each set</h2>", page)
        self.assertIn("done, 1 skipped", page)

    def browse(self, page):
        """The document after its scripts, and what the browser complained of."""
        browser = shutil.which("chromium")
        self.assertTrue(browser, "there is no chromium (Debian: chromium)")
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
             "--enable-logging=stderr", "--v=0", "--window-size=1280,1400", "--virtual-time-budget=4000",
             "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120)
        return done.stdout, done.stderr

    def test_the_page_works_in_a_browser(self):
        self.run_train("run")
        self.rondo("report", "run")
        document, complaints = self.browse(self.folder / "report.html")
        self.assertNotRegex(complaints, r"CONSOLE.*[Ee]rror")
        titles = re.findall(r"<h2>(.*?)</h2>", document)
        for wanted in ("Loss (nats a token; dots: held-out)", "Tokens a second", "Sharing map",
                       "What each pass adds to the stream (share)", "Where the time of a step goes", "Config"):
            self.assertIn(wanted, titles)
        self.assertGreater(document.count("<path"), 10)
        self.assertRegex(document, r'<td class="number">[\d.]+ thousand, used as [\d.]+ thousand</td>')
        self.assertRegex(document, r'<td class="number">[\d.]+ MB</td></tr>')

    def test_the_page_fits_on_a_phone(self):
        self.run_train("run")
        self.rondo("report", "run")
        # A window of the browser has a least width; a frame has none.
        (self.folder / "phone.html").write_text(
            '<iframe id="phone" src="report.html" style="width:390px;height:2000px;border:0"></iframe><script>'
            'addEventListener("load", () => { const page = document.getElementById("phone").contentDocument;'
            'document.title = page.documentElement.scrollWidth + " " + page.querySelectorAll("path").length; });'
            '</script>')
        document, complaints = self.browse(self.folder / "phone.html")
        self.assertNotRegex(complaints, r"CONSOLE.*[Ee]rror")
        width, paths = map(int, re.search(r"<title>(\d+) (\d+)</title>", document).groups())
        self.assertLessEqual(width, 390)
        self.assertGreater(paths, 10)


class TensorBoard(RondoTest):

    def test_shows_config_and_map_as_text_and_the_map_as_a_picture(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        write_corpus(self.folder / "corpus", [random_tokens(9000, 64)])
        self.rondo("train", *words(SETTINGS | {"log.dir": "run", "log.tensorboard": True}))
        found = EventAccumulator(str(self.folder / "run" / "tensorboard"),
                                 size_guidance={"tensors": 0, "images": 0, "scalars": 0})
        found.Reload()
        text = found.Tensors("config")[0].tensor_proto.string_val[0].decode()
        self.assertIn("[train]\nsteps = 8\n", text)
        self.assertIn("block", found.Tensors("sharing map")[0].tensor_proto.string_val[0].decode())
        picture = found.Images("sharing map")[0]
        self.assertEqual((picture.width, picture.height), (6 * 16 + 2, 4 * 16 + 2))
        self.assertTrue(picture.encoded_image_string.startswith(b"\x89PNG"))
        tags = found.Tags()["scalars"]
        for tag in ("phases/forward", "pass_2/adds", "pass_1/loss", "grad_norm/attention/0"):
            self.assertIn(tag, tags)


if __name__ == "__main__":
    rondo_runs.main()
