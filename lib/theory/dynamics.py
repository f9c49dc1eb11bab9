"""Paths through the simplex: the flow of every objective, sharpening in rounds, growth of differences, and a trainer's noise.

Time has no unit: rate × steps of a gradient method. `log π` rows are log-probabilities in nats over the N completions of a
`Distribution`. Optima and gradients are `lib.theory.distributions`."""

import numpy as np
from numpy.typing import ArrayLike

from lib.rewards import objectives
from lib.rewards.objectives import Objective, RewardInputs
from lib.theory import distributions
from lib.theory.distributions import Distribution
from lib.theory.sequences import Samples, SequenceModel


def natural_flow(objective: Objective, dist: Distribution, log_start: ArrayLike, times: ArrayLike) -> np.ndarray:
    """log π_t of d/dt log π = R − E_π[R], the natural-gradient (replicator) flow, at each of `times`, [len(times), N]. In closed
    form. With R = a − c·log π: log π_t = e^{−ct}·log π_0 + (1 − e^{−ct})/c·a, normalised, and for c = 0 simply log π_0 + t·a.
    Completions that the start cannot write stay at 0."""
    task, likelihood, c, _ = distributions.pull(objective, dist)
    a = task + likelihood
    times = np.asarray(times, dtype=float)[:, None]
    kept, gained = np.exp(-c * times), -np.expm1(-c * times) / c if c > 0 else times
    possible = np.isfinite(log_start) & np.isfinite(a)
    start, a = np.where(possible, log_start, 0.0), np.where(possible, a, 0.0)
    return distributions.normalise(np.where(possible, kept * start + gained * a, -np.inf))


def velocity(objective: Objective, dist: Distribution, policy: ArrayLike) -> np.ndarray:
    """dπ/dt of the natural-gradient flow at a point of the simplex, [N]: π·(R − E_π[R]); it sums to 0."""
    return distributions.gradient(objective, dist, distributions.log_of(policy))


def sharpen_in_rounds(log_p: ArrayLike, alpha: float, rounds: int) -> np.ndarray:
    """π_{t+1} ∝ π_t^α from π_0 = p, [rounds + 1, N]: each round's optimum is the next round's reference. π_t ∝ p^(α^t)."""
    path = [distributions.normalise(log_p)]
    for _ in range(rounds):
        path.append(distributions.power(path[-1], alpha))
    return np.array(path)


def log_odds_distance(log_q: ArrayLike, log_p: ArrayLike) -> np.ndarray:
    """The largest difference between two policies in the log-odds of any pair of completions, in nats, [..., N] to [...]. Hilbert's
    projective distance: the range of log q − log p, over what both can write; inf if not all that one can."""
    log_q, log_p = np.broadcast_arrays(np.asarray(log_q, dtype=float), np.asarray(log_p, dtype=float))
    both, one = np.isfinite(log_q) & np.isfinite(log_p), np.isfinite(log_q) ^ np.isfinite(log_p)
    ratio = np.subtract(log_q, log_p, out=np.zeros(log_q.shape), where=both)
    high, low = (np.where(both, ratio, empty) for empty in (-np.inf, np.inf))
    return np.where(one.any(axis=-1), np.inf, high.max(axis=-1) - low.min(axis=-1))


def exponent(times: ArrayLike, distances: ArrayLike) -> float:
    """λ of the least-squares fit distances ∝ e^{λ·times}: for a map, its Lyapunov exponent in nats per round."""
    return float(np.polyfit(np.asarray(times, dtype=float), np.log(distances), 1)[0])


def log_odds_error(
    rng: np.random.Generator, alpha: float, epsilon: float, lengths: tuple[int, int], systematic: bool, draws: int
) -> np.ndarray:
    """Errors of α·(log p(y1) − log p(y2)), in nats, [draws]: y1 and y2 have `lengths` tokens, and share none of them. Every token's
    log p is off by ε: with a random sign each (independent), or always upwards (systematic)."""
    sums = []
    for length in lengths:
        # the number of upward errors among `length` is all that counts
        upward = np.full(draws, length) if systematic else rng.binomial(length, 0.5, draws)
        sums.append(epsilon * (2 * upward - length))
    return alpha * (sums[0] - sums[1])


