"""The forecast against hand-weighted samples, and against exact p^α of sequence models."""

import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest

from lib.evaluation import forecast, statistics
from lib.evaluation.forecast import BaseSamples
from lib.theory import distributions, sequences
from tests.theory import chains


def samples(log_p, correct, length=None, answer=None) -> BaseSamples:
    log_p, correct = np.array(log_p, dtype=float), np.array(correct, dtype=float)
    length = np.ones_like(log_p) if length is None else np.array(length, dtype=float)
    return BaseSamples(log_p, correct, length, np.array(answer if answer is not None else 1 - correct))


def question(seed: int) -> sequences.SequenceModel:
    """A random chain over three tokens with a hazard of 15%; right by a random automaton of three states."""
    rng = np.random.default_rng(seed)
    step = np.column_stack([0.85 * rng.dirichlet(np.full(3, 0.7), 3), np.full(3, 0.15)])
    chain = sequences.markov(rng.dirichlet(np.ones(4)), step)
    return chains.rewarded(chain, rng.integers(0, 3, (3, 3)), rng.permutation([1, 0, 0]))


def population(first: int, count: int, n: int) -> tuple[list[sequences.SequenceModel], BaseSamples]:
    questions = [question(first + i) for i in range(count)]
    drawn = [sequences.Sharpened(q, 1, 8).sample(n, seed=i) for i, q in enumerate(questions)]
    columns = (np.array([getattr(d, name) for d in drawn], dtype=float) for name in ("log_p", "reward", "length"))
    log_p, reward, length = columns
    return questions, BaseSamples(log_p, reward, length, 1 - reward)


def test_weights_by_hand():
    one = samples(np.log([[0.5, 0.25, 0.25]]), [[0, 1, 1]], [[1, 2, 2]], [[0, 1, 1]])
    assert forecast.weights(one, 2)[0] == pytest.approx([0.5, 0.25, 0.25])
    assert forecast.weights(one, 3)[0] == pytest.approx(np.array([4, 1, 1]) / 6)
    assert forecast.weights(one, 3, "mean")[0] == pytest.approx(np.array([0.25, 0.25, 0.25]) / 0.75)  # 0.25^(1/2) = 0.5
    assert forecast.weights(one, 3, "answer")[0] == pytest.approx(np.array([1, 4, 4]) / 9)
    two = samples(np.log([[0.5, 0.25, 0.25], [0.2, 0.2, 0.2]]), [[0, 1, 1], [0, 1, 0]])
    (at_two,) = forecast.forecast(two, [2.0])
    assert at_two.ess == pytest.approx((1 / (0.25 + 2 / 16) + 3) / 2)  # the mean over questions of 1 / Σ w²
    silent = dataclasses.replace(one, answer=np.array([[-1, 0, 1]]))
    assert forecast.weights(silent, 3, "answer")[0] == pytest.approx([0, 0.5, 0.5])
    none = dataclasses.replace(one, answer=np.array([[-1, -1, -1]]))
    assert forecast.weights(none, 3, "answer")[0] == pytest.approx([1 / 3] * 3)
    with pytest.raises(ValueError, match="Unknown kind 'token'"):
        forecast.weights(one, 2, "token")


def test_many_samples_give_exactly_p_to_the_alpha():
    questions, drawn = population(0, 12, 20_000)
    for alpha in (1.0, 1.5, 2.0, 4.0):
        exact = [sequences.Sharpened(q, alpha, 8).moments().accuracy for q in questions]
        assert forecast.by_question(drawn, alpha)[0] == pytest.approx(exact, abs=0.04)
    partition = np.mean([sequences.Sharpened(q, 3, 8).log_partition for q in questions])
    assert forecast.log_partition(drawn, 3).mean() == pytest.approx(partition, abs=0.03)
    by_question = [sequences.Sharpened(q, 1, 8).moments().covariance for q in questions]
    assert forecast.slope(drawn).total.mean == pytest.approx(np.mean(by_question), abs=0.01)


