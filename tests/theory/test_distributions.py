"""Listed distributions against hand-summed examples, finite differences and, by hypothesis, their own definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.rewards import objectives
from lib.rewards.objectives import Objective
from lib.theory import distributions, dynamics
from lib.theory.distributions import Distribution

OBJECTIVES = [
    objectives.named("task"),
    objectives.named("sharpen", alpha=2),
    objectives.named("sharpen", normalization="mean"),
    objectives.named("tempered", alpha=4),
    objectives.named("tempered", alpha=0.5),
    objectives.named("tempered", alpha=3, normalization="weighted_mean", length_exponent=0.5),
    objectives.named("tilted", alpha=2, beta_inv=3),
    objectives.named("tilted", alpha=2, beta_inv=100, normalization="mean"),
    objectives.named("task+likelihood", alpha=1, beta_inv=5),
    objectives.named("random"),
    objectives.named("format"),
]
each_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda r: f"{r.name}-{r.alpha:g}-{r.normalization}")


@st.composite
def drawn_distributions(draw, least: int = 2) -> Distribution:
    """Distributions over up to 12 completions, from even to hundreds of orders of magnitude apart; zeros and ties."""
    n = draw(st.integers(least, 12))
    spread = draw(st.sampled_from([0.0, 1.0, 30.0, 600.0]))
    energy = spread * np.array(draw(st.lists(st.floats(-1, 0), min_size=n, max_size=n)))
    dead = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    dead[0] = False
    p = np.where(dead, 0.0, np.exp(energy - energy[~dead].max()))
    bits = st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n)
    lengths = st.lists(st.integers(1, 50), min_size=n, max_size=n)
    return Distribution.of(p / p.sum(), draw(bits), draw(lengths), draw(bits))


alphas = st.floats(0, 1e4)


def value(objective: Objective, dist: Distribution, log_policy) -> float:
    """J(π) = E_π[R], which the objective maximises; R contains −S_π where the objective has a KL term."""
    return float(distributions.expected(log_policy, distributions.reward(objective, dist, log_policy)))


def example() -> Distribution:
    return Distribution.of([0.4, 0.3, 0.2, 0.1], [0, 1, 1, 0], [3, 5, 8, 2], [1, 1, 0, 1])


def test_by_hand():
    dist = example()
    assert np.exp(distributions.power(dist.log_p, 2)) == pytest.approx(np.array([16, 9, 4, 1]) / 30)
    tilted = np.array([16, 9 * math.e**3, 4 * math.e**3, 1])
    assert np.exp(distributions.tilt(dist.log_p, dist.reward, 2, 3)) == pytest.approx(tilted / tilted.sum())
    assert distributions.expected(dist.log_p, dist.reward) == pytest.approx(0.5)
    assert distributions.kl(distributions.mode(dist.log_p), dist.log_p) == pytest.approx(-math.log(0.4))
    assert distributions.kl(dist.log_p, distributions.mode(dist.log_p)) == math.inf
    assert distributions.effective_number(distributions.log_of([0.25] * 4 + [0.0])) == pytest.approx(4)
    assert distributions.total_variation(dist.log_p, distributions.log_of([0.1, 0.2, 0.3, 0.4])) == pytest.approx(0.4)
    # Cov(r, log p) = ½ (mean log p of the right − mean log p of the wrong) here, since half of the mass is right
    right, wrong = 0.6 * math.log(0.3) + 0.4 * math.log(0.2), 0.8 * math.log(0.4) + 0.2 * math.log(0.1)
    assert distributions.accuracy_slopes(dist, 1) == pytest.approx((0.25 * (right - wrong), 0.25))


def test_ninety_percent_right_sharpens_to_nothing_but_its_answers_to_everything():
    """Statement 2 of the design: many right wordings, one wrong string."""
    dist = Distribution.of([0.009] * 100 + [0.1], [1] * 100 + [0])
    answers = ["right"] * 100 + ["wrong"]
    assert distributions.expected(dist.log_p, dist.reward) == pytest.approx(0.9)
    assert distributions.expected(distributions.power(dist.log_p, 2), dist.reward) == pytest.approx(0.0081 / 0.0181)
    assert distributions.expected(distributions.mode(dist.log_p), dist.reward) == 0
    assert distributions.expected(distributions.sharpen_answers(dist.log_p, answers, 2), dist.reward) == pytest.approx(0.81 / 0.82)
    assert distributions.answer_marginal(dist.log_p, answers)["right"] == pytest.approx(math.log(0.9))


@given(drawn_distributions(), alphas)
def test_no_warning_and_no_nan_at_any_alpha(dist, alpha):
    with np.errstate(all="raise", under="ignore"):
        log_q = distributions.tilt(dist.log_p, dist.reward, alpha, 100.0)
        numbers = [distributions.kl(log_q, dist.log_p), distributions.entropy(log_q), distributions.effective_number(log_q)]
        numbers += [*distributions.accuracy_slopes(dist, alpha, 100.0), distributions.expected(log_q, dist.reward)]
    assert np.isfinite(numbers).all() and not np.isnan(log_q).any()
    assert np.exp(log_q).sum() == pytest.approx(1)
    assert (np.exp(log_q)[np.isneginf(dist.log_p)] == 0).all()


@given(drawn_distributions())
def test_limits_of_the_power(dist):
    assert distributions.power(dist.log_p, 1) == pytest.approx(dist.log_p, abs=1e-9)
    assert distributions.tilt(dist.log_p, dist.reward, 3, 0) == pytest.approx(distributions.power(dist.log_p, 3))
    support = np.isfinite(dist.log_p)
    assert np.exp(distributions.power(dist.log_p, 0)) == pytest.approx(support / support.sum())
    top = dist.log_p.max()
    far_behind = support & (dist.log_p < top - 0.01)  # at α = 10^4 that is 100 nats
    if (far_behind | (dist.log_p >= top - distributions.TIE) | ~support).all():
        assert np.exp(distributions.power(dist.log_p, 1e4)) == pytest.approx(np.exp(distributions.mode(dist.log_p)), abs=1e-4)


@given(drawn_distributions(), alphas, st.sampled_from([1e6, 1e12, 1e16, 1e300]))
def test_a_huge_task_reward_weight(dist, alpha, beta_inv):
    """Found by review: the sum of the weights was lost next to β⁻¹·r, and what came out did not sum to 1."""
    log_q = distributions.tilt(dist.log_p, dist.reward, alpha, beta_inv)
    assert np.exp(log_q).sum() == pytest.approx(1)
    possible = np.isfinite(dist.log_p)
    best = np.where(dist.reward == dist.reward[possible].max(), dist.log_p, -np.inf)
    if beta_inv > alpha * np.ptp(dist.log_p[possible]) + 20:  # nats: the reward outweighs all that log p can say
        assert np.exp(log_q) == pytest.approx(np.exp(distributions.power(best, alpha)), abs=1e-6)


def test_ties_are_shared():
    log_p = distributions.log_of([0.3, 0.1, 0.3, 0.3])
    assert np.exp(distributions.mode(log_p)) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert np.exp(distributions.power(log_p, 1e4)) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    # the same product in another order differs in its last bit; it is a tie all the same
    assert np.isfinite(distributions.mode(np.log([0.1 + 0.2, 0.3]) - 0.5)).all()


def test_tiny_probabilities():
    log_p = distributions.log_of([1.0 - 1e-15, 1e-300, 0.0])
    assert distributions.power(log_p, 0.5)[1] == pytest.approx(-150 * math.log(10), rel=1e-12)
    assert distributions.power(log_p, 1e4)[1] == pytest.approx(-3e6 * math.log(10), rel=1e-12)
    assert distributions.tilt(log_p, [0, 1, 1], 1, 1000)[1] == pytest.approx(0, abs=1e-100)


@given(drawn_distributions(), st.floats(0.1, 20), st.floats(0, 20))
def test_derivatives_match_finite_differences(dist, alpha, beta_inv):
    def accuracy(a, b):
        return float(distributions.expected(distributions.tilt(dist.log_p, dist.reward, a, b), dist.reward))

    finite = dist.log_p[np.isfinite(dist.log_p)]
    h = 1e-4 / max(1.0, np.ptp(finite))  # a step that changes log-odds by at most 1e-4 nats
    by_alpha = (accuracy(alpha + h, beta_inv) - accuracy(alpha - h, beta_inv)) / (2 * h)
    by_beta = (accuracy(alpha, beta_inv + 1e-4) - accuracy(alpha, beta_inv - 1e-4)) / 2e-4
    slopes = distributions.accuracy_slopes(dist, alpha, beta_inv)
    assert slopes[0] == pytest.approx(by_alpha, rel=1e-5, abs=1e-8 * max(1.0, np.ptp(finite)))
    assert slopes[1] == pytest.approx(by_beta, rel=1e-5, abs=1e-8)
    assert slopes[1] >= 0


@each_objective
def test_the_gradient_matches_finite_differences_of_the_objective(objective):
    dist, logits = example(), np.array([0.3, -0.2, 0.5, 0.1])
    found = distributions.gradient(objective, dist, distributions.normalise(logits))
    for i, step in enumerate(1e-6 * np.eye(4)):
        up, down = (value(objective, dist, distributions.normalise(logits + sign * step)) for sign in (1, -1))
        assert found[i] == pytest.approx((up - down) / 2e-6, abs=1e-8)


@each_objective
@settings(max_examples=30)
@given(dist=drawn_distributions(), direction=st.integers(0, 2**32), size=st.floats(1e-3, 3))
def test_the_optimum_beats_any_perturbation_of_itself(objective, dist, direction, size):
    best = distributions.optimum(objective, dist)
    noise = size * np.random.default_rng(direction).normal(size=len(best))
    for other in (distributions.normalise(best + noise), distributions.normalise(dist.log_p + noise), dist.log_p):
        better, worse = value(objective, dist, best), value(objective, dist, other)
        assert better >= worse - 1e-9 * max(1.0, abs(better))


def test_the_distance_to_the_optima():
    dist, even = example(), distributions.log_of([0.25] * 4)
    assert distributions.distance_to_optima(objectives.named("task"), dist, even) == pytest.approx(0.5)
    assert distributions.distance_to_optima(objectives.named("sharpen"), dist, [dist.log_p, even]) == pytest.approx([0.6, 0.75])
    assert distributions.distance_to_optima(objectives.named("random"), dist, even) == 0
    squares = np.array([16, 9, 4, 1]) / 30
    away = np.abs(squares - 0.25).sum() / 2
    assert distributions.distance_to_optima(objectives.named("tempered", 2), dist, even) == pytest.approx(away)


@pytest.mark.parametrize("beta_inv", [1e-9, 1.0, 1e9, 1e12, 1e17])
def test_optima_at_any_weight(beta_inv):
    dist = example()
    tilted = distributions.optimum(objectives.named("tilted", 2, beta_inv), dist)
    assert np.exp(tilted) == pytest.approx(np.exp(distributions.tilt(dist.log_p, dist.reward, 2, beta_inv)))
    likeliest = np.exp(distributions.optimum(objectives.named("task+likelihood", 1, beta_inv), dist))
    assert likeliest == pytest.approx([0, 1, 0, 0] if beta_inv >= 1 else [1, 0, 0, 0])
    assert np.exp(distributions.optimum(objectives.named("sharpen", 1 / beta_inv), dist)) == pytest.approx([1, 0, 0, 0])


def test_natural_ascent_reaches_what_is_all_but_impossible():
    dist = Distribution(distributions.normalise([0.0, -800.0]), np.array([0.0, 1.0]), np.ones(2), np.ones(2))
    path = distributions.ascend(objectives.named("task"), dist, dist.log_p, 900, 1.0, natural=True)
    flow = dynamics.natural_flow(objectives.named("task"), dist, dist.log_p, [900.0])
    assert path[-1] == pytest.approx(flow[0])


def test_closed_forms_by_name():
    dist = example()
    optimum = {name: np.exp(distributions.optimum(objectives.named(name), dist)) for name in objectives.OBJECTIVES}
    assert optimum["task"] == pytest.approx([0, 0.6, 0.4, 0])  # p on the right completions
    assert optimum["sharpen"] == pytest.approx([1, 0, 0, 0])
    assert optimum["tempered"] == pytest.approx(np.exp(distributions.power(dist.log_p, 4)))
    assert optimum["tilted"] == pytest.approx(np.exp(distributions.tilt(dist.log_p, dist.reward, 2, 100)))
    assert optimum["task+likelihood"] == pytest.approx([0, 1, 0, 0])  # the likeliest right one
    assert optimum["random"] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert optimum["format"] == pytest.approx(np.array([0.4, 0.3, 0, 0.1]) / 0.8)


@pytest.mark.parametrize("natural", [True, False])
@pytest.mark.parametrize("name", ["tempered", "tilted"])
def test_ascent_lands_on_the_closed_form(name, natural):
    dist, objective = example(), objectives.named(name, 2, 3 if name == "tilted" else None)
    path = distributions.ascend(objective, dist, dist.log_p, *((500, 0.5) if natural else (12_000, 3.0)), natural)
    assert distributions.total_variation(path[-1], distributions.optimum(objective, dist)) < 1e-9
    values = [value(objective, dist, log_policy) for log_policy in path[:200]]
    assert (np.diff(values) > -1e-12).all()


def test_a_policy_outside_the_reference():
    dist = Distribution.of([0.5, 0.5, 0.0], [0, 1, 1])
    even = distributions.log_of([1 / 3] * 3)
    assert value(objectives.named("task"), dist, even) == pytest.approx(2 / 3)
    assert value(objectives.named("tempered", 2), dist, even) == -math.inf
    with pytest.raises(ValueError, match="start from the reference"):
        distributions.gradient(objectives.named("sharpen"), dist, even)
    assert all(np.exp(distributions.optimum(objective, dist))[2] == 0 for objective in OBJECTIVES)


@pytest.mark.parametrize(
    "arguments", [([0.5, 0.6], 1), ([1.2, -0.2], 1), ([float("nan"), 1], 1), ([[1.0]], 1), ([0.5, 0.5], np.nan), ([1.0], 1, 0)]
)
def test_what_is_no_distribution_is_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        Distribution.of(*arguments)


def test_weights_that_are_no_distribution_are_refused():
    for weights in ([-np.inf, -np.inf], [0.0, np.nan], [0.0, np.inf]):
        for function in (distributions.normalise, distributions.mode):
            with pytest.raises(ValueError, match="no distribution"):
                function(weights)
    for alpha, beta_inv in ((np.inf, 0), (1, np.nan)):
        with pytest.raises(ValueError, match="finite numbers"):
            distributions.tilt([0.0], [1], alpha, beta_inv)


def test_weights_that_are_all_zero_sum_to_nothing():
    with np.errstate(all="raise"):
        assert distributions.log_partition([[-np.inf, -np.inf], [0.0, -np.inf]]).tolist() == [-np.inf, 0.0]


def test_what_underflows_still_counts():
    assert distributions.kl([0.0, -2000.0], [0.0, -np.inf]) == math.inf


def test_the_objectives_reward_code_is_what_is_used(monkeypatch):
    """The theory must not carry a second copy of the reward: a change of `lib.rewards.objectives` shows here."""
    monkeypatch.setattr(Objective, "reward", lambda self, inputs: inputs.length * 1.0)
    assert value(objectives.named("task"), example(), distributions.log_of([0.25] * 4)) == pytest.approx(4.5)
