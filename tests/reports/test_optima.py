"""How near runs have come to their optima: which runs are asked, a search on a tiny base, and the figures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib import profiles
from lib.evaluation import runner
from lib.reports import diagnoses, optima
from lib.storage.errors import UsageError


def test_runs_whose_optimum_is_known_are_sharpen_and_tempered_on_a_tiny_base():
    quick = profiles.load("quick")
    assert optima.runs_of(quick, "one_wording") == ["one_wording-sharpen-s0"]
    assert optima.runs_of(quick, "many_wordings") == ["many_wordings-sharpen-s0", "many_wordings-tempered-a4-s0"]
    gpu = profiles.load("gpu24")
    assert [optima.runs_of(gpu, model) for model in gpu.models] == [[]]
    cold = quick.changed(evaluate=quick.evaluate | {"temperature": 0.7})
    assert optima.runs_of(cold, "one_wording") == []


def test_no_completion_that_a_base_wrote_is_likelier_than_what_the_search_finds(tmp_path):
    profile = profiles.load("quick").changed(evaluate={"problems": 3, "samples": 8})
    runner.of_base("one_wording", tmp_path, profile.eval_configs("one_wording")[0])
    graded = runner.graded(tmp_path / "evaluations" / "arithmetic-test.json")
    found, correct = optima.searched(profile, "one_wording", [graded])
    assert [len(right) for right in correct] == [len(one.ids) for one in found]
    for rows in graded:
        best = rows.groupby("problem_id", sort=False)["reference_logprob"].max().to_numpy()
        assert np.all(best <= [one.logprob[0] + 1e-4 for one in found])
    assert all(one.floor == -6 for one in found)


def test_a_profile_without_distances_says_what_to_run():
    with pytest.raises(UsageError, match="make reproduce PROFILE=smoke"):
        optima.load("smoke")


@pytest.fixture
def table():
    """Two seeds of `sharpen` on one base, one run of `tempered` on another."""
    rows = pd.DataFrame({"model": ["a", "a", "b"], "objective": ["sharpen", "sharpen", "tempered"], "way": [0.5, 0.97, 0.8]})
    rows["label"] = ["sharpen α=1", "sharpen α=1", "tempered α=4"]
    return rows.assign(way_low=rows["way"] - 0.1, way_high=rows["way"] + 0.1, reached=-1.5, optimum=-1.0)


def test_ways_are_drawn_in_percent_with_the_seeds_side_by_side(table):
    ax = plt.figure().subplots()
    diagnoses.ways(ax, table)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a, sharpen α=1", "b, tempered α=4"]
    assert [c.lines[0].get_xdata().tolist() for c in ax.containers] == [pytest.approx([50, 97]), pytest.approx([80])]
    title = ax.get_title(loc="left")
    assert title == "1 of 3 runs have gone 95% of the way or more;\nthe shortest: 50%, a, sharpen α=1"
    ax.clear()
    diagnoses.ways(ax, table[table["way"] < 0.9])
    assert ax.get_title(loc="left").startswith("No run has gone 95% of the way or more;")
    plt.close("all")


def test_the_approach_shows_sharpen_task_and_the_optimum(table):
    steps = pd.DataFrame({"step": [0, 1] * 2, "model": "a", "objective": ["sharpen"] * 2 + ["task"] * 2})
    ax = plt.figure().subplots()
    diagnoses.approach(ax, steps.assign(reference_logprob=[-5.0, -3.0, -5.0, -4.0]), table)
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.get_lines()}
    assert lines["a, sharpen"] == [-4.0, -4.0] and lines["a, task"] == [-4.5, -4.5]  # the mean of both steps
    assert [text.get_text() for text in ax.texts] == ["optimum, a"] and ax.texts[0].xy[1] == -1
    assert [-1.0, -1.0] in lines.values() and ax.get_title(loc="left").endswith("a -1.50 of -1.00")
    steps = steps.assign(reference_logprob=-5.0)
    assert len(diagnoses.near_optimum(steps, table).axes) == 2
    assert len(diagnoses.near_optimum(steps, table.query("objective != 'sharpen'")).axes) == 1  # no panel without a run
    many = pd.concat([table.assign(model=name) for name in "abcd"], ignore_index=True)
    assert len(diagnoses.near_optimum(steps, many).axes) == 1  # nor one in which four models could not be told apart
    assert "of no run" in diagnoses.near_optimum(steps, table.assign(way=np.nan)).axes[1].get_title(loc="left")
    plt.close("all")
