"""The tables of elicitation, by hand."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.evaluation.elicitation import Worked
from lib.evaluation.metrics import Graded
from lib.reports import elicitation
from lib.storage import folders


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


def test_what_lies_beyond_the_base_has_its_tries_beside_the_audit(tmp_path, monkeypatch):
    """Two data sets: the first is none of its business. A question counts as solved if one try is right."""

    class Profile:
        name, models = "mine", ["m"]

        def eval_configs(self, model):
            return [SimpleNamespace(data=one, data_set=f"{one}/test", samples=4) for one in ("x", "y")]

    kept = {"r0": sampled(0, 0.25, 0), "r1": sampled(0, 0, 0)}
    runs = pd.DataFrame({"run": ["base-m", "r0", "r1"], "objective": ["base", "task", "task"], "label": ["base", "task", "task"]})
    runs = pd.concat([runs.assign(model="m", data_set=f"{one}/test", checkpoint="last", path=runs["run"]) for one in ("x", "y")])
    audit = dict.fromkeys(elicitation.AUDITED) | {"kl": 2.0, "share_beyond_reach": 0.25, "share_rest": 0.5}
    monkeypatch.setattr(elicitation.results, "evaluations", lambda profile: runs)
    monkeypatch.setattr(elicitation, "many_tries", lambda profile, model, data: pd.Series([0, 3, 0], index=list("abc")))
    monkeypatch.setattr(elicitation.runner, "graded", lambda path: Graded(kept[path.name], kept[path.name]))
    monkeypatch.setattr(elicitation, "audited", lambda profile, run, config: SimpleNamespace(row=lambda: audit))
    monkeypatch.setattr(folders, "HOME", tmp_path)
    assert elicitation.collect_beyond(Profile())
    table = elicitation.load_beyond("mine")
    assert table["data_set"].tolist() == ["y/test"] * 3 and table["run"].tolist() == ["base", "r0", "r1"]
    assert table["solved"].tolist() == [1, 1, 0] and table["tries"].tolist() == [elicitation.MANY, 4, 4]
    shown = elicitation.beyond_by_label(table)
    assert list(shown) == ["label", "runs", "tries", "solved", "kl", "beyond_reach", "rest"]
    assert shown.iloc[0].tolist() == ["base", 1, 256, "1 of 3", "0.0", "–", "–"]
    assert shown.iloc[1].tolist() == ["task", 2, 4, "1 of 3", "2.0", "25", "50"]
    monkeypatch.setattr(Profile, "eval_configs", lambda self, model: [None])
    assert not elicitation.collect_beyond(Profile())
