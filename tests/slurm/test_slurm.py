"""The smoke profile on a SLURM of one node, as docs/cluster.md has it: the same results as without, and what happens when a job is
cancelled, waits for a drained node, or takes too much memory. `make slurm-test`; some minutes."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from lib.storage import folders
from lib.training import train
from tests.slurm import cluster

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(cluster.missing()), reason=cluster.missing())]
BIN = Path(sys.executable).parent
RUN = "many_wordings-task-s0"
COMMAND = ["snakemake", "--executor", "slurm", "--jobs", "8", "--rerun-incomplete", "--rerun-triggers", "mtime", "params", "input"]
COMMAND += ["--slurm-no-account", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3", "--nolock"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The environment in which the cluster's commands are found."""
    with cluster.cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment | {"PATH": f"{BIN}{os.pathsep}{environment['PATH']}", "OMP_NUM_THREADS": "1"}


def start(slurm: dict[str, str], home: Path, *more: str) -> subprocess.Popen:
    """Snakemake with its jobs on the cluster, and what it prints in `home/snakemake.out`."""
    home.mkdir(exist_ok=True)
    command = [*COMMAND, "--slurm-logdir", str(home / "logs"), "--config", "profile=smoke", *more]
    with (home / "snakemake.out").open("w") as out:
        environment = slurm | {"KIT_HOME": str(home)}
        return subprocess.Popen(command, cwd=folders.ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)


def ended(child: subprocess.Popen, home: Path) -> tuple[int, str]:
    """(exit status, what it printed and what its jobs did)."""
    status = child.wait(timeout=900)
    logs = [home / "snakemake.out", *sorted((home / "logs").rglob("*.log"))]
    return status, "\n".join(path.read_text() for path in logs)


def ask(slurm: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout.strip()


def wait_for(there, what: str, child: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while not there():
        assert child.poll() is None and time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.2)


def target(home: Path) -> str:
    return str(home / "runs" / "smoke" / RUN / "05_train.ipynb")


@pytest.fixture(scope="module")
def whole(slurm, tmp_path_factory):
    """A folder in which the smoke profile was reproduced on the cluster."""
    home = tmp_path_factory.mktemp("cluster")
    status, said = ended(start(slurm, home), home)
    assert status == 0, said[-3000:]
    return home


def test_results_are_those_of_a_run_without_a_cluster(whole, tmp_path):
    environment = os.environ | {"KIT_HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "JOBS": "2"}
    command = [str(BIN / "python"), "-m", "lib.reproduce", "smoke", str(tmp_path / "runs" / "smoke" / "07_compare.ipynb")]
    subprocess.run(command, cwd=folders.ROOT, env=environment, check=True, capture_output=True)
    for name in ("summary", "steps", "differences"):
        tables = [pd.read_csv(folder / f"data/results/smoke/{name}.csv") for folder in (tmp_path, whole)]
        alone, on_cluster = (table.drop(columns="seconds", errors="ignore") for table in tables)
        pd.testing.assert_frame_equal(alone, on_cluster)
    assert (whole / "runs" / "smoke" / "control.ok").exists()


def test_a_cancelled_job_says_so_and_resumes(slurm, whole, tmp_path):
    child = start(slurm, tmp_path, "--", target(tmp_path))
    folder = tmp_path / "runs" / "smoke" / RUN
    wait_for((folder / "config.json").exists, "the run", child)
    ask(slurm, "scancel", ask(slurm, "squeue", "--noheader", "--states=running", "--format=%i"))
    status, said = ended(child, tmp_path)
    assert status != 0 and "CANCELLED" in said and not train.finished(folder)
    status, said = ended(start(slurm, tmp_path, "--", target(tmp_path)), tmp_path)
    assert status == 0 and train.finished(folder), said[-3000:]
    for path in sorted((folder / "completions").glob("*.parquet")):
        same = whole / "runs" / "smoke" / RUN / "completions" / path.name
        pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(same))


def test_a_job_waits_for_a_drained_node_and_runs_when_it_is_back(slurm, tmp_path):
    node = f"nodename={socket.gethostname().split('.')[0]}"
    ask(slurm, "scontrol", "update", node, "state=drain", "reason=a test")
    child = start(slurm, tmp_path, "--", target(tmp_path))
    wait_for(lambda: ask(slurm, "squeue", "--noheader", "--states=pending", "--format=%i"), "a waiting job", child)
    assert not (tmp_path / "runs").exists()
    ask(slurm, "scontrol", "update", node, "state=resume")
    status, said = ended(child, tmp_path)
    assert status == 0 and train.finished(tmp_path / "runs" / "smoke" / RUN), said[-3000:]


def test_a_job_over_its_memory_says_so_and_resumes_with_more(slurm, tmp_path):
    status, said = ended(start(slurm, tmp_path, "--set-resources", "train:mem_mb=400", "--", target(tmp_path)), tmp_path)
    assert status != 0 and "exceeded memory limit" in said.lower()
    assert not train.finished(tmp_path / "runs" / "smoke" / RUN)
    status, said = ended(start(slurm, tmp_path, "--", target(tmp_path)), tmp_path)
    assert status == 0 and train.finished(tmp_path / "runs" / "smoke" / RUN), said[-3000:]
