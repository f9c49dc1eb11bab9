"""The table of elicitation, by hand."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.evaluation.elicitation import Worked
from lib.evaluation.metrics import Graded
from lib.reports import elicitation


def sampled(*correct):
    """Samples of questions a, b, c with these shares of right ones, of four each."""
    rows = [(name, i < 4 * share) for name, share in zip("abc", correct, strict=True) for i in range(4)]
    return pd.DataFrame(rows, columns=["problem_id", "correct"])


@pytest.fixture
def rows(monkeypatch):
    kept = {"base": sampled(0.5, 0.25, 0), "s0": sampled(1, 0.5, 0), "s1": sampled(1, 1, 0.5)}
    monkeypatch.setattr(elicitation.runner, "graded", lambda path: Graded(kept[path.name], kept[path.name]))
    runs = pd.DataFrame({"objective": ["base", "task", "task"], "label": ["base", "task", "task"], "path": list(kept)})
    worked = Worked(sampled(0.75, 0.5, 0.25), sampled(1, 1, 0), np.array([1.0, 2.0, 3.0]))
    return pd.DataFrame(elicitation._rows(runs.assign(kl=[0.0, 1.0, 3.0]), worked))


def test_each_is_compared_with_the_base_that_works_question_by_question(rows):
    assert rows["label"].tolist() == ["base", elicitation.WORKED, f"{elicitation.WORKED}, greedy", "task"]
    assert rows["accuracy"].tolist() == pytest.approx([0.25, 0.5, 2 / 3, 2 / 3])
    assert rows["minus_worked"].tolist() == pytest.approx([-0.25, 0, 1 / 6, 1 / 6])
    assert rows["solved"].tolist() == [2, 3, 2, 2.5] and rows["seeds"].tolist() == [1, 1, 1, 2]
    assert rows["kl"].tolist()[:2] == [0, 2] and rows["kl"].iloc[3] == 2
    assert (rows["minus_worked_low"] <= rows["minus_worked"]).all()


def test_what_is_read_has_units_and_no_constant_data_set(rows):
    found = elicitation.shown(rows.assign(model="m", data_set="d"))
    assert list(found) == ["model", "label", "kl", "accuracy", "solved", "minus_worked"]
    assert found.iloc[-1].tolist() == ["m", "task", "2.00", "66.7", "2.5", "+16.7"] and found["kl"].iloc[2] == "–"
    assert "data_set" in elicitation.shown(rows.assign(model="m", data_set=["d", "e", "d", "e"]))


def test_the_figure_says_what_is_left_of_task(rows):
    _, ax = plt.subplots()
    elicitation.beside_worked(ax, rows.assign(model="m", data_set="d"))
    assert "beyond showing work, task +16.7 points" in ax.get_title(loc="left")
    plt.close("all")
