"""How tokens per second grow with the ranks: rondo, shared and unshared, beside what its planner predicted and PyTorch's DDP.

Every run starts from the same weights and reads the same tokens, one thread a rank. weak: each rank brings its own
sequences. strong: all ranks share a batch. The planner predicts from what the ranks measured of themselves and their
links before the run (cluster=measured). Writes a table, and the same as CSV, JSON and a picture. See README.md beside
this file.
"""

import argparse
import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

import sides
from sides import Case

sys.path.insert(0, str(sides.root / "tests" / "hosts"))
import network  # noqa: E402

peer = sides.root / "benchmarks" / "peer.py"
size = {"hidden": 256, "ffn": 704, "heads": 4, "kv_heads": 2, "vocab": 4096, "depth": 16, "micro_batch": 1}
maps = {
    "cycle": Case("cycle", unique=4, steps=8, **size),
    "sequence": Case("sequence", unique=4, steps=8, **size),
    "none": Case("none", unique=16, steps=8, **size),
}
columns = {  # of the table: heading, width (below 0: to the left) and format
    "mode": ("mode", -6, ""), "map": ("map", -8, ""), "side": ("side", -11, ""), "ranks": ("ranks", 5, "d"),
    "plan": ("plan", -30, ""), "tokens_per_s": ("tokens/s", 9, ".0f"), "efficiency": ("effic.", 6, ".2f"),
    "step_ms": ("step ms", 8, ".1f"), "predicted_ms": ("predicted", 9, ".1f"), "error": ("error", 6, "+.0%"),
    "waits": ("waits", 6, ".0%"), "bubble": ("bubble", 6, ".0%"), "sent_mb": ("MB sent", 8, ".1f"),
    "predicted_mb": ("predicted", 9, ".1f"),
}
measured_columns = "tokens/s, effic., step ms, waits (for messages and sums) and MB sent are measured"
predicted_columns = "predicted, error and bubble are the planner's, made before the run"


class Launcher:
    """How `ranks` ranks are started: by mpirun here or over hosts, or by srun in an allocation."""

    def __init__(self, kind, hosts, rate):
        self.kind = kind
        self.network = network.Network(hosts, rate) if hosts else None
        tasks = os.environ.get("SLURM_NTASKS_PER_NODE") if kind == "srun" else None
        self.each = 2 if hosts else int(tasks) if tasks else 1 << 20  # ranks of a node

    def words(self, ranks):
        if self.network:
            threads = [word for name, value in sides.one_thread.items() for word in ("-x", f"{name}={value}")]
            return self.network.mpirun(ranks, self.each, *threads)
        if self.kind == "srun":
            return ["srun", "--mpi=pmix", "--kill-on-bad-exit=1", f"--ntasks={ranks}", "--cpu-bind=cores"]
        return [*sides.mpirun, "-q", "-n", ranks] if ranks > 1 else []

    def peer_words(self, ranks):
        """The peer's ranks find each other by address; its first one listens on the first host."""
        if ranks == 1:
            return []
        if not self.network:
            return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python",
                    "--nproc-per-node", ranks]
        words = self.words(ranks)
        environment = {"MASTER_ADDR": self.network.addresses[0], "MASTER_PORT": 29500, "WORLD_SIZE": ranks,
                       "GLOO_SOCKET_IFNAME": "eth0"}
        for name, value in environment.items():
            words += ["-x", f"{name}={value}"]
        return [*words, "sh", "-c", 'RANK=$OMPI_COMM_WORLD_RANK exec "$@"', "rank"]

    def stop(self):
        if self.network:
            self.network.stop()


def case_of(name, mode, ranks, most):
    """weak: 4 sequences a rank. strong: 4 for each of the most ranks that are tried."""
    rows = 4 if mode == "weak" else 4 * most // ranks
    return replace(maps[name], rows=rows)


def plan_words(ranks, launcher):
    return ["distributed=auto", "cluster=measured", f"cluster.gpus_per_node={min(launcher.each, ranks)}",
            "log.every=1", "log.tensorboard=false"]


def prediction(case, ranks, folder):
    """What the planner says of the run in `folder`, from the cluster that it measured."""
    config = tomllib.loads((folder / "run" / "config.toml").read_text())
    cluster = {key: value for key, value in config["cluster"].items() if key != "measured"}
    words = [f"cluster.{key}={value}" for key, value in cluster.items()]
    command = sides.rondo_command(case, ranks, folder, ["distributed=auto", *words])
    return json.loads(sides.run([sides.rondo, "plan", "--world", ranks, "--json", "/dev/stdout", *command[2:]]))