def test_the_length_normalised_kind_against_enumeration():
    questions, drawn = population(50, 6, 20_000)
    exact = []
    for q in questions:
        found = list(sequences.completions(q, 8))
        log_p = np.array([c.log_p for c in found])
        log_q = distributions.normalise(log_p + 2 * log_p / [len(c.tokens) for c in found])
        exact.append(distributions.expected(log_q, [c.reward for c in found]))
    found = (forecast.weights(drawn, 3, "mean") * drawn.correct).sum(axis=1)
    assert found == pytest.approx(exact, abs=0.03)


def test_intervals_hold_the_exact_optimum():
    """Sixteen samples per question. The accuracy is of the very questions, so that 95% is the least to expect; the change is not
    dominated by which questions there are."""
    alphas, held, changed, asked = [1.25, 2.0, 4.0], 0, 0, 0
    for trial in range(40):
        questions, drawn = population(1000 * trial, 40, 16)
        for alpha, point in zip(alphas, forecast.forecast(drawn, alphas)):
            if point.accuracy:
                exact = np.mean([sequences.Sharpened(q, alpha, 8).moments().accuracy for q in questions])
                before = np.mean([sequences.Sharpened(q, 1, 8).moments().accuracy for q in questions])
                held += point.accuracy.low <= exact <= point.accuracy.high
                changed += point.change.low <= exact - before <= point.change.high
                asked += 1
    assert asked > 100 and held / asked >= 0.95 and changed / asked >= 0.9


def normal_population(rng, spread: float, questions: int) -> BaseSamples:
    """log p normal, right with a chance that falls with log p: the truth under p² is known."""
    log_p = rng.normal(-20, spread, (questions, 16))
    right = rng.random(log_p.shape) < 1 / (1 + np.exp(2 * (log_p + 20) / spread))
    return samples(log_p, right)


@pytest.mark.parametrize("spread", [0.5, 0.8, 1.1])
def test_the_jackknife_takes_the_bias_off(spread):
    """Reweighting by p moves a normal log p by its variance: the truth is a mean over the moved normal distribution."""
    rng = np.random.default_rng(0)
    log_p = rng.normal(-20 + spread**2, spread, 400_000)
    truth = (1 / (1 + np.exp(2 * (log_p + 20) / spread))).mean()
    drawn = normal_population(rng, spread, 20_000)
    corrected, correction = forecast.by_question(drawn, 2.0)
    plain = (forecast.weights(drawn, 2.0) * drawn.correct).sum(axis=1)
    assert corrected == pytest.approx(plain + correction)
    assert abs(corrected.mean() - truth) < 0.25 * abs(plain.mean() - truth) + 0.005
    held = 0
    for _ in range(40):
        small = normal_population(rng, spread, 200)
        (at,) = forecast.forecast(small, [2.0])
        half = (at.accuracy.high - at.accuracy.low) / 2
        assert 0.015 < half < 0.06
        held += at.accuracy.low <= truth <= at.accuracy.high
    assert held >= 35  # of 40, where 38 are expected


def test_the_jackknife_by_hand():
    one = samples(np.log([[0.5, 0.25, 0.25]]), [[0, 1, 1]])
    plain, without = 0.5, [1.0, 0.25 / 0.75, 0.25 / 0.75]  # weights ½, ¼, ¼
    assert forecast.by_question(one, 2.0)[0] == pytest.approx(3 * plain - 2 * np.mean(without))
    alone = samples([[0.0, -900.0]], [[1, 0]])
    assert forecast.by_question(alone, 3.0)[0] == pytest.approx([0.5 + 0.5], abs=1)


def test_it_refuses_where_greedy_is_likelier_than_anything_sampled():
    """A wrong string that no sample shows and that p² would hold: only its being the greedy completion gives it away."""
    rng = np.random.default_rng(0)
    seen = samples(np.full((50, 16), np.log(1e-7)), rng.random((50, 16)) < 0.9)
    (blind,) = forecast.forecast(seen, [2.0])
    assert blind.accuracy.mean > 0.8
    greedy = dataclasses.replace(seen, greedy=np.full(50, np.log(0.003)))
    (warned,) = forecast.forecast(greedy, [2.0])
    assert warned.accuracy is None and "greedy completions that no sample shows" in warned.refusal
    (fine,) = forecast.forecast(dataclasses.replace(seen, greedy=np.full(50, -np.inf)), [2.0])
    assert fine.accuracy == blind.accuracy


