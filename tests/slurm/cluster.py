"""A SLURM of one node on loopback, out of Debian's packages, for as long as a test takes, without accounting.

It needs root, because slurmd starts jobs. Everything that it writes is in one folder, but for a link to its configuration where
SLURM's own commands look for it: Snakemake's job step forgets the variable SLURM_CONF."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PACKAGES = "slurm-wlm munge"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
PLACE = Path("/etc/slurm/slurm.conf")
MEMORY = 8000  # MB of the node; jobs that use more than they asked for are killed

CONFIGURATION = """ClusterName=kit
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={other_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=5
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
KillWait=5
MinJobAge=3600
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory={memory} State=UNKNOWN
PartitionName=kit Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no cluster on this machine, with the command that helps; empty if there can."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if lacking:
        return f"{', '.join(lacking)} not installed: run `apt-get update && apt-get install -y {PACKAGES}` as root."
    if os.path.lexists(PLACE):
        return f"{PLACE} is there: this machine has a SLURM of its own, which a test must not touch."
    return "" if os.geteuid() == 0 else "SLURM is started as root: run this test as root, in a container for instance."


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Inside, a cluster is up; yields the environment in which its commands find it. Raises RuntimeError with its logs if it does
    not come up."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().split(".")[0]
    ports = {"port": _free_port(), "other_port": _free_port()}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=folder, memory=MEMORY, **ports))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munge += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    started: list[subprocess.Popen] = []
    try:
        PLACE.parent.mkdir(parents=True, exist_ok=True)
        PLACE.symlink_to(folder / "slurm.conf")
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
            log = (folder / f"{command[0]}.out").open("w")
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
            time.sleep(1)
        _wait_until_idle(environment, folder)
        yield environment
    finally:
        PLACE.unlink(missing_ok=True)
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    """Returns when the node takes jobs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        asked = subprocess.run(["sinfo", "--noheader", "--format=%t"], env=environment, capture_output=True, text=True)
        if asked.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-1500:] for path in sorted(folder.glob("*.out")))
    raise RuntimeError(f"The cluster did not come up:\n{logs}")
