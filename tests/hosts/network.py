"""Hosts made of network namespaces of this machine, joined by a switch with a rate limit per host. Root."""

import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile

# A frame at a time: a larger burst would let messages pass faster than the link. Large frames cost this
# machine, which is all hosts at once, a third of the processor time.
FRAME = 9000
BURST = "burst 10kb latency 400ms"
NUMBERS = itertools.count()


def missing():
    """What keeps hosts from being made here; empty for nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    programs = [name for name in ("ip", "tc", "mpirun") if not shutil.which(name)]
    if programs:
        return f"there is no {', '.join(programs)}"
    probe = subprocess.run(["ip", "netns", "add", "rondo-probe"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "delete", "rondo-probe"], capture_output=True)
    return probe.stderr.strip()


class Network:
    """`count` hosts, each behind a link of `rate`, with a name, an address and an `ssh` of its own."""

    def __init__(self, count, rate):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rondo-hosts-"))
        # Two networks at a time never meet: no two have names or addresses in common.
        number = next(NUMBERS)
        self.prefix = f"r{os.getpid() % 100000}-{number}"
        subnet = f"10.{200 + os.getpid() % 50}.{(os.getpid() // 50 + number) % 250}"
        self.addresses = [f"{subnet}.{10 + host}" for host in range(count)]
        self.subnet = f"{subnet}.0/24"
        self.switch = f"{self.prefix}-sw"
        try:
            self.make(rate)
        except BaseException:
            self.stop()
            raise

    def name(self, host):
        return f"{self.prefix}-{host}"

    def make(self, rate):
        self.call(f"ip netns add {self.switch}")
        self.call(f"ip -n {self.switch} link add bridge mtu {FRAME} type bridge")
        self.call(f"ip -n {self.switch} link set bridge up")
        for host, address in enumerate(self.addresses):
            name = self.name(host)
            self.call(f"ip netns add {name}")
            self.call(f"ip link add eth0 mtu {FRAME} netns {name} type veth "
                      f"peer name port{host} mtu {FRAME} netns {self.switch}")
            self.call(f"ip -n {name} link set lo up")
            self.call(f"ip -n {name} address add {address}/24 dev eth0")
            self.call(f"ip -n {name} link set eth0 up")
            self.call(f"ip -n {self.switch} link set port{host} master bridge")
            self.call(f"ip -n {self.switch} link set port{host} up")
            for space, device in ((name, "eth0"), (self.switch, f"port{host}")):
                self.call(f"tc -n {space} qdisc add dev {device} root tbf rate {rate} {BURST}")
        for host in range(len(self.addresses)):
            self.write_program(f"host{host}", f'exec ip netns exec {self.name(host)} unshare --mount --uts --ipc '
                               f'sh -c \'mount -t tmpfs tmpfs /dev/shm; hostname host{host}; exec "$@"\' sh "$@"')
        cases = "\n".join(f"  {address}) host={self.folder}/host{host} ;;"
                          for host, address in enumerate(self.addresses))
        self.write_program("agent", f'case $1 in\n{cases}\nesac\nshift\nexec "$host" sh -c "$*"')

    def write_program(self, name, text):
        """A host has a name and shared memory of its own, or ranks of two hosts take each other for neighbours."""
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    @staticmethod
    def call(words):
        done = subprocess.run(words.split(), capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stderr}"

    def cut(self, host):
        """The host's link goes down."""
        self.call(f"ip -n {self.switch} link set port{host} down")

    def mend(self, host):
        self.call(f"ip -n {self.switch} link set port{host} up")

    def mpirun(self, ranks, each, *options):
        """`ranks` ranks, `each` a host, started from the first host."""
        hosts = ",".join(f"{address}:{each}" for address in self.addresses)
        settings = {"plm_rsh_agent": self.folder / "agent", "btl": "tcp,self,vader",
                    "btl_tcp_if_include": self.subnet, "oob_tcp_if_include": self.subnet,
                    "mpi_yield_when_idle": 1}
        words = [str(self.folder / "host0"), "mpirun", "-q", "--allow-run-as-root", "--oversubscribe",
                 "-n", str(ranks), "-H", hosts, *options]
        for key, value in settings.items():
            words += ["--mca", key, str(value)]
        return words

    def stop(self):
        for space in [*(self.name(host) for host in range(len(self.addresses))), self.switch]:
            found = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True)
            for process in found.stdout.split():
                subprocess.run(["kill", "-KILL", process], capture_output=True)
            subprocess.run(["ip", "netns", "delete", space], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
