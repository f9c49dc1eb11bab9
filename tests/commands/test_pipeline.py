"""The whole pipeline at smoke size, as a user runs it: Snakemake, papermill, and every notebook."""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from lib import profiles
from lib.storage import digests, folders
from tests.audit import worlds

NOTEBOOKS = sorted((folders.ROOT / "notebooks").glob("*.ipynb"))
BIN = Path(sys.executable).parent


def call(*command, home: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"KIT_HOME": str(home), "OMP_NUM_THREADS": "1", "JOBS": "2", "MPLBACKEND": "agg"}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    command = [str(part) for part in command]
    return subprocess.run(command, cwd=folders.ROOT, env=environment, capture_output=True, text=True, timeout=540)


def reproduced(profile: str, folder: Path, *targets: Path) -> Path:
    """A folder, after a profile, or some of its notebooks, were reproduced in it."""
    result = call(BIN / "python", "-m", "lib.reproduce", profile, *targets, home=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder in which the smoke profile was reproduced."""
    return reproduced("smoke", tmp_path_factory.mktemp("home"))


def test_the_smoke_profile_leaves_results_figures_and_executed_notebooks(home):
    summary = pd.read_csv(home / "data" / "results" / "smoke" / "summary.csv")
    assert summary["objective"].tolist() == ["base", "task", "sharpen"]
    assert {"accuracy_greedy", "accuracy_sampled_low", "pass_at_4", "maj_at_4", "kl", "entropy", "tokens"} <= set(summary)
    assert summary["problems"].eq(8).all() and summary["samples"].eq(4).all()
    assert summary[["fingerprint_prompts", "fingerprint_sampler", "fingerprint_grader"]].nunique().eq(1).all()
    assert summary["fingerprint_model"].nunique() == 3
    differences = pd.read_csv(home / "data" / "results" / "smoke" / "differences.csv")
    assert differences["label"].tolist() == ["task", "sharpen α=1", "sharpen α=1"] and differences["questions"].eq(8).all()
    assert differences["after"].tolist() == ["last", "last", "task"]
    steps = pd.read_csv(home / "data" / "results" / "smoke" / "steps.csv")
    assert steps.groupby("run")["step"].apply(list).tolist() == [[0, 1], [0, 1]]
    figures = {p.stem for p in (home / "figures").glob("*.png")}
    names = {"accuracy_by_step", "length_and_direct_share", "likelihood_and_kl", "final_accuracy", "pass_at_k", "further_metrics"}
    names |= {"many_wordings_forecast", "many_wordings_accuracy_by_tokens", "audit", "own_optimum", "elicitation", "foretold"}
    assert figures == {f"smoke_{name}" for name in names} == {p.stem for p in (home / "figures").glob("*.svg")}
    run = home / "runs" / "smoke" / "many_wordings-task-s0"
    assert {"05_train.ipynb", "06_evaluate.ipynb", "config.json", "environment.json", "metrics.jsonl"} <= {
        p.name for p in run.iterdir()
    }
    samples = pd.read_parquet(run / "evaluations" / "arithmetic-test-sampled.parquet")
    assert samples["correct"].mean() == pytest.approx(summary.set_index("objective").loc["task", "accuracy_sampled"])


def test_the_smoke_profile_is_audited(home):
    """A row per run, with every column that docs/audit.md names; a run has shares, or says why not, and KL in any case."""
    found = pd.read_csv(home / "data" / "results" / "smoke" / "audit.csv")
    assert found["objective"].tolist() == ["task", "sharpen"] and found["kl"].notna().all()
    assert (found["share_rest"].isna() == found["refusal"].notna()).all()
    shares = [f"share_{part}" for part in ("sharpening", "flattening", "selection", "length", "rest", "beyond_reach")]
    shares += [f"share_{part}_{how}" for part in ("sharpening", "selection", "length") for how in ("last", "mean")]
    wanted = [*shares, "kl", "alpha_star", "lambda_star", "gamma_star", "accuracy_base", "accuracy_sharpened", "accuracy_trained"]
    assert {f"{name}{end}" for name in wanted for end in ("", "_low", "_high")} | {"ess", "seed", "alpha", "beta_inv"} <= set(found)


def test_reproducing_again_does_nothing(home):
    before = {p: p.stat().st_mtime_ns for p in home.rglob("*") if p.is_file() and p.name != ".lock"}
    result = call(BIN / "python", "-m", "lib.reproduce", "smoke", home=home)
    assert result.returncode == 0 and "Nothing to be done" in result.stdout + result.stderr
    assert {p: p.stat().st_mtime_ns for p in home.rglob("*") if p.is_file() and p.name != ".lock"} == before


@pytest.mark.parametrize("profile", ["gpu24", "gpu48", "gpu80", "paper"])
def test_a_cluster_would_run_every_job_of_a_gpu_profile_with_one_gpu(profile, tmp_path):
    """Snakemake's own SLURM executor, as docs/cluster.md has it, in a dry run."""
    command = ["snakemake", "--executor", "slurm", "--jobs", "8", "--dry-run"]
    result = call(BIN / command[0], *command[1:], "--config", f"profile={profile}", home=tmp_path)
    assert result.returncode == 0, result.stderr
    loaded = profiles.load(profile)
    trained, bases = len(loaded.rows), len(loaded.models)
    counted = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, flags=re.MULTILINE))
    wanted = {"train": trained, "evaluate": trained, "evaluate_base": bases, "without_training": bases, "compare": 1, "audit": 1}
    assert {name: int(counted[name]) for name in wanted} == wanted
    rules = re.split(r"^rule ", (folders.ROOT / "Snakefile").read_text(), flags=re.MULTILINE)[1:]
    with_gpu = {rule.split(":")[0] for rule in rules if "gpu=GPU" in rule}  # a dry run does not show a job's resources
    assert with_gpu == {*wanted, "closing"} - {"compare"} and loaded.needs_gpu


