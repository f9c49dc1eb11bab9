"""A forecast beside trained runs: the same problems for all, and figures that show the tables."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.evaluation.forecast import BaseSamples
from lib.reports import forecasts
from lib.storage import folders

ASKED = list("abcdefghij")


def drawn(*correct):
    """Two samples of each of ten problems, of which the first so many samples of each are right."""
    rows = [(q, i < right, 4 + i) for q, right in zip(ASKED, correct, strict=True) for i in range(2)]
    return pd.DataFrame(rows, columns=["problem_id", "correct", "length"])


@pytest.fixture
def trained():
    rows = {"run": ["t-s0", "t-s1", "x-s0"], "objective": ["tempered", "tempered", "task"], "alpha": [4.0, 4.0, 0.0]}
    rows |= {"label": ["tempered α=4", "tempered α=4", "task"], "length_mean": [10.0, 30.0, 40.0], "seed": [0, 1, 0]}
    return pd.DataFrame(rows | {"accuracy_sampled": [0.2, 0.4, 0.9], "accuracy_sampled_low": 0.1, "accuracy_sampled_high": 0.95})


def test_on_some_problems_trained_runs_are_measured_on_those_alone(trained):
    sampled = {"t-s0": drawn(2, 1, *[0] * 8)}
    assert forecasts.trained_on(trained, sampled, ASKED, 10) is trained
    some = forecasts.trained_on(trained, sampled, ASKED[:2], 10)
    assert (
        some["run"].tolist() == ["t-s0"] and some["accuracy_sampled"].tolist() == [0.75] and some["length_mean"].tolist() == [4.5]
    )
    assert forecasts.trained_on(trained, {}, ASKED[:2], 10).empty


def test_groups_average_over_seeds_and_have_intervals(trained):
    rng = np.random.default_rng(0)
    samples = BaseSamples(rng.normal(-2, 1, (10, 8)), rng.integers(0, 2, (10, 8)) * 1.0, np.ones((10, 8)), np.zeros((10, 8)))
    sampled = {"t-s0": drawn(*[2] * 10), "t-s1": drawn(*[0] * 10), "x-s0": drawn(*[2] * 10)}
    found = forecasts.grouped(samples, trained[trained["objective"] == "tempered"], sampled, ASKED, 10)
    assert found["group"].tolist() == [1, 2, 3, 4, 5] and found["seeds"].eq(2).all() and found["trained"].eq(0.5).all()
    assert (found["forecast_low"] <= found["forecast"]).all() and (found["forecast"] <= found["forecast_high"]).all()
    assert forecasts.grouped(samples, trained, {}, ASKED, 10).empty
    assert forecasts.grouped(samples, trained, sampled, ASKED, 11).empty


def test_the_groups_figure_names_the_farthest_group_and_has_error_bars():
    ends = {"forecast_low": [0.05, 0.45], "forecast_high": [0.2, 0.55], "trained_low": [0.3, 0.4], "trained_high": [0.5, 0.7]}
    groups = pd.DataFrame({"alpha": 4.0, "seeds": 3, "group": [1, 2], "forecast": [0.1, 0.5], "trained": [0.4, 0.6], **ends})
    ax = forecasts.by_group(plt.figure().subplots(), "m", groups)
    assert ax.get_title(loc="left") == "m: group 1 at α = 4 is farthest from its forecast:\nforecast 10%, trained 40%"
    (bars,) = ax.containers
    across, up = bars.lines[2]
    np.testing.assert_allclose(across.get_segments()[0], [[5, 40], [20, 40]])
    np.testing.assert_allclose(up.get_segments()[0], [[10, 30], [10, 50]])
    assert bars.get_label() == "α = 4, mean of 3 seeds"
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("group 1", (10, 40))]
    plt.close("all")


def test_the_forecast_figure_leaves_out_a_kind_that_was_refused(trained):
    rows = [("completion", 1.0, 0.5), ("completion", 4.0, 0.25), ("answer", 1.0, 0.5), ("answer", 4.0, np.nan)]
    table = pd.DataFrame(rows, columns=["kind", "alpha", "accuracy"])
    table = table.assign(low=table["accuracy"] - 0.1, high=table["accuracy"] + 0.1)
    ax = forecasts.over_alpha(plt.figure().subplots(), "m", table, trained[:2])
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert said == ["forecast: $p^α$, whole completions", "trained: tempered"]
    assert ax.get_title(loc="left") == "m, 50% right: sharpening its completions\nis forecast to give 25% at α = 4"
    plt.close("all")


def test_every_method_and_every_trained_label_is_in_the_legend(trained):
    methods = pd.DataFrame({"method": ["sampled", "greedy", "majority vote"], "tokens": [20.0, 8.0, 300.0]})
    methods = methods.assign(accuracy=[0.5, 0.2, 0.8], low=[0.4, 0.1, 0.7], high=[0.6, 0.3, 0.9])
    ax = forecasts.by_tokens(plt.figure().subplots(), "m", methods, trained, 0.3)
    said = {text.get_text() for text in ax.get_legend().get_texts()}
    assert said == {"sampled", "greedy", "majority vote", "trained: tempered α=4", "trained: task", "forecast of $p^α$"}
    (mark,) = [line for line in ax.get_lines() if line.get_label() == "trained: tempered α=4"]
    assert mark.get_xdata() == pytest.approx([20]) and mark.get_ydata() == pytest.approx([30])
    assert ax.get_title(loc="left") == "m: 50% sampled, 20% greedy,\n80% by a vote"
    plt.close("all")


def test_without_results_there_is_nothing_to_compare_with(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    assert forecasts.runs_of("quick", "arithmetic/test", "one_wording").empty
    assert forecasts.samples_of("quick", "arithmetic-test", ["one_wording-task-s0"]) == {}
    checked = pd.DataFrame({"alpha": [4.0], "seed": [0]})
    assert forecasts.beside_exact(checked, "quick", "one_wording") is checked


def test_what_is_left_is_set_beside_the_exact_number():
    checked = pd.DataFrame({"alpha": [4.0, 4.0], "seed": [0, 1], "kl_left": [0.17, 0.2]})
    exact = forecasts.beside_exact(checked, "cpu", "many_wordings")["kl_left_exact"]
    assert exact.tolist() == pytest.approx([0.238, 0.268], abs=1e-3)  # larger: the estimate errs towards "arrived"


def test_what_is_not_known_exactly_is_left_out():
    """At α = 1.25 and 2 the search found too little of `many_wordings`: what would be left at 1.25 is below 0."""
    checked = pd.DataFrame({"alpha": [1.25, 2.0, 4.0], "seed": 0})
    exact = forecasts.beside_exact(checked, "forecast", "many_wordings")["kl_left_exact"]
    assert exact.isna().tolist() == [True, True, False] and exact.iloc[-1] == pytest.approx(0.251, abs=1e-3)