def rloo(
    objective: Objective, dist: Distribution, log_start: ArrayLike, steps: int, group: int, rate: float, seed: int = 0
) -> np.ndarray:
    """RLOO on a tabular softmax policy, `group` sampled completions per step: log π before each step and after the last, [steps +
    1, N]. The rewards are the objective's own (`lib.rewards.objectives`, coins tossed), the baseline is the mean reward of the
    other completions, and nothing is divided by a standard deviation. In expectation a step is one of `distributions.ascend`."""
    if group < 2:
        raise ValueError(f"group is {group}: leave-one-out needs at least 2 completions per step.")
    rng, path = np.random.default_rng(seed), [distributions.normalise(log_start)]
    distributions.advantage(objective, dist, path[0])  # refuses a start outside of what p can write
    for step in range(steps):
        policy = np.exp(path[-1])
        drawn = rng.choice(len(policy), group, p=policy / policy.sum())
        scored = objective.reward(
            RewardInputs(
                task_reward=dist.reward[drawn],
                reference_logprob=dist.log_p[drawn],
                policy_logprob=path[-1][drawn],
                length=dist.length[drawn],
                format_reward=dist.well_formed[drawn],
                random=objectives.random_reward(seed, step, group),
                extra={name: values[drawn] for name, values in dist.extra.items()},
            )
        )
        advantage = group / (group - 1) * (scored - scored.mean())
        estimate = np.bincount(drawn, advantage, len(policy)) / group  # Σ A·(e_y − π) / G, and the A sum to 0
        path.append(distributions.normalise(path[-1] + rate * estimate))
    return np.array(path)


def rloo_variance(objective: Objective, dist: Distribution, log_policy: ArrayLike, group: int) -> float:
    """The exact variance of RLOO's gradient estimate, summed over the N logits, for `group` completions. The estimate is a
    U-statistic with the kernel h = ½(R_i − R_j)(s_i − s_j), where s = e_y − π is the score, so its variance is [4(G−2)·ζ₁ + 2·ζ₂] /
    (G(G−1)) (Hoeffding 1948), with ζ₁ = Var E[h | y_i] and ζ₂ = Var h, each summed over logits. Because ‖s_i − s_j‖² = 2 for y_i ≠
    y_j, E‖h‖² is simply Var(R). A tossed coin adds its own variance, ¼."""
    policy, gain = np.exp(log_policy), distributions.advantage(objective, dist, log_policy)
    slope = distributions.gradient(objective, dist, log_policy)
    noise = 0.25 if "random" in objective.definition.inputs else 0.0
    score_norm = 1 - 2 * policy + policy @ policy
    projected = (gain**2 + noise) * score_norm + 2 * gain * (slope - policy @ slope) + slope @ slope
    first = policy @ projected / 4 - slope @ slope
    second = policy @ gain**2 + noise * (1 - policy @ policy) - slope @ slope
    return float((4 * (group - 2) * first + 2 * second) / (group * (group - 1)))


def sequence_rloo(base: SequenceModel, samples: Samples, rewards: ArrayLike, group: int) -> np.ndarray:
    """RLOO's gradient estimates for a sequence model whose states each have a softmax of logits, [n / group, S, V + 1]. `samples`
    are n completions of `base` itself, taken in groups of `group` in their order, `rewards` has shape [n]. A completion's score is
    Σ_t (e_token − p(·|state)) over its tokens, in the row of the state that wrote each."""
    rewards = np.asarray(rewards, dtype=float).reshape(-1, group)
    advantage = (group / (group - 1) * (rewards - rewards.mean(axis=1, keepdims=True))).ravel()
    count, (states, tokens) = len(advantage), base.log_step.shape
    estimates = np.zeros((count // group, states, tokens))
    state, weight, number = np.full(count, base.start), advantage / group, np.arange(count) // group
    for step in range(samples.tokens.shape[1]):
        active = step < samples.length
        token, here, row, push = samples.tokens[active, step], state[active], number[active], weight[active]
        np.add.at(estimates, (row, here, token), push)
        np.add.at(estimates, (row, here), -push[:, None] * np.exp(base.log_step[here]))
        going = active & (samples.tokens[:, step] != base.eos)
        state[going] = base.following[state[going], samples.tokens[going, step]]
    return estimates


def sequence_gradient(base: SequenceModel, max_length: int, per_token: ArrayLike = 0.0, at_end: ArrayLike = 0.0) -> np.ndarray:
    """The exact gradient that `sequence_rloo` estimates, [S, V + 1]. A completion's reward is the sum of `per_token` [S, V + 1]
    over its tokens, EOS included; one that is cut off after `max_length` tokens also earns `at_end` [S] of the state that it has
    reached. One backward pass finds what each token is worth, one forward pass how often each state is visited."""
    policy, states = np.exp(base.log_step), len(base.following)
    value, gains = np.broadcast_to(np.asarray(at_end, dtype=float), states), []
    for _ in range(max_length):
        worth = np.where(policy > 0, per_token + np.column_stack([value[base.following], np.zeros(states)]), 0.0)
        value = (policy * worth).sum(axis=1)
        gains.append(policy * (worth - value[:, None]))
    here, total = np.eye(1, states, base.start)[0], np.zeros(policy.shape)
    for gain in reversed(gains):
        total += here[:, None] * gain
        here = np.bincount(base.following.ravel(), (here[:, None] * policy)[:, :-1].ravel(), states)
    return total
