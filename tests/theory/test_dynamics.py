"""Flows against small steps, growth rates against theory, and the trainer's noise against every group that can be drawn."""

import itertools
import math

import numpy as np
import pytest

from lib.rewards import objectives
from lib.theory import distributions, dynamics, sequences
from lib.theory.distributions import Distribution
from tests.theory import chains
from tests.theory.test_distributions import each_objective, example


@each_objective
def test_the_closed_form_flow_is_the_limit_of_small_natural_steps(objective):
    dist, start = example(), distributions.normalise([0.1, -0.4, 0.3, 0.0])
    small = distributions.ascend(objective, dist, start, 4000, 0.0005, natural=True)
    flow = dynamics.natural_flow(objective, dist, start, [0.0, 1.0, 2.0])
    assert flow[0] == pytest.approx(start)
    assert flow[1:] == pytest.approx(small[[2000, 4000]], abs=5e-3)


@each_objective
def test_the_flow_from_the_reference_ends_in_the_optimum(objective):
    dist = example()
    slowness = max(1.0, objective.beta_inv)
    end = dynamics.natural_flow(objective, dist, dist.log_p, [1e4 * slowness])[0]
    assert distributions.total_variation(end, distributions.optimum(objective, dist)) < 1e-9


@each_objective
def test_velocity_is_the_flows_derivative(objective):
    dist, policy = example(), np.array([0.1, 0.2, 0.3, 0.4])
    ahead, behind = (np.exp(dynamics.natural_flow(objective, dist, np.log(policy), [t])[0]) for t in (1e-6, -1e-6))
    found = dynamics.velocity(objective, dist, policy)
    assert found == pytest.approx((ahead - behind) / 2e-6, abs=1e-6)
    assert found.sum() == pytest.approx(0, abs=1e-12)


def test_a_completion_that_the_start_cannot_write_stays_away():
    dist = Distribution.of([0.5, 0.5, 0.0], [0, 1, 1])
    for objective in map(objectives.named, objectives.OBJECTIVES):
        flow = dynamics.natural_flow(objective, dist, dist.log_p, [0.0, 3.0, 1e6])
        assert not np.isnan(flow).any() and (np.exp(flow[:, 2]) == 0).all()


def test_task_keeps_the_odds_of_right_completions_under_the_natural_flow_only():
    """Statement 5 of the design needs this condition: plain softmax gradients make the likelier right one win slowly."""
    dist, task = Distribution.of([0.5, 0.3, 0.2], [0, 1, 1]), objectives.named("task")
    flow = dynamics.natural_flow(task, dist, dist.log_p, [0.0, 5.0, 50.0])
    assert flow[:, 1] - flow[:, 2] == pytest.approx(math.log(1.5))
    plain = distributions.ascend(task, dist, dist.log_p, 20_000, 1.0)
    assert np.exp(plain[-1, 0]) < 1e-3
    assert plain[-1, 1] - plain[-1, 2] > 2


@pytest.mark.parametrize("alpha", [1.1, 1.5, 2.0, 4.0])
def test_rounds_of_sharpening_separate_policies_at_log_alpha(alpha):
    start = distributions.log_of([0.4, 0.3, 0.2, 0.1])
    other = distributions.normalise(start + np.array([0.0, 1e-3, -2e-3, 5e-4]))
    first, second = (dynamics.sharpen_in_rounds(p, alpha, 12) for p in (start, other))
    assert np.exp(first[5]) == pytest.approx(np.exp(distributions.power(start, alpha**5)))
    distances = dynamics.log_odds_distance(second, first)
    assert distances[0] == pytest.approx(3e-3)
    assert dynamics.exponent(np.arange(13), distances) == pytest.approx(math.log(alpha), abs=1e-9)


def test_many_rounds_neither_overflow_nor_break_ties():
    path = dynamics.sharpen_in_rounds(distributions.log_of([0.4, 0.4, 0.2, 0.0]), 4.0, 800)
    assert np.exp(path[-1]) == pytest.approx([0.5, 0.5, 0, 0]) and not np.isnan(path).any()


