"""Distances between two trained policies, by hand and against exact policies."""

import numpy as np
import pandas as pd
import pytest

from lib.evaluation import between
from lib.theory import distributions


def test_kl_is_a_mean_over_questions():
    judged = pd.DataFrame({"problem_id": ["a", "a", "b"], "policy_logprob": [-1.0, -2.0, -3.0]})
    judged["judge_logprob"] = [-2.0, -2.5, -2.75]
    assert between.kl(judged).mean == pytest.approx((0.75 - 0.25) / 2)


def test_kl_of_samples_comes_near_the_exact_one():
    rng, log_a, log_b = (
        np.random.default_rng(0),
        np.log([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]),
        np.log([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]),
    )
    drawn = [(q, y) for q in range(2) for y in rng.choice(3, 20_000, p=np.exp(log_a[q]))]
    table = pd.DataFrame(drawn, columns=["problem_id", "y"])
    q, y = table["problem_id"], table["y"]
    found = between.kl(table.assign(policy_logprob=log_a[q, y], judge_logprob=log_b[q, y]))
    assert found.mean == pytest.approx(distributions.kl(log_a, log_b).mean(), rel=0.03)


def _said(ratio, names=("a", "a", "a", "b", "b", "b")):
    return pd.DataFrame({"problem_id": names, "trained_logprob": ratio})


def test_the_spread_of_log_odds_by_hand_and_as_pairs():
    """The median over three questions, whatever becomes of the one that is farthest apart."""
    names, ratio = list("aaabbbccc"), np.array([1.0, 2.0, 4.0, 0.0, 0.0, 3.0, 0.0, 5.0, 0.0])
    pairs = [[(x - y) ** 2 for i, x in enumerate(part) for y in part[i + 1 :]] for part in (ratio[:3], ratio[3:6], ratio[6:])]
    apart = sorted(np.sqrt(np.mean(one)) for one in pairs)
    for farthest in (5.0, 500.0):
        ratio[7] = farthest
        found = between.log_odds_spread(_said(ratio, names), _said(np.zeros(9), names))
        assert found == pytest.approx(apart[1]) and apart[0] < apart[1] < apart[2]


def test_what_a_question_shares_cancels_and_a_round_of_sharpening_multiplies_by_alpha():
    rng, zero = np.random.default_rng(0), _said(np.zeros(6))
    ratio = rng.normal(size=6)
    shifted = ratio + np.array([5.0] * 3 + [-7.0] * 3)
    assert between.log_odds_spread(_said(shifted), zero) == pytest.approx(between.log_odds_spread(_said(ratio), zero))
    first, second = (np.log(rng.dirichlet(np.ones(6))) for _ in range(2))
    names = ["a"] * 6
    before, after = (between.log_odds_spread(_said(power * first, names), _said(power * second, names)) for power in (1, 2))
    assert after == pytest.approx(2 * before)


def test_other_samples_are_refused():
    with pytest.raises(ValueError, match="samples of different questions"):
        between.log_odds_spread(_said(np.zeros(6)), _said(np.zeros(6), names=list("aabbbb")))
