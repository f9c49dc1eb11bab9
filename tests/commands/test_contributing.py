"""CONTRIBUTING.md, carried out: an objective, a data set and a metric are added to a copy, each in one file, and removed."""

import json
import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from lib.storage.folders import ROOT

PROFILE = """
title: Mine
seeds: [0]
train: {train_problems: 32, steps: 2, prompts_per_step: 2, completions_per_prompt: 4, micro_batch: 8, save_every: 1}
evaluate: {data: doubles, problems: 10, samples: 4, max_prompt_tokens: 32}
runs: [{model: many_wordings, objective: shown-work}]
"""
PROGRAM = """
import matplotlib.pyplot as plt
from lib import profiles
from lib.evaluation import metrics, runner
from lib.reports import figures, pages, results
from lib.storage import folders
from lib.training import train

profile = profiles.load("mine")
(name, row), = profile.rows.items()
(config,) = profile.eval_configs("many_wordings")
run = train.train(train.prepare(folders.run_folder("mine", name), profile.train_config(**row)))
runner.of_run(run, config)
runner.of_base("many_wordings", folders.run_folder("mine", folders.base_name("many_wordings")), config)
assert results.collect(profile)
summary, steps = results.load("mine")
figure, axes = plt.subplots(1, 2)
figures.by_step(axes[0], results.lines(steps, "many_wordings"), "reward")
figures.further(axes[1], summary, metrics.METRICS["columns_shown"], of=("base", "shown-work"))
figures.save(figure, "mine")
print(results.markdown("mine"), pages.objectives(), pages.data_sets(), axes[1].get_title(loc="left"), sep="\\n")
"""


def blocks(language: str) -> list[str]:
    """The code blocks of CONTRIBUTING.md in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M | re.S)


def run(copy, *command: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "KIT_HOME"}
    environment |= {"PYTHONPATH": str(copy), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path):
    """A copy of the kit."""
    for name in ("lib", "profiles", "notebooks", "data/tiny"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "profiles" / "mine.yaml").write_text(PROFILE)
    return tmp_path


def test_an_objective_a_data_set_and_a_metric_are_each_one_file(copy):
    before = run(copy, "-c", "from lib import profiles; profiles.load('mine')")
    assert before.returncode and "mine.yaml: Unknown objective 'shown-work': choose one of task" in before.stderr

    examples = {code.splitlines()[0].removeprefix("# "): code for code in blocks("python")}
    assert set(examples) == {"lib/rewards/objectives.py", "lib/data/sets.py", "lib/evaluation/metrics.py"}
    kept = {path: (copy / path).read_text() for path in examples}
    for path, code in examples.items():
        (copy / path).write_text(f"{kept[path]}\n\n{code}")
    (rows,) = blocks("json")
    (copy / "data" / "doubles.jsonl").write_text(rows)
    assert len([json.loads(line) for line in rows.splitlines()]) == 10

    done = run(copy, "-c", PROGRAM)
    assert done.returncode == 0, done.stderr[-3000:]
    table = pd.read_csv(copy / "data/results/mine/summary.csv")
    assert table["objective"].tolist() == ["base", "shown-work"] and table["problems"].eq(10).all()
    assert (table["columns_shown_low"] <= table["columns_shown"]).all() and table["columns_shown"].max() > 0
    metrics = [json.loads(line) for line in (copy / "runs/mine/many_wordings-shown-work-s0/metrics.jsonl").open()]
    assert len(metrics) == 2 and all("columns" in row for row in metrics)
    assert (copy / "figures" / "mine.png").stat().st_size > 10_000
    assert "KL(π‖p) | columns |" in done.stdout and "many_wordings:\nbase" in done.stdout
    assert "| `shown-work` | $r \\, (1 + c / 10)$ |" in done.stdout and "| `doubles` | test |" in done.stdout

    trained_on = run(copy, "-c", "from lib.data import problems; problems.load('doubles', 'train', 3)")
    assert "doubles has no train split, it is there to test" in trained_on.stderr
    for path, text in kept.items():
        (copy / path).write_text(text)
    after = run(copy, "-c", "from lib import profiles; profiles.load('mine')")
    assert "Unknown objective 'shown-work'" in after.stderr


def test_the_examples_pass_the_checks_of_the_kit(copy):
    """They are as typed and as well formatted as what they are added to."""
    for code in blocks("python"):
        path = copy / code.splitlines()[0].removeprefix("# ")
        path.write_text(f"{path.read_text()}\n\n{code.partition(chr(10))[2]}")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for command in (["ruff", "check", "lib"], ["ruff", "format", "--check", "lib"], ["mypy"]):
        done = run(copy, "-m", *command)
        assert done.returncode == 0, done.stdout + done.stderr
