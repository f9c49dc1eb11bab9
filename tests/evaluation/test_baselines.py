"""Sharpening without training, against every subset and against a model whose best answers are known."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lib.data import problems
from lib.evaluation import baselines
from lib.evaluation.forecast import BaseSamples
from lib.evaluation.statistics import Interval
from lib.theory import samplers


def drawn(questions: int = 5, n: int = 6) -> BaseSamples:
    rng = np.random.default_rng(0)
    log_p, correct = rng.normal(-5, 2, (questions, n)), rng.integers(0, 2, (questions, n)).astype(float)
    return BaseSamples(log_p, correct, rng.integers(3, 9, (questions, n)).astype(float), 1 - correct)


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_best_of_k_is_the_mean_over_every_subset(k):
    samples = drawn()
    subsets = [list(subset) for subset in itertools.combinations(range(6), k)]
    expected = [
        np.mean([correct[subset][np.argmax(log_p[subset])] for subset in subsets])
        for log_p, correct in zip(samples.log_p, samples.correct)
    ]
    assert baselines.best_of(k, samples.log_p, samples.correct) == pytest.approx(expected)


def test_majority_is_the_evaluations():
    table = pd.DataFrame({"problem_id": ["a"] * 4 + ["b"] * 4, "gold": ["1"] * 4 + ["2"] * 4})
    table["vote"] = ["1", "1", "3", None, "3", "3", "2", "4"]
    found = baselines.majority(table)
    assert list(found) == [1, 2, 4]
    assert found[1].mean == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert found[4].mean == pytest.approx((1 + 0) / 2)


def test_k_is_checked():
    with pytest.raises(ValueError, match="choose k from 1 to 6"):
        baselines.best_of(7, drawn().log_p, drawn().correct)


def test_what_samples_give_and_cost():
    samples, half = drawn(), Interval(0.5, 0.4, 0.6)
    rows = {(row.method, row.budget): row for row in baselines.from_samples(samples, {1: half, 2: half, 4: half})}
    assert set(rows) == {("sampled", 1), *((m, k) for m in ("best of n", "majority vote") for k in (2, 4))}
    assert rows["sampled", 1].accuracy.mean == pytest.approx(samples.correct.mean())
    assert rows["sampled", 1].log_p == pytest.approx(samples.log_p.mean())
    assert rows["best of n", 4].tokens == pytest.approx(4 * samples.length.mean())
    assert rows["best of n", 4].log_p > rows["best of n", 2].log_p > rows["sampled", 1].log_p
    assert rows["majority vote", 4].accuracy == half


def test_every_method_answers_every_problem(base):
    asked = problems.load("arithmetic", "test", 12)
    rows = baselines.run(*base, asked, 64, 4.0, [2], [3], block=8, seed=1)
    assert [(row.method.split(":")[0], row.budget) for row in rows] == [
        ("greedy", 1),
        ("token temperature", 1),
        ("power", 2),
        ("power", 3),
    ]
    assert all(0 <= row.accuracy.mean <= 1 and row.tokens > 5 and row.log_p < 0 for row in rows)
    assert rows[2].tokens > rows[1].tokens and rows[3].tokens > 2 * rows[1].tokens
    assert 0 < rows[2].acceptance <= 1 and np.isnan(rows[3].acceptance)
    again = baselines.run(*base, asked, 64, 4.0, [2], [3], block=8, seed=1)
    assert [row[:5] for row in again] == [row[:5] for row in rows]
    assert isinstance(rows[0].accuracy, Interval)


def test_every_method_is_run_as_it_is_called(base, monkeypatch):
    """At its own α and budget, and with the particles of a problem side by side."""
    called = []

    def spy(name):
        run = getattr(samplers, name)

        def watched(engine, max_length, alpha, *rest):
            called.append((name, alpha, *rest[:-1], engine.prompts))
            return run(engine, max_length, alpha, *rest)

        monkeypatch.setattr(samplers, name, watched)

    for name in ("draw", "metropolis", "sequential"):
        spy(name)
    baselines.run(*base, problems.load("arithmetic", "test", 2), 12, 3.0, [2], [3], block=4)
    settings = [(name, alpha) for name, alpha, *_ in called]
    assert settings == [("draw", np.inf), ("draw", 3.0), ("metropolis", 3.0), ("sequential", 3.0)]
    one, other = called[0][-1]
    assert one != other and called[2][2] == 2 and called[3][2] == 3
    assert called[3][-1] == [one, one, one, other, other, other]