def test_samples_without_a_probability_are_refused():
    for log_p in ([[0.0, np.nan]], [[0.0, -np.inf]], [[0.0]]):
        with pytest.raises(ValueError, match="two or more samples"):
            samples(log_p, np.zeros_like(np.array(log_p)))
    with pytest.raises(ValueError, match="finite"):
        forecast.weights(samples([[0.0, -1.0]], [[1, 0]]), np.inf)


def test_alpha_one_is_the_samples_own_accuracy():
    _, drawn = population(0, 30, 16)
    (point,) = forecast.forecast(drawn, [1.0])
    assert point.accuracy.mean == pytest.approx(drawn.correct.mean())
    assert point.change == pytest.approx((0, 0, 0)) and point.ess == pytest.approx(16)


def test_a_forecast_is_a_rate(monkeypatch):
    """Jackknifed values may have a mean above 1; a forecast has not, nor does its interval, and the change keeps what it was."""
    _, drawn = population(0, 40, 16)
    values = np.full(40, 1.02)
    monkeypatch.setattr(forecast, "by_question", lambda *a: (values if a[1] > 1 else drawn.correct.mean(axis=1), values * 0))
    (point,) = forecast.forecast(drawn, [1.1])
    assert not point.refusal and point.accuracy == (1, 1, 1) and point.change.mean == pytest.approx(1.02 - drawn.correct.mean())


def test_it_refuses_to_extrapolate():
    rng = np.random.default_rng(0)
    wide = samples(rng.normal(0, 20, (50, 16)), rng.integers(0, 2, (50, 16)))
    below, above = forecast.forecast(wide, [0.5, 3.0])
    assert below.accuracy is None and "below 1" in below.refusal
    assert above.accuracy is None and "effective samples" in above.refusal and above.ess < forecast.LEAST_ESS
    assert forecast.verdict([above]).startswith("No forecast")


def test_it_refuses_a_vote_that_too_few_samples_decide():
    """Right 30% of the time, and every wrong answer another one: with more samples the vote becomes ever better."""
    rng = np.random.default_rng(0)
    right = rng.random((300, 16)) < 0.3
    votes = samples(np.zeros((300, 16)), right, answer=np.where(right, 0, rng.integers(1, 10**6, (300, 16))))
    few = forecast.forecast(votes, [3.0], "answer")[0]
    assert few.accuracy is None and "half" in few.refusal


def test_the_slope_splits_by_length():
    """log p and correctness depend on the length alone in the first example, and not at all in the second."""
    rng = np.random.default_rng(1)
    length = rng.integers(1, 4, (2000, 16))
    by_length = samples(-2.0 * length, length == 3, length)
    found = forecast.slope(by_length)
    exact = -2.0 * (3 / 3 - 2 / 3)  # Cov(r, −2T) for T uniform on 1, 2, 3 and r = 1 for T = 3
    assert found.total.mean == pytest.approx(exact, abs=0.02)
    assert found.between_length.mean == pytest.approx(found.total.mean, abs=1e-9)
    within = rng.normal(size=(2000, 16))
    unrelated = samples(within, within > 0, length)
    found = forecast.slope(unrelated)
    assert found.within_length.mean == pytest.approx(1 / math.sqrt(2 * math.pi), abs=0.02)
    assert abs(found.between_length.mean) < 0.01
    parts = forecast.slope(samples(within - length, within > 0, length))
    assert parts.between_length.mean + parts.within_length.mean == pytest.approx(parts.total.mean)
    assert parts.total.low < parts.total.mean < parts.total.high


def test_the_slope_is_the_derivative_of_the_forecast():
    _, drawn = population(7, 30, 16)
    up, down = ((forecast.weights(drawn, a) * drawn.correct).sum(axis=1).mean() for a in (1 + 1e-5, 1 - 1e-5))
    assert forecast.slope(drawn).total.mean == pytest.approx((up - down) / 2e-5 * 16 / 15, rel=1e-4)


