"""Two hosts behind a slow link: rondo's pipeline against PyTorch's data parallelism.

The hosts are network namespaces of this machine, one rank with one thread on each, joined by a link
that lets 100 Mbit/s through in each direction: bytes per operation are then those of GPUs behind
a slow fabric. One model of 24 layers is trained unshared and with 4 blocks shared in a cycle. Needs
root, `ip` and `tc` (Debian: iproute2); the namespaces go when it ends. See README.md beside this
file.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import sides
from sides import Case

peer = sides.root / "benchmarks" / "peer.py"
link_check = sides.root / "benchmarks" / "link.py"
addresses = ("10.199.7.1", "10.199.7.2")
port = 29500
limit = "rate 100mbit burst 32kbit latency 400ms"
cluster = {"gpus_per_node": 1, "inter_gbs": 0.0125, "inter_us": 100}
size = {"hidden": 512, "ffn": 1408, "heads": 8, "kv_heads": 8, "vocab": 8192, "depth": 24}
size |= {"steps": 4, "sequence": 128, "micro_batch": 1, "rows": 4}
cases = [Case("unshared", unique=24, **size), Case("cycle", unique=4, **size)]


def namespace(address):
    return f"rondo-{address}"


def inside(address):
    return ["ip", "netns", "exec", namespace(address)]


def set_up(address, number):
    space = namespace(address)
    yield f"ip -n {space} link set lo up"
    yield f"ip -n {space} link set link{number} name eth0"
    yield f"ip -n {space} address add {address}/24 dev eth0"
    yield f"ip -n {space} link set eth0 up"
    yield f"tc -n {space} qdisc add dev eth0 root tbf {limit}"


def link_up():
    first, second = (namespace(address) for address in addresses)
    yield f"ip netns add {first}"
    yield f"ip netns add {second}"
    yield f"ip link add link0 netns {first} type veth peer name link1 netns {second}"
    for number, address in enumerate(addresses):
        yield from set_up(address, number)


@contextlib.contextmanager
def hosts():
    """Two namespaces and the link; taken down whatever happens inside, a signal included."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    left = [address for address in addresses if Path("/run/netns", namespace(address)).exists()]
    if left:
        spaces = " ".join(f"'ip netns delete {namespace(address)}'" for address in left)
        cannot(f"another run is under way, or was killed and left its hosts; then: {spaces}")
    try:
        for words in link_up():
            result = subprocess.run(words.split(), capture_output=True, text=True)
            if result.returncode != 0:
                cannot(f"{words}: {result.stderr.strip()}")
        yield
    finally:
        for address in addresses:
            subprocess.run(["ip", "netns", "delete", namespace(address)], capture_output=True)


def cannot(reason):
    print(f"NOT RUN: this machine cannot make two hosts: {reason}", file=sys.stderr)
    sys.exit(2)


def require_tools():
    if os.geteuid() != 0:
        cannot("network namespaces need root")
    missing = [name for name in ("ip", "tc", "mpirun") if shutil.which(name) is None]
    if missing:
        cannot(f"{' and '.join(missing)} not found (Debian: iproute2, openmpi-bin)")


def launcher(folder):
    """mpirun on the first host, with the second reached through its namespace instead of ssh."""
    agent = folder / "agent.sh"
    agent.write_text('#!/bin/sh\nhost=$1; shift\nexec ip netns exec "rondo-$host" sh -c "$*"\n')
    agent.chmod(0o755)
    network = f"{addresses[0]}/24"
    options = {
        "plm_rsh_agent": agent,
        "btl": "tcp,self",
        "btl_tcp_if_include": network,
        "oob_tcp_if_include": network,
    }
    words = [*inside(addresses[0]), *sides.mpirun, "-n", 2]
    words += ["-H", ",".join(f"{address}:1" for address in addresses)]
    for key, value in options.items():
        words += ["--mca", key, value]
    for name, value in sides.one_thread.items():
        words += ["-x", f"{name}={value}"]
    return words


def rondo(**distributed):
    words = {"pipeline": "auto", "route": "auto", "passes": "auto", "schedule": "auto", "zero": 1}
    extra = [f"distributed.{key}={value}" for key, value in (words | distributed).items()]
    extra += [f"cluster.{key}={value}" for key, value in cluster.items()]

    def start(case, folder):
        shutil.rmtree(folder / "run", ignore_errors=True)
        command = sides.rondo_command(case, 2, folder, extra)
        _, peaks = sides.measured(launcher(folder), command, folder)
        return sides.read_metrics(folder, peaks)

    return start


def whole(case):
    """What a rank computes at once when nothing flows through a pipeline."""
    return replace(case, micro_batch=case.rows)