def run_rondo(case, ranks, folder, launcher):
    shutil.rmtree(folder / "run", ignore_errors=True)
    command = sides.rondo_command(case, ranks, folder, plan_words(ranks, launcher))
    sides.run([*launcher.words(ranks), *command])
    steps = sides.metrics(folder)[sides.warm_up:]
    plan = prediction(case, ranks, folder)
    phases = [step["phases"] for step in steps]
    waits = statistics.median((p["messages"] + p["sums"]) / sum(p.values()) for p in phases)
    seconds = statistics.median(step["step_s"] for step in steps)
    where = f"{plan['pipeline']} x {plan['replicas']} {plan['route']} {plan['schedule']}"
    if plan["neighbours"] == "replicas":
        where += " rows"
    return {"side": "rondo", "plan": where, "step_ms": 1e3 * seconds, "predicted_ms": 1e3 * plan["step_s"],
            "error": plan["step_s"] / seconds - 1, "waits": waits, "bubble": max(0.0, plan["bubble"]),
            "sent_mb": sum(steps[-1]["sent_bytes"].values()) / 1e6,
            "predicted_mb": sum(plan["bytes"].values()) / 1e6,
            "loss": [step["loss"] for step in sides.metrics(folder)]}


def run_peer(case, ranks, folder, launcher):
    whole = replace(case, micro_batch=case.rows)  # nothing flows through a pipeline
    command = [sys.executable, peer, *sides.peer_options(whole, ranks, folder)]
    one = sides.read_peer(*sides.measured(launcher.peer_words(ranks), command, folder))
    return {"side": "PyTorch DDP", "plan": "", "step_ms": 1e3 * one.seconds(), "loss": one.loss}


def measure(name, mode, ranks, chosen, folder, launcher):
    case = case_of(name, mode, ranks, max(chosen.ranks))
    sides.write_tokens(folder / "tokens", case, ranks)
    rows = []
    for side in (run_rondo, run_peer) if chosen.peer else (run_rondo,):
        row = {"mode": mode, "map": name, "ranks": ranks} | side(case, ranks, folder, launcher)
        row["tokens_per_s"] = case.tokens(ranks) / (row["step_ms"] / 1e3)
        rows.append(row)
    if len(rows) == 2:
        apart = max(abs(a - b) for a, b in zip(rows[0]["loss"], rows[1]["loss"]))
        if apart > sides.tolerance:
            sys.exit(f"{name}, {ranks} ranks: the sides do not compute the same thing: {apart:.1e} apart")
    return rows


def aligned(text, width):
    return f"{text:<{-width}}" if width < 0 else f"{text:>{width}}"


def line(row):
    return " ".join(aligned(format(row[key], form) if row.get(key) is not None else "", width)
                    for key, (_, width, form) in columns.items())


def heading():
    return " ".join(aligned(name, width) for name, width, _ in columns.values())


def add_efficiency(rows, row):
    """Tokens a second of a rank, beside those of the same side alone."""
    alone = next((other for other in rows if other["ranks"] == 1 and
                  all(other[key] == row[key] for key in ("mode", "map", "side"))), None)
    if alone:
        row["efficiency"] = row["tokens_per_s"] / (row["ranks"] * alone["tokens_per_s"])


def picture(rows, file, title):
    """Efficiency by ranks, measured as points and lines, the planner's as dashes."""
    lines, data = [], []
    kinds = sorted({(row["mode"], row["map"], row["side"]) for row in rows})
    for number, kind in enumerate(kinds):
        own = [row for row in rows if (row["mode"], row["map"], row["side"]) == kind and "efficiency" in row]
        name = " ".join(kind)
        data.append("\n".join(f"{row['ranks']} {row['efficiency']}" for row in own))
        lines.append(f"'-' using 1:2 with linespoints lw 2 lc {number + 1} title '{name}'")
        alone = next((row for row in own if row["ranks"] == 1 and "predicted_ms" in row), None)
        if alone:
            data.append("\n".join(
                f"{row['ranks']} {row['efficiency'] * row['step_ms'] / row['predicted_ms'] * alone['predicted_ms'] / alone['step_ms']}"
                for row in own))
            lines.append(f"'-' using 1:2 with lines dt 2 lc {number + 1} title '{name}, predicted'")
    script = ["set terminal svg size 860,460 font 'sans,12' background '#ffffff'", f"set output '{file}'",
              f"set title '{title}'", "set xlabel 'ranks'", "set ylabel 'tokens/s of a rank, beside one rank alone'",
              "set yrange [0:*]", "set logscale x 2", "set key outside right", "set grid", "plot " + ", ".join(lines)]
    text = "\n".join(script) + "\n" + "\ne\n".join(data) + "\ne\n"
    subprocess.run(["gnuplot"], input=text, text=True, check=True)