def test_covariances_are_the_usual_ones_of_each_question():
    correct, log_p = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]), np.array([[-1.0, -3.0, -2.0], [0.0, -4.0, 1.0]])
    expected = [np.cov(c, s)[0, 1] for c, s in zip(correct, log_p)]
    assert forecast.covariances(correct, log_p) == pytest.approx(expected) and expected[0] == pytest.approx(0.5)


def test_the_slope_of_answers_against_every_draw():
    """Three answers, one without: the mean over all draws of four samples, weighted by their probability, is the covariance but
    for the series' tail, term by term."""
    f, r = np.array([0.5, 0.3, 0.2]), np.array([1.0, 0.0, 1.0])
    for n in (2, 4):
        draws = np.array(list(itertools.product(range(3), repeat=n)))
        found = forecast._answer_covariances(r[draws], draws)
        mean = np.prod(f[draws], axis=1) @ found
        log_f = {m: -sum(((1 - f) ** k / k for k in range(1, m)), np.zeros(3)) for m in (n, n - 1)}
        assert mean == pytest.approx(f @ (r * log_f[n]) - (f @ r) * (f @ log_f[n - 1]), abs=1e-12)
    rng = np.random.default_rng(0)
    many = rng.choice(3, size=(400, 64), p=f)
    exact = f @ (r * np.log(f)) - (f @ r) * (f @ np.log(f))
    slope = forecast.slope(samples(np.full((400, 64), -1.0), r[many], answer=many), "answer")
    assert slope.total.low < exact < slope.total.high and slope.between_length is None
    silent = np.where(np.arange(64) % 2, many, -1)
    halved = forecast.slope(samples(np.full((400, 64), -1.0), r[many], answer=silent), "answer").total
    assert halved.low < exact < halved.high and forecast._answer_covariances(np.ones((1, 3)), -np.ones((1, 3))) == 0


def point(alpha, value=None, half=0.02, refusal=""):
    estimate = None if value is None else statistics.Interval(value, value - half, value + half)
    return forecast.Point(alpha, estimate, estimate, 9.0, refusal)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ([point(1, 0), point(2, 0.1), point(4, 0.2)], "help, by +20.0 points (+18.0 to +22.0) at α = 4."),
        ([point(2, 0.1), point(4, -0.2)], "help, by +10.0 points (+8.0 to +12.0) at α = 2, and then to hurt, by -20.0"),
        ([point(1.25, -0.05), point(2, -0.04, 0.05)], "hurt, by -5.0 points (-7.0 to -3.0) at α = 1.25."),
        ([point(8, 0.3), point(1.25, 0.1), point(2, refusal="x")], "at α = 1.25. Beyond α = 1.25 these samples"),
        ([point(2, -0.1), point(4, -0.2)], "hurt, by -20.0 points (-22.0 to -18.0) at α = 4."),
        ([point(2, 0.01), point(4, 0.01)], "do nothing that can be told from noise: +1.0 points (-1.0 to +3.0) at α = 4."),
        ([point(2, 0.1), point(4, refusal="x")], "at α = 2. Beyond α = 2 these samples cannot say."),
        ([point(1, 0), point(0.5, refusal="x")], "No forecast"),
    ],
)
def test_verdicts(points, sentence):
    assert sentence in forecast.verdict(points)


def test_from_an_evaluations_table():
    table = pd.DataFrame(
        {
            "problem_id": ["a", "b", "a", "b", "a", "b"],
            "reference_logprob": [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0],
            "correct": [True, False, True, False, False, False],
            "length": [3, 4, 5, 6, 7, 8],
            "vote": ["0.5", "7", "0.5", None, "9", "7"],
            "completion": ["u", "v", "w", "x", "y", "z"],
        }
    )
    found = forecast.from_table(table)
    assert found.log_p.tolist() == [[-1, -3, -5], [-2, -4, -6]] and found.length.tolist() == [[3, 5, 7], [4, 6, 8]]
    first, second = found.answer
    assert first[0] == first[1] != first[2] and second[0] == second[2] and second[1] < 0
    greedy = pd.DataFrame({"completion": ["w", "w"], "reference_logprob": [-3.0, -0.5]})
    assert forecast.from_table(table, greedy).greedy.tolist() == [-np.inf, -0.5]
    with pytest.raises(ValueError, match="same number of samples"):
        forecast.from_table(table.iloc[:5])
