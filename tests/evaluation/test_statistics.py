"""Estimators against enumeration of every subset and tables summed by hand; intervals against what they promise."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.evaluation import statistics


def maj_at_k(answers, gold, k):
    """The chance that the most frequent answer among k of the answers, drawn without replacement, is `gold`. Ties are shared
    evenly; None can be drawn, but cannot win."""
    statistics.check_k(k, len(answers))
    return statistics.maj_curve(statistics.count_votes(answers, gold))[k - 1]


def brute_force_majority(answers, gold, k) -> float:
    """The mean over every subset of k answers of: gold wins, a tie shared evenly, None never a vote."""
    wins = []
    for subset in combinations(answers, k):
        counts = Counter(a for a in subset if a is not None)
        top = max(counts.values(), default=0)
        winners = [a for a, n in counts.items() if n == top]
        wins.append(1 / len(winners) if gold in winners else 0.0)
    return float(np.mean(wins))


@given(st.lists(st.booleans(), min_size=1, max_size=9))
def test_pass_at_k_is_the_mean_over_subsets(correct):
    curve = statistics.pass_curve(len(correct), sum(correct))
    for k in range(1, len(correct) + 1):
        expected = np.mean([any(subset) for subset in combinations(correct, k)])
        assert curve[k - 1] == pytest.approx(expected, abs=1e-12)
        assert statistics.pass_at_k(len(correct), sum(correct), k) == curve[k - 1]


@given(st.lists(st.sampled_from(["7", "8", "9", "10", None]), min_size=1, max_size=9))
def test_maj_at_k_is_the_mean_over_subsets(answers):
    curve = statistics.maj_curve(statistics.count_votes(answers, "7"))
    for k in range(1, len(answers) + 1):
        assert curve[k - 1] == pytest.approx(brute_force_majority(answers, "7", k), abs=1e-12)
        assert maj_at_k(answers, "7", k) == curve[k - 1]


def test_maj_at_k_of_sixteen_answers_agrees_with_all_their_subsets():
    """The size that is used: 16 samples, with two rivals as strong as the right answer, so that ties matter."""
    answers = ["7"] * 4 + ["8"] * 4 + ["9"] * 4 + ["10"] * 2 + [None] * 2
    curve = statistics.maj_curve(statistics.count_votes(answers, "7"))
    for k in (1, 2, 3, 8, 15, 16):
        assert curve[k - 1] == pytest.approx(brute_force_majority(answers, "7", k), abs=1e-12)
    assert curve[15] == pytest.approx(1 / 3)


def test_many_answers_neither_overflow_nor_leave_the_unit_interval():
    curve = statistics.maj_curve(statistics.Votes(140, (100, 120, 130), 10))
    assert all(0 <= value <= 1 for value in curve) and curve[-1] == 1.0 and curve[0] == pytest.approx(140 / 500)


def test_by_hand():
    assert statistics.pass_at_k(4, 1, 2) == 0.5  # 3 of the 6 pairs hold the right one
    assert statistics.pass_at_k(4, 4, 1) == 1.0 and statistics.pass_at_k(4, 0, 4) == 0.0
    assert maj_at_k(["7", "7", "8"], "7", 3) == 1.0
    assert maj_at_k(["7", "8"], "7", 2) == 0.5
    assert maj_at_k(["7", None, None], "7", 3) == 1.0  # silence is no vote
    assert maj_at_k([None, None], "7", 2) == 0.0
    assert statistics.count_votes(["7", "8", None, "8", "9"], "7") == (1, (1, 2), 1)


@pytest.mark.parametrize("k", [0, 5])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(ValueError, match="choose k from 1 to 4"):
        statistics.pass_at_k(4, 2, k)
    with pytest.raises(ValueError, match="choose k from 1 to 4"):
        maj_at_k(["7"] * 4, "7", k)


def test_powers_of_two():
    assert statistics.powers_of_two(1) == [1]
    assert statistics.powers_of_two(16) == [1, 2, 4, 8, 16]
    assert statistics.powers_of_two(5) == [1, 2, 4]


def test_equivalent_answers_become_one_vote():
    """Right ones vote for the gold, wrong ones for the first of their kind, and saying nothing is silence."""

    def equal(a, b):
        return a != b and {a, b} == {"1/2", "0.5"}

    answers = ["0.5", " 1/2", "7", "07", "", None, float("nan"), "0.5", "3"]
    correct = [False, False, True, True, False, False, False, False, False]
    votes = statistics.cluster(answers, correct, "7", equal)
    assert votes == ["0.5", "0.5", "7", "7", None, None, None, "0.5", "3"]


def test_equal_texts_never_ask_and_every_pair_asks_once():
    asked = []
    statistics.cluster(["a", "a", "b", "b", "c"], [False] * 5, "7", lambda a, b: asked.append((a, b)))
    assert asked == [("a", "b"), ("a", "c"), ("b", "c")]


def test_the_interval_is_the_normal_one_for_many_questions_and_is_seeded():
    values = np.random.default_rng(0).random(400)
    low, high = statistics.interval(values)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.005)
    assert statistics.interval(values) == (low, high)
    assert statistics.interval([5.0, 5.0]) == (5.0, 5.0)
    assert all(math.isnan(end) for end in statistics.interval([1.0]))


def test_few_questions_widen_the_interval_to_students():
    values = np.random.default_rng(1).normal(size=10)
    low, high = statistics.interval(values, draws=40_000)
    half = 2.262 * values.std(ddof=1) / math.sqrt(10)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_a_rate_that_never_varied_gets_the_exact_binomial_bound():
    """20 of 20 right: the bootstrap would say 100% to 100%, while a rate of 84% does this once in 33 times."""
    low, high = statistics.interval([1.0] * 20, rate=True)
    assert high == 1.0 and low**20 == pytest.approx(0.025)
    assert statistics.interval([0.0] * 20, rate=True) == pytest.approx((0.0, 1 - low))
    assert statistics.interval([0.5] * 20, rate=True) == (0.5, 0.5)


def test_a_paired_difference_by_hand():
    """Differences 0, 1, 0, 1: mean ½, standard deviation 1/√3, standard error 1/√12."""
    found = statistics.difference([0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0])
    assert found.mean == 0.5 and found.questions == 4 and found.seeds == 1
    assert found.detectable == pytest.approx((1.959964 + 0.841621) / math.sqrt(12), rel=1e-6)
    assert found.noise == statistics.EVALUATION_NOISE


def test_pairing_takes_out_what_makes_a_question_hard():
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    found = statistics.difference(hard, hard + 0.02 + 0.01 * rng.normal(size=200))
    assert found.mean == pytest.approx(0.02, abs=0.003) and found.high - found.low < 0.004
    assert found.detectable < statistics.planned_effect(hard) / 10


def test_seeds_widen_the_interval_and_are_said():
    """Three seeds that disagree: evaluation noise is tiny, training noise is not, and t has two degrees of freedom."""
    base, seeds = np.zeros(100), np.array([[0.1], [0.2], [0.3]]) + np.zeros((3, 100))
    found = statistics.difference(base, seeds)
    assert found.noise == statistics.ALL_NOISE and found.seeds == 3 and found.mean == pytest.approx(0.2)
    assert found.high - found.mean == pytest.approx(4.303 * 0.1 / math.sqrt(3), rel=1e-3)


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.7062), (2, 4.30265), (10, 2.22814), (29, 2.04523), (5000, 1.96044)])
def test_seeds_alone_give_students_interval(degrees, quantile):
    """From the usual table; the standard error is that of the seeds' means."""
    seeds = np.random.default_rng(0).normal(size=(degrees + 1, 1))
    found, error = statistics.two_level(seeds + np.zeros((1, 3)))
    assert error == pytest.approx(seeds.std(ddof=1) / math.sqrt(degrees + 1))
    assert (found.high - found.mean) / error == pytest.approx(quantile, rel=1e-5)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_two_levels_by_hand():
    """Two seeds, three questions. Seeds' means 3 and 5 and questions' means 2, 4, 6: deviations ±1 and ∓2, 0; what is left is
    ±½ for two questions. Mean squares 6·1/1 = 6, 2·8/2 = 8 and 4·¼/2 = ½, with 1, 2 and 2 degrees of freedom."""
    left = np.array([[0.5, -0.5, 0.0], [-0.5, 0.5, 0.0]])
    values = 4 + np.array([[-1.0], [1.0]]) + np.array([[-2.0, 0.0, 2.0]]) + left
    found, error = statistics.two_level(values)
    assert error**2 == pytest.approx((6 + 8 - 0.5) / 6)
    quantile = (6 * 12.7062 + 8 * 4.30265 - 0.5 * 4.30265) / (6 + 8 - 0.5)
    assert found == pytest.approx((4, 4 - quantile * error, 4 + quantile * error), rel=1e-5)


