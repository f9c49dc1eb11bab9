"""The registry of metrics: numbers of a table summed by hand, and a metric of one's own."""

import numpy as np
import pandas as pd
import pytest

from lib.evaluation import metrics
from lib.evaluation.metrics import Graded, Metric


def test_summary_by_hand():
    """Two problems, two samples each: the first right and wrong, the second silent and wrong."""
    sampled = pd.DataFrame(
        {
            "problem_id": ["a", "a", "b", "b"],
            "gold": ["7", "7", "1", "1"],
            "completion": ["x", "y", "z", "z"],
            "vote": ["7", "8", None, "2"],
            "correct": [True, False, False, False],
            "length": [10, 20, 30, 40],
            "truncated": [False, False, True, False],
            "direct": [True, True, True, False],
            "policy_logprob": [-1.0, -2.0, -3.0, -4.0],
            "reference_logprob": [-2.0, -2.0, -5.0, -7.0],
            "entropy": [0.1, 0.1, 0.1, 0.2],
        }
    )
    numbers = metrics.summarise(Graded(sampled, sampled.iloc[[0, 2]]))
    expected = {
        "problems": 2,
        "samples": 2,
        "accuracy_sampled": 0.25,
        "accuracy_greedy": 0.5,
        "pass_at_1": 0.25,
        "pass_at_2": 0.5,
        "maj_at_1": 0.25,
        "maj_at_2": 0.25,  # a tie on the first problem, a wrong vote on the second
        "length_mean": 25.0,
        "truncated": 0.25,
        "direct_share": 0.75,
        "distinct_answers": 1.5,
        "distinct_completions": 1.5,
        "kl": 1.5,
        "entropy": 0.14,
        "reference_logprob": -4.0,
        "tokens": 140,
    }
    assert {k: numbers[k] for k in expected} == pytest.approx(expected)
    assert numbers["accuracy_sampled_low"] == 0.0 and numbers["accuracy_sampled_high"] == 0.5
    assert numbers["detectable_effect"] == pytest.approx(2.801585 * 0.5 / 2**0.5)


def test_every_metric_has_an_interval():
    """Whatever is in the registry gets one, and a rate that never varied the exact bound."""
    rows = {"problem_id": ["a", "a", "b", "b"], "gold": "1", "completion": "x", "vote": "1", "correct": True}
    rows |= {"length": [1, 2, 3, 4], "truncated": False, "direct": True, "policy_logprob": -1.0}
    sampled = pd.DataFrame(rows | {"reference_logprob": [-1.0, -2.0, -3.0, -4.0], "entropy": 0.1})
    numbers = metrics.summarise(Graded(sampled, sampled.iloc[[0, 2]]))
    for metric in metrics.METRICS.values():
        for name in metric.columns(2):
            assert numbers[f"{name}_low"] <= numbers[name] <= numbers[f"{name}_high"]
    assert numbers["accuracy_sampled_low"] == pytest.approx(0.025 ** (1 / 2))


def test_a_metric_of_ones_own_is_one_entry(monkeypatch):
    monkeypatch.setattr(metrics, "METRICS", dict(metrics.METRICS))
    rows = {"problem_id": ["a", "a", "b", "b"], "completion": ["1+1", "2", "1+1+1", "+"]}
    graded = Graded(pd.DataFrame(rows), pd.DataFrame(rows))

    def signs(graded):
        return graded.sampled.assign(n=graded.sampled["completion"].str.count(r"\+")).groupby("problem_id")["n"].mean()

    metric = metrics.register(Metric("signs", "plus signs per completion", signs))
    assert metric.columns(2) == ["signs"] and metric.shown(1.25) == "1.2"
    np.testing.assert_array_equal(metric.values(graded)["signs"], [0.5, 1.5])
    with pytest.raises(ValueError, match="There is a metric 'signs' already"):
        metrics.register(Metric("signs", "", signs))
    with pytest.raises(ValueError, match="needs `of` or `by_k`"):
        Metric("empty", "").values(graded)
