"""The bases of the theory notebooks are what they say that they are."""

import numpy as np
import pytest

from lib.theory import distributions, examples, sequences


def test_one_wrong_string_wins_against_more_than_nine_wordings():
    for wordings, at_the_end in ((5, 1.0), (9, 0.9), (10, 0.0), (100, 0.0)):
        dist = examples.one_wrong(wordings)
        assert distributions.accuracy(dist, 1) == pytest.approx(0.9)
        assert distributions.expected(distributions.mode(dist.log_p), dist.reward) == pytest.approx(at_the_end)
    odds = 9 * (9 / 100) ** 2
    assert distributions.accuracy(examples.one_wrong(100), 3) == pytest.approx(odds / (1 + odds))


def test_three_bases_are_right_half_of_the_time_and_end_apart():
    bases = examples.three_bases()
    assert [distributions.accuracy(dist, 1) for dist in bases.values()] == pytest.approx([0.5] * 3)
    assert [distributions.accuracy(dist, 64) for dist in bases.values()] == pytest.approx([1, 0, 0], abs=1e-9)
    slopes = [distributions.accuracy_slopes(dist, 1)[0] > 0 for dist in bases.values()]
    assert slopes == [True, False, True]


def test_half_right_is_half_right_and_the_fewer_strings_are_likelier():
    for right, wrong in ((1, 100), (7, 7), (100, 1)):
        dist = examples.half_right(right, wrong)
        assert distributions.accuracy(dist, 1) == pytest.approx(0.5)
        assert np.sign(distributions.accuracy(dist, 2) - 0.5) * (right != wrong) == np.sign(wrong - right)


def test_problems_are_random_but_the_same_every_time():
    made = examples.random_problems(50, agreement=3)
    assert len(made) == 50 and all(1 <= dist.reward.sum() <= 7 for dist in made)
    assert all((a.log_p == b.log_p).all() for a, b in zip(made, examples.random_problems(50, agreement=3)))
    assert np.mean([distributions.accuracy(dist, 1) for dist in made]) > 0.7


def test_tokens_and_paths():
    moments = sequences.Sharpened(examples.independent_tokens(0.25), 1, 200).marginals()
    assert moments.length @ np.arange(1, 201) == pytest.approx(4)
    garden = examples.garden_path(0.6, 4)
    assert sequences.Sharpened(garden, 1, 4).moments().accuracy == pytest.approx(0.4)
    assert sequences.Sharpened(garden, 2, 4).moments().accuracy == pytest.approx(0.16 / (0.16 + 4 * 0.15**2))
    cold = sequences.local_temperature(garden, 2)
    assert sequences.Sharpened(cold, 1, 4).moments().accuracy == pytest.approx(0.16 / (0.16 + 0.36))
    assert sequences.Sharpened(examples.endless_chain(), 1, 9).marginals().cut_off == pytest.approx(1)