def test_two_levels_without_residual_add_up():
    """Without interaction the variance of the mean is estimated as σ_s²/S + σ_q²/P."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 1)) + rng.normal(size=(1, 50))
    _, error = statistics.two_level(values)
    expected = values.mean(1).var(ddof=1) / 4 + values.mean(0).var(ddof=1) / 50
    assert error**2 == pytest.approx(expected, rel=1e-9)


def test_a_variance_that_is_not_positive_is_the_largest_part():
    """Seeds and questions have equal means, so that only the residual is left: mean square 4·1/1 = 4, on 4 values."""
    found, error = statistics.two_level([[1.0, -1.0], [-1.0, 1.0]])
    assert error == 1 and found == pytest.approx((0, -12.7062, 12.7062), rel=1e-5)
    assert statistics.two_level(np.full((3, 5), 0.25)) == ((0.25, 0.25, 0.25), 0)


def test_a_variance_just_above_zero_gets_no_boundless_interval():
    """Mean squares of 2.0402 for seeds, 0 for questions, 2.0202 for the residual. Satterthwaite's degrees of freedom would be
    0.0001, whose quantile no float can hold; here it is at most that of one degree of freedom."""
    wave = np.tile([1.0, -1.0], 50)
    found, error = statistics.two_level(np.array([wave, -wave]) + np.array([[0.101], [-0.101]]))
    assert error**2 == pytest.approx((200 * 0.101**2 - 200 / 99) / 200)
    assert found.high - found.mean == pytest.approx(12.7062 * error, rel=1e-5)


@pytest.mark.parametrize("parts", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.3, 1, 1)], ids=str)
def test_the_two_level_variance_is_unbiased(parts):
    """4,000 studies of 5 seeds and 40 questions: standard deviations of seeds, of questions and of what they do together.

    The bootstrap over both levels that was here before counted the last one about three times.
    """
    rng, (of_seeds, of_questions, of_both) = np.random.default_rng(5), parts
    truth = of_seeds**2 / 5 + of_questions**2 / 40 + of_both**2 / 200
    found = []
    for _ in range(4000):
        values = of_seeds * rng.normal(size=(5, 1)) + of_questions * rng.normal(size=(1, 40))
        found.append(statistics.two_level(values + of_both * rng.normal(size=(5, 40)))[1] ** 2)
    assert np.mean(found) == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize(("before", "after"), [((3,), (4,)), ((2, 5), (3, 5))])
def test_what_cannot_be_paired_is_refused(before, after):
    with pytest.raises(ValueError, match="cannot be paired"):
        statistics.difference(np.zeros(before), np.zeros(after))


def test_the_detectable_effect_is_detected_four_times_in_five():
    rng, error = np.random.default_rng(0), 0.03
    effect = statistics.minimum_detectable_effect(error)
    found = rng.normal(effect, error, 100_000)
    assert np.mean(np.abs(found) > 1.959964 * error) == pytest.approx(0.8, abs=0.005)


# Where the true accuracies of the questions come from, and how many questions there are
WORLDS = [("even", 1, 1, 30), ("even", 1, 1, 200), ("easy or hard", 0.3, 0.7, 30), ("easy or hard", 0.3, 0.7, 200)]
WORLDS += [("mostly easy", 8, 2, 30), ("mostly easy", 8, 2, 200)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "a", "b", "questions"), WORLDS)
def test_the_interval_covers_the_truth_95_times_in_a_hundred(name, a, b, questions):
    """2,000 simulated evaluations: questions with a Beta(a, b) accuracy, 16 samples each; the truth is a / (a + b)."""
    rng = np.random.default_rng(7)
    values = rng.binomial(16, rng.beta(a, b, (2000, questions))) / 16
    ends = np.array([statistics.interval(row, seed=i, draws=1000, rate=True) for i, row in enumerate(values)])
    coverage = np.mean((ends[:, 0] <= a / (a + b)) & (a / (a + b) <= ends[:, 1]))
    print(f"{name}, {questions} questions: {coverage:.1%}")
    assert 0.93 <= coverage <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.05, 0.2])
def test_the_two_level_interval_covers_at_least_as_often(spread, seeds):
    """2,000 simulated studies of some seeds and 200 questions, from seeds that hardly differ to seeds that differ a lot.

    At least 93%; it may be wide where seeds hardly differ, since their few degrees of freedom count all the same.
    """
    rng, hits = np.random.default_rng(3), 0
    for _ in range(2000):
        rates = np.clip(rng.beta(8, 8, (1, 200)) + spread * rng.normal(size=(seeds, 1)), 0, 1)
        found, _ = statistics.two_level(rng.binomial(16, rates) / 16)
        hits += found.low <= 0.5 <= found.high
    print(f"{seeds} seeds, spread {spread}: {hits / 2000:.1%}")
    assert 0.93 <= hits / 2000 <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("questions", [0.0, 0.3, 1.0])
def test_the_two_level_interval_covers_noise_without_seeds(seeds, questions):
    """2,000 studies in which seeds do not differ: every value has its own noise, and questions differ by `questions` of it."""
    rng, hits = np.random.default_rng(3), 0
    for _ in range(2000):
        values = rng.normal(size=(seeds, 100)) + questions * rng.normal(size=(1, 100))
        found, _ = statistics.two_level(values)
        hits += found.low <= 0 <= found.high
    print(f"{seeds} seeds, questions {questions}: {hits / 2000:.1%}")
    assert 0.93 <= hits / 2000 <= 0.985
