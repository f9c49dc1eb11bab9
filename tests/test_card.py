"""The statistics of a model card, on a table that can be summed by hand."""

import pandas as pd
import pytest

from lib import card

ANSWERS = pd.DataFrame(
    [
        # problem, text, bare, correct, S_p
        ("a", "bare wrong", True, False, -1.0),
        ("a", "worked right", False, True, -3.0),
        ("a", "worked right too", False, True, -2.0),
        ("b", "bare right", True, True, -4.0),
        ("b", "worked wrong", False, False, -6.0),
        ("b", "worked wrong", False, False, -5.0),
    ],
    columns=["problem_id", "completion", "bare", "correct", "reference_logprob"],
)


def test_the_likeliest_completion_of_each_problem():
    assert card.likeliest(ANSWERS)["completion"].tolist() == ["bare wrong", "bare right"]


def test_the_best_of_each_kind():
    best = card.best_of_each_kind(ANSWERS)
    assert best.loc["a"].to_dict() == {"worked": -2.0, "bare": -1.0}
    assert best.loc["b"].to_dict() == {"worked": -5.0, "bare": -4.0}


def test_the_covariance_is_the_mean_of_the_unbiased_ones_within_problems():
    """a: r = 0, 1, 1 and S_p = −1, −3, −2, covariance −0.5; b: r = 1, 0, 0 and S_p = −4, −6, −5, covariance +0.5."""
    assert card.covariance(ANSWERS) == pytest.approx(0.0)
    assert card.covariance(ANSWERS[:3]) == pytest.approx(-0.5)
    assert card.covariance(ANSWERS[:3]) == pytest.approx(
        ANSWERS[:3]["correct"].astype(float).cov(ANSWERS[:3]["reference_logprob"])
    )