def data_parallel(case, folder):
    """DistributedDataParallel over gloo, started by the same mpirun."""
    environment = {
        "MASTER_ADDR": addresses[0],
        "MASTER_PORT": port,
        "WORLD_SIZE": 2,
        "GLOO_SOCKET_IFNAME": "eth0",
    }
    words = launcher(folder)
    for name, value in environment.items():
        words += ["-x", f"{name}={value}"]
    words += ["sh", "-c", 'RANK=$OMPI_COMM_WORLD_RANK exec "$@"', "rank"]
    command = [sys.executable, peer, *sides.peer_options(whole(case), 2, folder)]
    return sides.read_peer(*sides.measured(words, command, folder))


def alone(case, folder):
    """The peer with the whole batch on one host."""
    command = [sys.executable, peer, *sides.peer_options(whole(case), 2, folder)]
    return sides.read_peer(*sides.measured([], command, folder))


reference = "PyTorch DDP"
contenders = {
    "rondo, auto": rondo(),
    "rondo, pipeline=2 1f1b": rondo(pipeline=2, route="contiguous", passes=1, schedule="1f1b"),
    "rondo, pipeline=1": rondo(pipeline=1),
    reference: data_parallel,
    "PyTorch, one host": alone,
}

heading = (
    "                                            of     peak MB\n"
    "case      side                   tokens/s   DDP   of a rank   MB sent a step"
)


def line(case, name, rounds, base):
    seconds = sides.median_seconds(rounds)
    sent = ", ".join(f"{kind} {n / 1e6:.1f}" for kind, n in rounds[0].sent_bytes.items() if n > 0)
    return (
        f"{case.name:9} {name:22} {case.tokens(2) / seconds:8.0f} {base / seconds:6.2f} "
        f"{sides.peak_mb(rounds):10.0f}    {sent}"
    )


def plan_words(case):
    """What `rondo plan` says of a case: the candidates, the winner and why."""
    shape = {f"model.{key}": size[key] for key in ("hidden", "ffn", "heads", "kv_heads", "vocab")}
    words = shape | {
        "model.depth": case.depth,
        "sharing": "none" if case.unique == case.depth else "cycle",
        "sharing.unique": case.unique,
        "data.sequence": case.sequence,
        "train.global_batch": case.rows * 2,
        "train.micro_batch": case.micro_batch,
        "distributed": "auto",
    }
    words |= {f"cluster.{key}": value for key, value in cluster.items()}
    command = [sides.rondo, "plan", "--world", 2, *(f"{k}={v}" for k, v in words.items())]
    return sides.run(command)


def link_figures():
    """MB/s and round trip in µs, between two sockets."""
    server_words = [*inside(addresses[0]), sys.executable, link_check, "serve", addresses[0]]
    with subprocess.Popen(server_words):
        out = sides.run([*inside(addresses[1]), sys.executable, link_check, "ask", addresses[0]])
    return json.loads(out)


def compare(case, names, count, folder):
    sides.write_tokens(folder / "tokens", case, 2)
    sides.write_weights(folder, case)
    rounds = {name: [] for name in names}
    for _ in range(count):
        for name in names:
            rounds[name].append(contenders[name](case, folder))
    for name in names:
        print(line(case, name, rounds[name], sides.median_seconds(rounds[reference])), flush=True)
    return rounds


def options():
    parser = sides.Parser(description=__doc__.partition("\n")[0])
    names = [case.name for case in cases]
    parser.add_argument("--case", choices=names, action="append", help="only this model")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each side (default 1)")
    parser.add_argument("--quick", action="store_true", help="rondo's choice against DDP only")
    parser.add_argument("--json", default=sides.root / "build" / "bench-hosts.json")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    return chosen


def main():
    chosen = options()
    require_tools()
    names = ["rondo, auto", reference] if chosen.quick else list(contenders)
    results = {}
    about = sides.machine()
    with hosts(), tempfile.TemporaryDirectory(prefix="rondo-bench-") as name:
        print(f"Two hosts, one rank each. {sides.machine_line(about)}")
        figures = link_figures()
        print("link: {mb_per_s:.1f} MB/s, round trip {round_trip_us:.0f} µs\n".format(**figures))
        running = [case for case in cases if not chosen.case or case.name in chosen.case]
        for case in running:
            print(plan_words(case))
        print(heading)
        for case in running:
            folder = Path(name) / case.name
            folder.mkdir()
            results[case.name] = compare(case, names, chosen.rounds, folder)
    print("\nLosses of the first steps:")
    for name, rounds in results.items():
        print(f"{name}\n{sides.losses({side: runs[0] for side, runs in rounds.items()})}")
    sides.write_json(chosen.json, {"machine": about, "link": figures, "cases": results})
    print(f"\nwrote {os.path.relpath(chosen.json)}")
    firsts = ([runs[0] for runs in rounds.values()] for rounds in results.values())
    if any(sides.loss_difference(first) > sides.tolerance for first in firsts):
        sys.exit("the sides do not compute the same thing")


if __name__ == "__main__":
    main()