def test_errors_in_log_odds():
    """Independent: α·ε·√(T1 + T2). Systematic: α·ε·(T1 − T2), which is nothing at all for equal lengths."""
    rng = np.random.default_rng(0)
    spread = dynamics.log_odds_error(rng, 2.0, 0.01, (300, 100), False, 200_000).std()
    assert spread == pytest.approx(2 * 0.01 * 20, rel=0.01)
    assert dynamics.log_odds_error(rng, 2.0, 0.01, (300, 100), True, 3) == pytest.approx(2 * 0.01 * 200)
    assert (dynamics.log_odds_error(rng, 2.0, 0.01, (300, 300), True, 3) == 0).all()


def every_estimate(objective, dist, log_policy, group):
    """The probability and the gradient estimate of every group of completions, and of every toss of its coins."""
    n, scored = len(dist.log_p), distributions.reward(objective, dist, log_policy)
    tosses = [(0.0, 1.0)] if objective.name == "random" else [(0.0,)]
    for drawn in itertools.product(range(n), repeat=group):
        for coins in itertools.product(tosses[0], repeat=group):
            rewards = np.array(coins) if objective.name == "random" else scored[list(drawn)]
            estimate = np.zeros(n)
            for i, y in enumerate(drawn):
                advantage = rewards[i] - (rewards.sum() - rewards[i]) / (group - 1)
                estimate += advantage * (np.eye(n)[y] - np.exp(log_policy)) / group
            yield np.exp(log_policy[list(drawn)]).prod() / len(tosses[0]) ** group, estimate


@each_objective
@pytest.mark.parametrize("group", [2, 3, 4])
def test_rloo_is_unbiased_and_its_variance_exact(objective, group):
    dist = Distribution.of([0.5, 0.3, 0.2], [0, 1, 1], [3, 5, 8], [1, 0, 1])
    log_policy = distributions.normalise([0.2, -0.3, 0.4])
    weights, estimates = map(np.array, zip(*every_estimate(objective, dist, log_policy, group)))
    mean = weights @ estimates
    assert mean == pytest.approx(distributions.gradient(objective, dist, log_policy), abs=1e-12)
    variance = weights @ ((estimates - mean) ** 2).sum(axis=1)
    assert dynamics.rloo_variance(objective, dist, log_policy, group) == pytest.approx(variance, rel=1e-9, abs=1e-15)


@each_objective
def test_the_sampled_run_takes_such_estimates(objective):
    dist = Distribution.of([0.5, 0.3, 0.2], [0, 1, 1], [3, 5, 8], [1, 0, 1])
    moved = np.array([np.diff(dynamics.rloo(objective, dist, dist.log_p, 1, 4, 1.0, seed), axis=0)[0] for seed in range(4000)])
    moved -= moved.mean(axis=1, keepdims=True)  # an estimate sums to 0
    gradient = distributions.gradient(objective, dist, dist.log_p)
    squared = (moved**2).sum(axis=1)
    expected = gradient @ gradient + dynamics.rloo_variance(objective, dist, dist.log_p, 4)
    assert squared.mean() == pytest.approx(expected, abs=5 * squared.std() / 63 + 1e-15)
    assert moved.mean(axis=0) == pytest.approx(gradient, abs=5 * moved.std() / 63 + 1e-12)


def test_a_sampled_run_approaches_the_exact_path():
    dist, objective = example(), objectives.named("tempered", 2)
    exact = distributions.ascend(objective, dist, dist.log_p, 300, 0.05)
    noisy = dynamics.rloo(objective, dist, dist.log_p, 300, 2000, 0.05, seed=3)
    assert distributions.total_variation(noisy, exact).max() < 0.02
    again = dynamics.rloo(objective, dist, dist.log_p, 300, 2000, 0.05, seed=3)
    assert (again == noisy).all()


def test_distances_where_a_probability_is_0():
    p, q = distributions.log_of([0.5, 0.3, 0.2]), distributions.log_of([0.5, 0.5, 0.0])
    assert dynamics.log_odds_distance(p, q) == np.inf
    assert dynamics.log_odds_distance(q, distributions.log_of([0.8, 0.2, 0.0])) == pytest.approx(math.log(4))
    path = dynamics.sharpen_in_rounds(p, 4.0, 600)
    assert dynamics.log_odds_distance(path, path).tolist() == [0] * 601


