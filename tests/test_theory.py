"""Enumerated distributions against hand-summed examples, finite differences and, by hypothesis, their own definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import dynamics, regimes, theory
from lib.regimes import Regime

REGIMES = [
    regimes.named("task"),
    regimes.named("sharpen", alpha=2),
    regimes.named("sharpen", normalization="mean"),
    regimes.named("tempered", alpha=4),
    regimes.named("tempered", alpha=0.5),
    regimes.named("tempered", alpha=3, normalization="weighted_mean", weight=0.5),
    regimes.named("tilted", alpha=2, beta_inv=3),
    regimes.named("tilted", alpha=2, beta_inv=100, normalization="mean"),
    regimes.named("task+likelihood", alpha=1, beta_inv=5),
    regimes.named("coin"),
    regimes.named("format"),
]
each_regime = pytest.mark.parametrize("regime", REGIMES, ids=lambda r: f"{r.name}-{r.alpha:g}-{r.normalization}")


@st.composite
def toys(draw, least: int = 2) -> theory.Enumerated:
    """Distributions over up to 12 completions, from even to hundreds of orders of magnitude apart; zeros and ties."""
    n = draw(st.integers(least, 12))
    spread = draw(st.sampled_from([0.0, 1.0, 30.0, 600.0]))
    energy = spread * np.array(draw(st.lists(st.floats(-1, 0), min_size=n, max_size=n)))
    dead = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    dead[0] = False
    p = np.where(dead, 0.0, np.exp(energy - energy[~dead].max()))
    bits = st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n)
    lengths = st.lists(st.integers(1, 50), min_size=n, max_size=n)
    return theory.enumerated(p / p.sum(), draw(bits), draw(lengths), draw(bits))


alphas = st.floats(0, 1e4)


def example() -> theory.Enumerated:
    return theory.enumerated([0.4, 0.3, 0.2, 0.1], [0, 1, 1, 0], [3, 5, 8, 2], [1, 1, 0, 1])


def test_by_hand():
    toy = example()
    assert np.exp(theory.power(toy.log_p, 2)) == pytest.approx(np.array([16, 9, 4, 1]) / 30)
    tilted = np.array([16, 9 * math.e**3, 4 * math.e**3, 1])
    assert np.exp(theory.tilt(toy.log_p, toy.reward, 2, 3)) == pytest.approx(tilted / tilted.sum())
    assert theory.expected(toy.log_p, toy.reward) == pytest.approx(0.5)
    assert theory.kl(theory.mode(toy.log_p), toy.log_p) == pytest.approx(-math.log(0.4))
    assert theory.kl(toy.log_p, theory.mode(toy.log_p)) == math.inf
    assert theory.effective_number(theory.log_of([0.25] * 4 + [0.0])) == pytest.approx(4)
    assert theory.total_variation(toy.log_p, theory.log_of([0.1, 0.2, 0.3, 0.4])) == pytest.approx(0.4)
    # Cov(r, log p) = ½ (mean log p of the right − mean log p of the wrong) here, since half of the mass is right
    right, wrong = 0.6 * math.log(0.3) + 0.4 * math.log(0.2), 0.8 * math.log(0.4) + 0.2 * math.log(0.1)
    assert theory.accuracy_slopes(toy, 1) == pytest.approx((0.25 * (right - wrong), 0.25))


def test_ninety_percent_right_sharpens_to_nothing_but_its_answers_to_everything():
    """Statement 2 of the design: many right wordings, one wrong string."""
    toy = theory.enumerated([0.009] * 100 + [0.1], [1] * 100 + [0])
    answers = ["right"] * 100 + ["wrong"]
    assert theory.expected(toy.log_p, toy.reward) == pytest.approx(0.9)
    assert theory.expected(theory.power(toy.log_p, 2), toy.reward) == pytest.approx(0.0081 / 0.0181)
    assert theory.expected(theory.mode(toy.log_p), toy.reward) == 0
    assert theory.expected(theory.sharpen_answers(toy.log_p, answers, 2), toy.reward) == pytest.approx(0.81 / 0.82)
    assert theory.answer_marginal(toy.log_p, answers)["right"] == pytest.approx(math.log(0.9))


@given(toys(), alphas)
def test_no_warning_and_no_nan_at_any_alpha(toy, alpha):
    with np.errstate(all="raise", under="ignore"):
        log_q = theory.tilt(toy.log_p, toy.reward, alpha, 100.0)
        numbers = [theory.kl(log_q, toy.log_p), theory.entropy(log_q), theory.effective_number(log_q)]
        numbers += [*theory.accuracy_slopes(toy, alpha, 100.0), theory.expected(log_q, toy.reward)]
    assert np.isfinite(numbers).all() and not np.isnan(log_q).any()
    assert np.exp(log_q).sum() == pytest.approx(1)
    assert (np.exp(log_q)[np.isneginf(toy.log_p)] == 0).all()


@given(toys())
def test_limits_of_the_power(toy):
    assert theory.power(toy.log_p, 1) == pytest.approx(toy.log_p, abs=1e-9)
    assert theory.tilt(toy.log_p, toy.reward, 3, 0) == pytest.approx(theory.power(toy.log_p, 3))
    support = np.isfinite(toy.log_p)
    assert np.exp(theory.power(toy.log_p, 0)) == pytest.approx(support / support.sum())
    top = toy.log_p.max()
    far_behind = support & (toy.log_p < top - 0.01)  # at α = 10^4 that is 100 nats
    if (far_behind | (toy.log_p >= top - theory.TIE) | ~support).all():
        assert np.exp(theory.power(toy.log_p, 1e4)) == pytest.approx(np.exp(theory.mode(toy.log_p)), abs=1e-4)


@given(toys(), alphas, st.sampled_from([1e6, 1e12, 1e16, 1e300]))
def test_a_huge_task_reward_weight(toy, alpha, beta_inv):
    """Found by review: the sum of the weights was lost next to β⁻¹·r, and what came out did not sum to 1."""
    log_q = theory.tilt(toy.log_p, toy.reward, alpha, beta_inv)
    assert np.exp(log_q).sum() == pytest.approx(1)
    best = np.where(toy.reward == toy.reward[np.isfinite(toy.log_p)].max(), toy.log_p, -np.inf)
    assert np.exp(log_q) == pytest.approx(np.exp(theory.power(best, alpha)), abs=1e-6)


def test_ties_are_shared():
    log_p = theory.log_of([0.3, 0.1, 0.3, 0.3])
    assert np.exp(theory.mode(log_p)) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert np.exp(theory.power(log_p, 1e4)) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    # the same product in another order differs in its last bit; it is a tie all the same
    assert np.isfinite(theory.mode(np.log([0.1 + 0.2, 0.3]) - 0.5)).all()


def test_tiny_probabilities():
    log_p = theory.log_of([1.0 - 1e-15, 1e-300, 0.0])
    assert theory.power(log_p, 0.5)[1] == pytest.approx(-150 * math.log(10), rel=1e-12)
    assert theory.power(log_p, 1e4)[1] == pytest.approx(-3e6 * math.log(10), rel=1e-12)
    assert theory.tilt(log_p, [0, 1, 1], 1, 1000)[1] == pytest.approx(0, abs=1e-100)


@given(toys(), st.floats(0.1, 20), st.floats(0, 20))
def test_derivatives_match_finite_differences(toy, alpha, beta_inv):
    def accuracy(a, b):
        return float(theory.expected(theory.tilt(toy.log_p, toy.reward, a, b), toy.reward))

    finite = toy.log_p[np.isfinite(toy.log_p)]
    h = 1e-4 / max(1.0, np.ptp(finite))  # a step that changes log-odds by at most 1e-4 nats
    by_alpha = (accuracy(alpha + h, beta_inv) - accuracy(alpha - h, beta_inv)) / (2 * h)
    by_beta = (accuracy(alpha, beta_inv + 1e-4) - accuracy(alpha, beta_inv - 1e-4)) / 2e-4
    slopes = theory.accuracy_slopes(toy, alpha, beta_inv)
    assert slopes[0] == pytest.approx(by_alpha, rel=1e-5, abs=1e-8 * max(1.0, np.ptp(finite)))
    assert slopes[1] == pytest.approx(by_beta, rel=1e-5, abs=1e-8)
    assert slopes[1] >= 0


@each_regime
def test_the_gradient_matches_finite_differences_of_the_objective(regime):
    toy, logits = example(), np.array([0.3, -0.2, 0.5, 0.1])
    found = theory.gradient(regime, toy, theory.normalise(logits))
    for i, step in enumerate(1e-6 * np.eye(4)):
        up, down = (theory.objective(regime, toy, theory.normalise(logits + sign * step)) for sign in (1, -1))
        assert found[i] == pytest.approx((up - down) / 2e-6, abs=1e-8)


@each_regime
@settings(max_examples=30)
@given(toy=toys(), direction=st.integers(0, 2**32), size=st.floats(1e-3, 3))
def test_the_optimum_beats_any_perturbation_of_itself(regime, toy, direction, size):
    best = theory.optimum(regime, toy)
    noise = size * np.random.default_rng(direction).normal(size=len(best))
    for other in (theory.normalise(best + noise), theory.normalise(toy.log_p + noise), toy.log_p):
        better, worse = theory.objective(regime, toy, best), theory.objective(regime, toy, other)
        assert better >= worse - 1e-9 * max(1.0, abs(better))


def test_the_distance_to_the_optima():
    toy, even = example(), theory.log_of([0.25] * 4)
    assert theory.distance_to_optima(regimes.named("task"), toy, even) == pytest.approx(0.5)
    assert theory.distance_to_optima(regimes.named("sharpen"), toy, [toy.log_p, even]) == pytest.approx([0.6, 0.75])
    assert theory.distance_to_optima(regimes.named("coin"), toy, even) == 0
    squares = np.array([16, 9, 4, 1]) / 30
    away = np.abs(squares - 0.25).sum() / 2
    assert theory.distance_to_optima(regimes.named("tempered", 2), toy, even) == pytest.approx(away)


@pytest.mark.parametrize("beta_inv", [1e-9, 1.0, 1e9, 1e12, 1e17])
def test_optima_at_any_weight(beta_inv):
    toy = example()
    tilted = theory.optimum(regimes.named("tilted", 2, beta_inv), toy)
    assert np.exp(tilted) == pytest.approx(np.exp(theory.tilt(toy.log_p, toy.reward, 2, beta_inv)))
    likeliest = np.exp(theory.optimum(regimes.named("task+likelihood", 1, beta_inv), toy))
    assert likeliest == pytest.approx([0, 1, 0, 0] if beta_inv >= 1 else [1, 0, 0, 0])
    assert np.exp(theory.optimum(regimes.named("sharpen", 1 / beta_inv), toy)) == pytest.approx([1, 0, 0, 0])


def test_natural_ascent_reaches_what_is_all_but_impossible():
    toy = theory.Enumerated(theory.normalise([0.0, -800.0]), np.array([0.0, 1.0]), np.ones(2), np.ones(2))
    path = theory.ascend(regimes.named("task"), toy, toy.log_p, 900, 1.0, natural=True)
    flow = dynamics.natural_flow(regimes.named("task"), toy, toy.log_p, [900.0])
    assert path[-1] == pytest.approx(flow[0])


def test_closed_forms_by_name():
    toy = example()
    optimum = {r.name: np.exp(theory.optimum(r, toy)) for r in map(regimes.named, regimes.NAMES)}
    assert optimum["task"] == pytest.approx([0, 0.6, 0.4, 0])  # p on the right completions
    assert optimum["sharpen"] == pytest.approx([1, 0, 0, 0])
    assert optimum["tempered"] == pytest.approx(np.exp(theory.power(toy.log_p, 4)))
    assert optimum["tilted"] == pytest.approx(np.exp(theory.tilt(toy.log_p, toy.reward, 2, 100)))
    assert optimum["task+likelihood"] == pytest.approx([0, 1, 0, 0])  # the likeliest right one
    assert optimum["coin"] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert optimum["format"] == pytest.approx(np.array([0.4, 0.3, 0, 0.1]) / 0.8)


@pytest.mark.parametrize("natural", [True, False])
@pytest.mark.parametrize("name", ["tempered", "tilted"])
def test_ascent_lands_on_the_closed_form(name, natural):
    toy, regime = example(), regimes.named(name, 2, 3 if name == "tilted" else None)
    path = theory.ascend(regime, toy, toy.log_p, *((500, 0.5) if natural else (12_000, 3.0)), natural)
    assert theory.total_variation(path[-1], theory.optimum(regime, toy)) < 1e-9
    values = [theory.objective(regime, toy, log_policy) for log_policy in path[:200]]
    assert (np.diff(values) > -1e-12).all()


def test_a_policy_outside_the_reference():
    toy = theory.enumerated([0.5, 0.5, 0.0], [0, 1, 1])
    even = theory.log_of([1 / 3] * 3)
    assert theory.objective(regimes.named("task"), toy, even) == pytest.approx(2 / 3)
    assert theory.objective(regimes.named("tempered", 2), toy, even) == -math.inf
    with pytest.raises(ValueError, match="start from the reference"):
        theory.gradient(regimes.named("sharpen"), toy, even)
    assert all(np.exp(theory.optimum(regime, toy))[2] == 0 for regime in REGIMES)


@pytest.mark.parametrize(
    "arguments",
    [([0.5, 0.6], 1), ([1.2, -0.2], 1), ([float("nan"), 1], 1), ([[1.0]], 1), ([0.5, 0.5], np.nan), ([1.0], 1, 0)],
)
def test_what_is_no_distribution_is_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        theory.enumerated(*arguments)


def test_weights_that_are_no_distribution_are_refused():
    for weights in ([-np.inf, -np.inf], [0.0, np.nan], [0.0, np.inf]):
        for function in (theory.normalise, theory.mode):
            with pytest.raises(ValueError, match="no distribution"):
                function(weights)
    for alpha, beta_inv in ((np.inf, 0), (1, np.nan)):
        with pytest.raises(ValueError, match="finite numbers"):
            theory.tilt([0.0], [1], alpha, beta_inv)


def test_what_underflows_still_counts():
    assert theory.kl([0.0, -2000.0], [0.0, -np.inf]) == math.inf


def test_the_regimes_reward_code_is_what_is_used(monkeypatch):
    """The theory must not carry a second copy of the reward: a change of `lib.regimes` shows here."""
    monkeypatch.setattr(Regime, "reward", lambda self, signals: signals.length * 1.0)
    assert theory.objective(regimes.named("task"), example(), theory.log_of([0.25] * 4)) == pytest.approx(4.5)
