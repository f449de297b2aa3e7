"""A Slurm of one node, for as long as a test takes: slurmctld and slurmd as root, in a folder of their own."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

CONFIGURATION = """
ClusterName=rondo
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
MpiDefault=pmix
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SchedulerParameters=sched_interval=2,batch_sched_delay=1
MailProg=/bin/true
ReturnToService=2
KillWait=5
MinJobAge=3600
SlurmctldPort={controller_port}
SlurmdPort={daemon_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=2000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def missing():
    """What keeps a Slurm from being started here; empty for nothing."""
    if os.geteuid() != 0:
        return "it takes root"
    programs = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if not shutil.which(name)]
    return f"there is no {', '.join(programs)}" if programs else ""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:

    def __init__(self, cores):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rondo-slurm-"))
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        configuration = self.folder / "slurm.conf"
        configuration.write_text(CONFIGURATION.format(
            host=socket.gethostname().split(".")[0], folder=self.folder, cores=cores,
            controller_port=free_port(), daemon_port=free_port()))
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith(("SLURM", "SBATCH", "OMPI", "PMIX", "RONDO"))}
        self.environment["SLURM_CONF"] = str(configuration)
        self.start()

    def start(self):
        subprocess.run(["install", "-d", "-o", "munge", "-g", "munge", "-m", "755", "/run/munge"],
                       check=True)
        self.own_munged = subprocess.run(["pgrep", "-x", "munged"], capture_output=True).returncode != 0
        if self.own_munged:
            self.munged("--force")  # also past the socket of one that was killed
        subprocess.run(["slurmctld", "-c"], env=self.environment, check=True)
        subprocess.run(["slurmd"], env=self.environment, check=True)
        self.wait(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T"), 30, "an idle node")

    @staticmethod
    def munged(option):
        subprocess.run(["runuser", "-u", "munge", "--", shutil.which("munged"), option], check=True)

    def stop(self):
        subprocess.run(["scancel", "--full", "-u", "root"], env=self.environment, check=False)
        for name in ("slurmd", "slurmctld"):
            file = self.folder / f"{name}.pid"
            if file.exists():
                subprocess.run(["kill", file.read_text().strip()], check=False)
        if self.own_munged:
            self.munged("--stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command, folder=None, environment=None):
        done = subprocess.run(list(map(str, command)), cwd=folder, env=self.environment | (environment or {}),
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @staticmethod
    def wait(condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s for {what}"
            time.sleep(0.25)

    def field(self, job, name):
        """Of scontrol show job: JobState, Restarts, ExitCode, …"""
        text = self.run("scontrol", "show", "job", job)
        return re.search(rf"\b{name}=(\S+)", text)[1]

    def state(self, job):
        return self.field(job, "JobState")