def test_a_start_outside_of_the_reference_is_refused():
    dist = Distribution.of([0.5, 0.5, 0.0], [0, 1, 1])
    with pytest.raises(ValueError, match="start from the reference"):
        dynamics.rloo(objectives.named("tempered"), dist, distributions.log_of([1 / 3] * 3), 1, 4, 1.0)


def test_one_completion_a_step_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        dynamics.rloo(objectives.named("task"), example(), example().log_p, 1, 1, 1.0)


def test_a_sequence_models_estimate_by_hand():
    """One group of three completions: advantages by leave-one-out, scores by finite differences of log p."""
    base = sequences.markov([0.5, 0.2, 0.3], [[0.1, 0.6, 0.3], [0.4, 0.3, 0.3]])
    samples = sequences.Sharpened(base, 1, 4).sample(3, seed=5)
    rewards = np.array([1.0, 5.0, -3.0])

    def log_p(logits, i):
        changed = sequences.SequenceModel(distributions.normalise(logits), base.following, base.start, base.reward)
        return chains.log_prob(changed, samples.tokens[i, : samples.length[i]])

    expected = np.zeros((3, 3))
    for place in itertools.product(range(3), repeat=2):
        step = np.zeros((3, 3))
        step[place] = 1e-6
        for i, advantage in enumerate(rewards - (rewards.sum() - rewards) / 2):
            slope = (log_p(base.log_step + step, i) - log_p(base.log_step - step, i)) / 2e-6
            expected[place] += advantage * slope / 3
    assert len(set(samples.length)) > 1
    assert dynamics.sequence_rloo(base, samples, rewards, 3)[0] == pytest.approx(expected, abs=1e-7)


def test_a_sequence_models_estimates_are_unbiased():
    base = sequences.markov([0.5, 0.2, 0.3], [[0.1, 0.6, 0.3], [0.4, 0.3, 0.3]])
    samples = sequences.Sharpened(base, 1, 4).sample(40_000, seed=1)
    found = list(sequences.completions(base, 4))

    def mean_length(logits):
        changed = sequences.SequenceModel(distributions.normalise(logits), base.following, base.start, base.reward)
        return sum(len(c.tokens) * math.exp(chains.log_prob(changed, c.tokens)) for c in found)

    estimates = dynamics.sequence_rloo(base, samples, samples.length, 4)
    error = estimates.std(axis=0) / math.sqrt(len(estimates))
    for place in itertools.product(range(3), repeat=2):
        step = np.zeros((3, 3))
        step[place] = 1e-6
        slope = (mean_length(base.log_step + step) - mean_length(base.log_step - step)) / 2e-6
        assert abs(estimates.mean(axis=0)[place] - slope) < 5 * error[place]


def test_the_exact_gradient_of_a_sequence_model_is_what_its_estimates_average():
    """Against finite differences, with a reward per token, one at the end, and completions that end or are cut off."""
    base = sequences.markov([0.5, 0.2, 0.3], [[0.1, 0.6, 0.3], [0.4, 0.3, 0.3]])
    rng = np.random.default_rng(0)
    per_token, at_end = rng.normal(size=(3, 3)), rng.normal(size=3)
    found = dynamics.sequence_gradient(base, 4, per_token, at_end)

    def earned(tokens):
        state, total = base.start, 0.0
        for token in tokens:
            total += per_token[state, token]
            state = state if token == base.eos else int(base.following[state, token])
        return total + (at_end[state] if base.eos not in tokens else 0.0)

    listed = list(sequences.completions(base, 4))

    def mean(logits):
        changed = sequences.SequenceModel(distributions.normalise(logits), base.following, base.start, base.reward)
        return sum(earned(c.tokens) * math.exp(chains.log_prob(changed, c.tokens)) for c in listed)

    for place in itertools.product(range(3), repeat=2):
        step = np.zeros((3, 3))
        step[place] = 1e-6
        slope = (mean(base.log_step + step) - mean(base.log_step - step)) / 2e-6
        assert found[place] == pytest.approx(slope, abs=1e-7)
    endless = sequences.markov([0.5, 0.5, 0.0], [[0.1, 0.9, 0.0], [0.4, 0.6, 0.0]])
    assert np.isfinite(dynamics.sequence_gradient(endless, 1000, endless.log_step)).all()