def wait_for(home: Path, pattern: str, child: subprocess.Popen) -> None:
    """Returns as soon as a file of the smoke profile is there."""
    deadline = time.monotonic() + 180
    while not list((home / "runs" / "smoke").glob(pattern)):
        assert child.poll() is None and time.monotonic() < deadline, f"{pattern} did not appear"
        time.sleep(0.01)


def test_killing_it_at_any_moment_and_starting_again_ends_in_the_same_results(home, tmp_path):
    """SIGKILL while a run starts, in training, in evaluation: once to Snakemake alone, else to its whole group. A run and the
    base beside it; `make torture` does this to several runs."""
    environment = os.environ | {"KIT_HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "JOBS": "2"}
    run, base = (Path("runs") / "smoke" / name for name in ("many_wordings-task-s0", "base-many_wordings"))
    command = [BIN / "python", "-m", "lib.reproduce", "smoke", *(tmp_path / folder / "06_evaluate.ipynb" for folder in (run, base))]
    stages = [("*/.lock", os.killpg), ("*/metrics.jsonl", os.kill), ("*/evaluations/*.parquet", os.killpg)]
    for pattern, kill in stages:
        child = subprocess.Popen(
            command, cwd=folders.ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_for(tmp_path, pattern, child)
        kill(child.pid, signal.SIGKILL)
        child.wait()
    result = call(*command, home=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    steps = [pd.read_json(folder / run / "metrics.jsonl", lines=True).drop(columns="seconds") for folder in (tmp_path, home)]
    assert len(steps[0]) == 2
    pd.testing.assert_frame_equal(*steps)
    for folder, kind in itertools.product((run, base), ("sampled", "greedy")):
        table = folder / "evaluations" / f"arithmetic-test-{kind}.parquet"
        assert (tmp_path / table).read_bytes() == (home / table).read_bytes()


def test_a_killed_06_ends_in_the_same_result_file_as_one_that_was_not(home, tmp_path):
    """SIGKILL to the notebook's kernel after the first of three chunks; then the same call again."""
    flags = ["-p", "PROFILE", "smoke", "-p", "MODEL", "many_wordings"]
    command = [BIN / "papermill", "notebooks/06_evaluate.ipynb", tmp_path / "out.ipynb", *flags]
    environment = os.environ | {"KIT_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(command, cwd=folders.ROOT, env=environment, **quiet)
    wait_for(tmp_path, "*/evaluations/*-chunks/000000.parquet", child)
    folder = tmp_path / "runs" / "smoke" / "base-many_wordings" / "evaluations"
    os.kill(int((folder / ".lock").read_text()), signal.SIGKILL)  # the lock holds the kernel's process id
    child.wait(timeout=120)
    chunk = folder / "arithmetic-test-chunks" / "000000.parquet"
    assert not (folder / "arithmetic-test.json").exists() and not list(folder.glob("*.parquet"))
    kept = chunk.stat().st_mtime_ns
    child = subprocess.Popen(command, cwd=folders.ROOT, env=environment, **quiet)
    while child.poll() is None:
        assert not chunk.exists() or chunk.stat().st_mtime_ns == kept, "the chunk that was there was sampled again"
        time.sleep(0.01)
    assert child.returncode == 0
    whole = home / "runs" / "smoke" / "base-many_wordings" / "evaluations"
    results = [digests.read_sealed(path / "arithmetic-test.json") for path in (folder, whole)]
    assert [result.pop("seconds") > 0 for result in results] == [True, True] and results[0] == results[1]
    for kind in ("sampled", "greedy"):
        name = f"arithmetic-test-{kind}.parquet"
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_reproducing_an_unknown_profile_is_one_sentence(tmp_path):
    result = call(BIN / "python", "-m", "lib.reproduce", "quik", home=tmp_path)
    assert result.returncode == 1 and result.stderr.startswith("There is no profile 'quik'")
    assert "Traceback" not in result.stderr


SMOKE = {
    "00_start_here": {"PROFILE": "smoke"},
    "01_sharpening_optima": {"RESOLUTION": 11},
    "02_instability": {"SEEDS": 2, "STEPS": 50},
    "03_rewards": {"ANSWER": "0.5", "A": 1234, "B": 8777},
    "04_base_model": {"STEPS": 3, "PROBLEMS": 6, "SAMPLES": 2, "OUT": "tiny"},
    "05_train": {"PROFILE": "smoke", "OBJECTIVE": "sharpen", "ALPHA": 2, "RUN": "by_hand"},
    "06_evaluate": {"PROFILE": "smoke", "RUN": "many_wordings-task-s0", "CHECKPOINT": "best"},
    "07_compare": {"PROFILE": "smoke"},
    "08_sharpening_without_training": {"PROFILE": "smoke", "QUESTIONS": 4, "STEPS": 2, "PARTICLES": 3},
    "09_audit": {"PROFILE": "smoke", "SAMPLES": "{home}/scored.parquet"},
    "10_own_optimum": {"PROFILE": "smoke"},
    "12_elicitation": {"PROFILE": "smoke", "RUN": "many_wordings-task-s0"},
    "11_drift": {"PROFILE": "smoke_rounds"},
    "13_family": {"PROFILE": "smoke"},
    "14_noise": {"SEEDS": 2, "MAX_LENGTH": 64},
}


BY_PROFILE = {  # what the smoke profile runs with these very parameters, and a file that it leaves
    "07_compare": "figures/smoke_pass_at_k.png",
    "10_own_optimum": "data/results/smoke/optimum.csv",
    "13_family": "figures/smoke_foretold.png",
}


def test_every_notebook_has_a_smoke_test():
    assert {p.stem for p in NOTEBOOKS} == set(SMOKE)


@pytest.mark.parametrize("name", BY_PROFILE)
def test_the_smoke_profile_ran_it_as_the_test_would(name, home):
    assert SMOKE[name] == {"PROFILE": "smoke"} and (home / "runs" / "smoke" / f"{name}.ipynb").exists()
    assert (home / BY_PROFILE[name]).exists()


@pytest.mark.parametrize("name", [name for name in SMOKE if name not in {"11_drift", *BY_PROFILE}])  # that one: test_rounds.py
def test_notebooks_run_through_papermill(name, home, tmp_path):
    flags = [part for key, value in SMOKE[name].items() for part in ("-p", key, str(value).format(home=home))]
    worlds.SIX["tempered"].table(20, 4, 0).to_parquet(home / "scored.parquet")
    result = call(BIN / "papermill", f"notebooks/{name}.ipynb", tmp_path / "out.ipynb", *flags, home=home)
    assert result.returncode == 0, result.stderr[-3000:]
    wrote = {
        "00_start_here": tmp_path / "out.ipynb",
        "01_sharpening_optima": home / "figures" / "theory_phase_diagram.svg",
        "02_instability": home / "figures" / "theory_neighbours.png",
        "03_rewards": home / "figures" / "rewards_ties.png",
        "04_base_model": home / "tiny" / "many_wordings" / "README.md",
        "05_train": home / "runs" / "smoke" / "by_hand" / "adapter" / "adapter_config.json",
        "06_evaluate": home / "runs/smoke/many_wordings-task-s0/evaluations/arithmetic-test-best.json",
        "08_sharpening_without_training": home / "data" / "results" / "smoke" / "forecast_many_wordings.csv",
        "09_audit": home / "figures" / "smoke_audit.png",
        "12_elicitation": home / "figures" / "smoke_elicitation.png",
        "14_noise": home / "figures" / "theory_closing_the_loop.png",
    }
    assert wrote[name].exists()
