"""Solve rates beside each other, by hand."""

import math

import pandas as pd
import pytest
from scipy import stats

from lib.audit import rates


def table(**right: tuple[int, int]) -> pd.DataFrame:
    """Four samples of each model per question, of which so many are right."""
    rows = []
    for name, counts in right.items():
        for source, count in zip(("base", "trained"), counts, strict=True):
            rows += [(name, source, float(i < count)) for i in range(4)]
    return pd.DataFrame(rows, columns=["problem_id", "source", "correct"])


def test_rates_have_exact_intervals():
    found = rates.by_question(table(a=(0, 3), b=(2, 4)))
    assert found.loc["a", "base_low"] == 0 and found.loc["a", "base_high"] == pytest.approx(1 - 0.025 ** (1 / 4))
    assert found.loc["b", "trained_high"] == 1 and found.loc["b", "trained_low"] == pytest.approx(0.025 ** (1 / 4))
    low, high = stats.binomtest(2, 4).proportion_ci(method="exact")
    assert (found.loc["b", "base_low"], found.loc["b", "base_high"]) == pytest.approx((low, high))


def test_chance_is_the_share_of_deals_that_give_the_base_as_little():
    """0 of 4 against 3 of 4: of the C(8, 3) = 56 ways to place three right ones, C(4, 3) = 4 leave the base without."""
    found = rates.by_question(table(a=(0, 3), b=(3, 0), c=(2, 2)))
    assert list(found["chance"]) == pytest.approx([4 / 56, 4 / 56, stats.hypergeom.cdf(2, 8, 4, 4)])


def test_support_kept_lost_and_gained():
    found = rates.support(rates.by_question(table(a=(0, 3), b=(1, 0), c=(2, 4), d=(0, 0))))
    assert found[:4] == (1, 1, 1, 1)
    by_chance = 4 / 56 + 4 / 8 + math.comb(4, 6) / math.comb(8, 6)  # a, b, c: the base has none of what is right
    assert found.gained_by_chance == pytest.approx(by_chance) == found.lost_by_chance


def test_pass_curves_cross_where_the_base_catches_up():
    """The base solves each of four questions with one of four samples, the trained model two with all."""
    found = rates.tries(rates.by_question(table(a=(1, 4), b=(1, 4), c=(1, 0), d=(1, 0))))
    assert found.base == pytest.approx([0.25, 0.5, 0.75, 1.0]) and found.trained == pytest.approx([0.5] * 4)
    assert found.crossing.mean == 2 == found.best_of.mean


def test_a_base_that_never_catches_up():
    found = rates.tries(rates.by_question(table(a=(0, 4), b=(0, 3))))
    assert found.crossing.mean == math.inf == found.best_of.high