def world_sizes(text):
    words = text.split(",")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise argparse.ArgumentTypeError(f"{text}: give numbers of at least 1, joined by commas")
    return [int(word) for word in words]


def some_of(known):
    def parse(text):
        words = text.split(",")
        unknown = [word for word in words if word not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
        return words
    return parse


def rate(text):
    if not re.fullmatch(r"[1-9]\d*[kmg]bit", text):
        raise argparse.ArgumentTypeError(f"{text}: give a rate as tc writes it, such as 100mbit or 1gbit")
    return text


def options():
    parser = sides.Parser(prog="rondo bench scaling", description=__doc__.partition("\n")[0])
    parser.add_argument("--ranks", type=world_sizes, default=[1, 2, 4], help="world sizes (default 1,2,4)")
    parser.add_argument("--mode", type=some_of(["weak", "strong"]), default=["weak", "strong"])
    parser.add_argument("--maps", type=some_of(list(maps)), default=["cycle", "none"],
                        help=f"of {', '.join(maps)} (default cycle,none)")
    parser.add_argument("--launcher", choices=["mpirun", "srun"], default="mpirun")
    parser.add_argument("--hosts", type=int, default=0, help="over so many hosts of two ranks each (root)")
    parser.add_argument("--rate", default="1gbit", type=rate, help="of a host's link, with --hosts (default 1gbit)")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="rondo alone, without PyTorch's DDP")
    parser.add_argument("--quick", action="store_true", help="one and two ranks, weak, cycle, rondo alone")
    parser.add_argument("--output", type=Path, default=sides.root / "build" / "bench-scaling",
                        help="of OUTPUT.csv, .json and .svg (default build/bench-scaling)")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.ranks, chosen.mode, chosen.maps, chosen.peer = [1, 2], ["weak"], ["cycle"], False
    if chosen.hosts:
        reason = network.missing()
        if reason:
            parser.error(f"--hosts: {reason}")
        most = 2 * chosen.hosts
        chosen.ranks = [ranks for ranks in chosen.ranks if ranks <= most] + [most] * (most not in chosen.ranks)
    if chosen.launcher == "srun" and chosen.peer:
        chosen.peer = False
        print("under srun without PyTorch's DDP")
    return chosen


def main():
    chosen = options()
    about = sides.machine()
    where = f"{chosen.hosts} hosts of two ranks behind {chosen.rate}" if chosen.hosts else "one machine"
    print(f"{where}: {sides.machine_line(about)}\n{measured_columns};\n{predicted_columns}\n\n{heading()}")
    launcher = Launcher(chosen.launcher, chosen.hosts, chosen.rate)
    rows = []
    try:
        for name in chosen.maps:
            with tempfile.TemporaryDirectory(prefix="rondo-bench-") as made:
                folder = Path(made)
                sides.write_weights(folder, maps[name])
                for mode in chosen.mode:
                    for ranks in sorted(chosen.ranks):
                        for row in measure(name, mode, ranks, chosen, folder, launcher):
                            rows.append(row)
                            add_efficiency(rows, row)
                            print(line(row), flush=True)
    finally:
        launcher.stop()
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    efficiency = any("efficiency" in row for row in rows)  # without a rank alone there is none, and no picture
    suffixes = (".csv", ".json", ".svg") if efficiency else (".csv", ".json")
    files = {suffix: chosen.output.with_suffix(suffix) for suffix in suffixes}
    with files[".csv"].open("w", newline="") as out:
        table = csv.DictWriter(out, [*columns], extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    sides.write_json(files[".json"], {"machine": about, "where": where, "rows": rows})
    if efficiency:
        picture(rows, files[".svg"], f"{where}, {about['cores']} cores")
    print("\nwrote " + ", ".join(os.path.relpath(file) for file in files.values()))


if __name__ == "__main__":
    main()
