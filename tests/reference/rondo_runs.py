"""Runs the rondo program from the outside and reads what it leaves behind, for the scripts here.

Each script is called with the path of the program: SCRIPT.py RONDO [unittest options].
"""

import atexit
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

import h5py
import numpy as np

# No rank may ask for more than a core, and no user's settings may reach a run.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("RONDO_")}
ENVIRONMENT["OMP_NUM_THREADS"] = "1"
# Open MPI asks a munged that has died for two seconds at each start.
ENVIRONMENT["PMIX_MCA_psec"] = "^munge"

MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]

TINY_MODEL = {"model.hidden": 32, "model.depth": 6, "model.heads": 4, "model.kv_heads": 2,
              "model.ffn": 48, "model.vocab": 64, "sharing.unique": 3}

STOPPED = 75  # exit code of a run that has saved and is not finished

UINT16 = 8  # token type of the indexed data set


def write_corpus(prefix, documents):
    """PREFIX.bin and PREFIX.idx of the indexed data set, from lists of uint16 tokens."""
    documents = [np.asarray(tokens, dtype="<u2") for tokens in documents]
    lengths = np.array([len(tokens) for tokens in documents], dtype="<i4")
    starts = np.concatenate([[0], np.cumsum(2 * lengths.astype("<i8"))[:-1]]).astype("<i8")
    pathlib.Path(f"{prefix}.bin").write_bytes(b"".join(t.tobytes() for t in documents))
    header = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, UINT16, len(documents), len(documents) + 1)
    firsts = np.arange(len(documents) + 1, dtype="<i8")
    pathlib.Path(f"{prefix}.idx").write_bytes(
        header + lengths.tobytes() + starts.tobytes() + firsts.tobytes())


def random_tokens(count, vocab, seed=0):
    """Tokens with something to learn: low ids are the frequent ones."""
    return (vocab * np.random.default_rng(seed).random(count) ** 2).astype(np.int64)


def read_checkpoint(path):
    """Every dataset by its path, as arrays."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]})
                        if isinstance(item, h5py.Dataset) else None)
    return found


def replace_dataset(path, name, values):
    """Overwrites one dataset of a checkpoint, which then has no checksum."""
    with h5py.File(path, "r+") as file:
        file[name][...] = values
        del file[name].attrs["checksum"]


def read_metrics(run):
    lines = (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def words(settings):
    """{"train.steps": 5, …} as overrides."""
    def text(value):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return [f"{key}={text(value)}" for key, value in settings.items()]


class Starter:
    """The program, loaded once: each run is a fork of it. See fork_server.cpp."""

    def __init__(self, program, library):
        self.program = program
        self.files = tempfile.TemporaryDirectory(prefix="rondo-output-")
        self.server = subprocess.Popen(
            [program], env=ENVIRONMENT | {"LD_PRELOAD": str(library)}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, start_new_session=True)

    def run(self, arguments, folder, timeout):
        out, err = (pathlib.Path(self.files.name) / name for name in ("out", "err"))
        words = [self.program, *arguments]
        for field in (len(words), folder, out, err, *words):
            self.server.stdin.write(os.fsencode(str(field)) + b"\0")
        self.server.stdin.flush()
        deadline = threading.Timer(timeout, os.killpg, (self.server.pid, signal.SIGKILL))
        deadline.start()
        status = self.server.stdout.readline()
        deadline.cancel()
        if not status:
            raise subprocess.TimeoutExpired(words, timeout)
        return subprocess.CompletedProcess(words, os.waitstatus_to_exitcode(int(status)),
                                           out.read_text(), err.read_text())

    def end(self):
        self.server.communicate()
        self.files.cleanup()


class RondoTest(unittest.TestCase):
    """A test with a folder of its own, in which the program runs."""

    program = None
    starter = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rondo-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def command(self, *arguments, ranks=0):
        """ranks = 0 starts the program alone, without mpirun."""
        launcher = [*MPIRUN, "-n", str(ranks)] if ranks else []
        return [*launcher, self.program, *map(str, arguments)]

    def running(self, pattern):
        """Processes of this test with such a command line; those of tests beside it work elsewhere."""
        def works_here(process):
            try:
                return pathlib.Path(f"/proc/{process}/cwd").readlink() == self.folder.resolve()
            except OSError:  # it has ended
                return False
        found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout.split()
        return [process for process in found if works_here(process)]

    def run_rondo(self, *arguments, ranks=0):
        if self.starter and not ranks:
            return self.starter.run(arguments, self.folder, timeout=120)
        return subprocess.run(self.command(*arguments, ranks=ranks), cwd=self.folder,
                              env=ENVIRONMENT, capture_output=True, text=True, timeout=120)

    def rondo(self, *arguments, ranks=0):
        """Runs to success and returns what was printed."""
        done = self.run_rondo(*arguments, ranks=ranks)
        self.assertEqual(done.returncode, 0, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def train(self, run, settings, ranks=0):
        """Trains with log.dir = `run`; returns the metrics, one entry per step."""
        self.rondo("train", *words({"log.dir": run, "log.tensorboard": False} | settings),
                   ranks=ranks)
        return read_metrics(self.folder / run)

    def assert_same_datasets(self, file, expected, tolerance=0):
        """Of two checkpoints: to the bit, or within a tolerance."""
        ours, theirs = read_checkpoint(file), read_checkpoint(expected)
        self.assertEqual(set(ours), set(theirs))
        for name, values in theirs.items():
            if tolerance == 0:
                self.assertEqual(ours[name].tobytes(), values.tobytes(), name)
            else:
                np.testing.assert_allclose(ours[name], values, atol=tolerance, rtol=0, err_msg=name)

    def checkpoint_file(self, run, step):
        return self.folder / run / "checkpoints" / f"step-{step:08}.h5"


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    RondoTest.program = str(program)
    library = program.parent / "tests/reference/libfork_server.so"
    if library.exists():  # not beside an installed program
        RondoTest.starter = Starter(RondoTest.program, library)
        atexit.register(RondoTest.starter.end)
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
