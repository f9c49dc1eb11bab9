"""Listed distributions, exactly: what every objective's optimum is, how good it is, and the gradient that leads there.

A distribution is an array of log-probabilities in nats, one entry per completion; −inf is a completion that cannot happen.
Everything stays in log space, so that α = 10^4 and probabilities of 1e-300 are no special case. Sequence models, whose
completions are too many to list, are `lib.theory.sequences`; paths through time are `lib.theory.dynamics`."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, logsumexp

from lib.rewards.objectives import Objective, RewardInputs

TIE = 1e-9  # nats; completions closer than this to the likeliest one share the mode with it


@dataclass(frozen=True)
class Distribution:
    """A problem whose N completions are all listed; every field has shape [N]. `log_p` is the reference's log p(y|x), normalised;
    `reward` the task reward r; `length` counts tokens; `well_formed` is what the `format` control rewards; `extra` has the signals
    of an objective of one's own. Build one by `of`, which checks."""

    log_p: np.ndarray
    reward: np.ndarray
    length: np.ndarray
    well_formed: np.ndarray = field(repr=False)
    extra: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, probability: ArrayLike, reward: ArrayLike, length: ArrayLike = 1.0, well_formed: ArrayLike = 1.0, **extra: ArrayLike
    ) -> "Distribution":
        """A distribution from probabilities [N] that sum to 1 (within 1e-9); zeros are allowed. Scalars are spread. Raises
        ValueError for what is no distribution, and for a reward or length that is not finite or of another shape."""
        probability = np.asarray(probability, dtype=float)
        if probability.ndim != 1 or not np.all(probability >= 0) or abs(probability.sum() - 1) > 1e-9:
            raise ValueError("The probabilities must be a list of numbers that are not negative and sum to 1.")
        given = [np.asarray(column, dtype=float) for column in (reward, length, well_formed, *extra.values())]
        columns = [np.broadcast_to(column, probability.shape) for column in given]
        if not all(np.isfinite(column).all() for column in columns) or np.any(columns[1] <= 0):
            raise ValueError("Rewards must be finite numbers and lengths must be above 0.")
        own = dict(zip(extra, columns[3:], strict=True))
        return cls(log_of(probability), columns[0], columns[1], columns[2], own)


def log_of(probability: ArrayLike) -> np.ndarray:
    """Natural logarithms, −inf for zeros, without a warning."""
    probability = np.asarray(probability, dtype=float)
    return np.log(probability, out=np.full(probability.shape, -np.inf), where=probability > 0)


def scale(log_p: ArrayLike, alpha: float) -> np.ndarray:
    """α·log p, [..., N]; what cannot happen still cannot, also for α = 0. What no float can hold becomes −inf."""
    log_p = np.asarray(log_p, dtype=float)
    with np.errstate(over="ignore"):
        return np.multiply(log_p, alpha, out=np.full(log_p.shape, -np.inf), where=np.isfinite(log_p))


def log_partition(log_weights: ArrayLike) -> np.ndarray:
    """log Σ exp over the last axis, [..., N] to [...]; −inf where all weights are zero."""
    return logsumexp(np.asarray(log_weights, dtype=float), axis=-1)


def normalise(log_weights: ArrayLike) -> np.ndarray:
    """Log-probabilities from log-weights, [..., N]. Raises ValueError where nothing is possible, or a weight is no number."""
    log_weights = np.asarray(log_weights, dtype=float)
    if not np.isfinite(log_weights.max(axis=-1)).all():
        raise ValueError("These weights are no distribution: all are zero, or one is infinite or not a number.")
    return log_softmax(log_weights, axis=-1)


def power(log_p: ArrayLike, alpha: float) -> np.ndarray:
    """The log of p^α, normalised, [..., N]: sharper than p for α > 1. α = 0 is uniform on what p can do."""
    return normalise(scale(log_p, alpha))


def tilt(log_p: ArrayLike, reward: ArrayLike, alpha: float, beta_inv: float) -> np.ndarray:
    """The log of p^α·exp(β⁻¹·r), normalised, [..., N]: the optimum of `tilted`, and for β⁻¹ = 0 of `tempered`. Raises ValueError
    for an α or β⁻¹ that is not finite; `mode` is the limit α → ∞."""
    if not np.isfinite([alpha, beta_inv]).all():
        raise ValueError(f"alpha is {alpha} and beta_inv {beta_inv}: choose finite numbers.")
    log_p, reward = np.broadcast_arrays(np.asarray(log_p, dtype=float), np.asarray(reward, dtype=float))
    top = np.where(np.isfinite(log_p), reward, -np.inf).max(axis=-1, keepdims=True)
    return normalise(scale(log_p, alpha) + beta_inv * (reward - top))


def mode(log_p: ArrayLike, tie: float = TIE) -> np.ndarray:
    """The limit of p^α for α → ∞, [..., N]: uniform on the likeliest completion and on those within `tie` nats of it."""
    log_p = normalise(log_p)
    return normalise(np.where(log_p >= log_p.max(axis=-1, keepdims=True) - tie, 0.0, -np.inf))


def expected(log_q: ArrayLike, values: ArrayLike) -> np.ndarray:
    """E_q[values], [..., N] to [...]; a value of what cannot happen does not count, whatever it is."""
    q = np.exp(np.asarray(log_q, dtype=float))
    values = np.broadcast_to(np.asarray(values, dtype=float), q.shape)
    return np.multiply(q, values, out=np.zeros(q.shape), where=q > 0).sum(axis=-1)


def covariance(log_q: ArrayLike, first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Cov_q(first, second), [..., N] to [...], from centred values."""
    possible = np.exp(log_q) > 0
    first, second = (np.where(possible, values, 0.0) for values in (first, second))
    centred = first - expected(log_q, first)[..., None]
    return expected(log_q, centred * (second - expected(log_q, second)[..., None]))


def kl(log_q: ArrayLike, log_p: ArrayLike) -> np.ndarray:
    """KL(q‖p) in nats, [..., N] to [...]; inf where q can do what p cannot."""
    log_q, log_p = np.broadcast_arrays(np.asarray(log_q, dtype=float), np.asarray(log_p, dtype=float))
    cannot = np.isfinite(log_q) & np.isneginf(log_p)
    ratio = np.subtract(log_q, log_p, out=np.zeros(log_q.shape), where=np.isfinite(log_q) & ~cannot)
    return np.where(cannot.any(axis=-1), np.inf, expected(log_q, ratio))


def entropy(log_q: ArrayLike) -> np.ndarray:
    """Shannon entropy in nats, [..., N] to [...]."""
    return -expected(log_q, log_q)


def effective_number(log_q: ArrayLike) -> np.ndarray:
    """exp(entropy): how many equally likely completions would be as diverse, [..., N] to [...]."""
    return np.exp(entropy(log_q))


def total_variation(log_q: ArrayLike, log_p: ArrayLike) -> np.ndarray:
    """½ Σ |q − p|, the largest difference in the probability of any event, [..., N] to [...]."""
    return 0.5 * np.abs(np.exp(log_q) - np.exp(log_p)).sum(axis=-1)


def accuracy(dist: Distribution, alpha: float, beta_inv: float = 0.0) -> float:
    """E[r] under p^α·exp(β⁻¹·r), from 0 to 1."""
    return float(expected(tilt(dist.log_p, dist.reward, alpha, beta_inv), dist.reward))


def accuracy_slopes(dist: Distribution, alpha: float, beta_inv: float = 0.0) -> tuple[float, float]:
    """(d/dα, d/dβ⁻¹) of E_{π*}[r] for π* ∝ p^α·exp(β⁻¹·r): Cov_{π*}(r, log p) and Var_{π*}(r). The moments of an exponential family
    whose parameters are α and β⁻¹; both hold at every α and β⁻¹, for any reward."""
    log_q = tilt(dist.log_p, dist.reward, alpha, beta_inv)
    return float(covariance(log_q, dist.reward, dist.log_p)), float(covariance(log_q, dist.reward, dist.reward))


def answer_marginal(log_p: ArrayLike, answers: Sequence[Hashable]) -> dict[Hashable, float]:
    """The log-probability of each answer: log Σ p(y) over the completions y that give it."""
    groups: dict[Hashable, list[float]] = {}
    for log_probability, answer in zip(np.asarray(log_p, dtype=float), answers, strict=True):
        groups.setdefault(answer, []).append(log_probability)
    return {answer: float(log_partition(group)) for answer, group in groups.items()}


def sharpen_answers(log_p: ArrayLike, answers: Sequence[Hashable], alpha: float) -> np.ndarray:
    """p with its answer marginal raised to α and p(y | answer) kept, [N]; α → ∞ is majority vote with endless samples."""
    marginal = answer_marginal(log_p, answers)
    sharpened = dict(zip(marginal, power(list(marginal.values()), alpha)))
    change = {a: sharpened[a] - marginal[a] if np.isfinite(marginal[a]) else 0.0 for a in marginal}
    return np.asarray(log_p, dtype=float) + np.array([change[answer] for answer in answers])


def inputs(dist: Distribution, reference: np.ndarray, policy: np.ndarray, length: np.ndarray) -> RewardInputs:
    """What a reward sees of all completions, given their S_p, S_π and lengths, [N] each; a coin counts its mean, ½."""
    coin = np.full(len(dist.log_p), 0.5)
    return RewardInputs(dist.reward, reference, policy, length, dist.well_formed, coin, dist.extra)


def reward(objective: Objective, dist: Distribution, log_policy: ArrayLike) -> np.ndarray:
    """The objective's own reward R of every completion under a policy [N], from `lib.rewards.objectives`. −inf where the reference
    cannot write what the objective would have to score. A completion that the policy never writes has its S_π read as 0: it is
    never sampled."""
    possible, log_policy = np.isfinite(dist.log_p), np.asarray(log_policy, dtype=float)
    policy = np.where(np.isfinite(log_policy), log_policy, 0.0)
    scored = objective.reward(inputs(dist, np.where(possible, dist.log_p, 0.0), policy, dist.length))
    needs_reference = "reference_logprob" in objective.definition.inputs
    return np.where(possible | (not needs_reference), scored, -np.inf)


def advantage(objective: Objective, dist: Distribution, log_policy: ArrayLike) -> np.ndarray:
    """R − E_π[R] of every completion, [N]; 0 where the policy writes nothing. Raises ValueError if the policy writes what the
    reference cannot: an objective that scores log p has no finite reward there."""
    scored, written = reward(objective, dist, log_policy), np.isfinite(log_policy)
    if np.isneginf(scored[written]).any():
        raise ValueError("The policy writes what the reference cannot, and log p is −∞ there: start from the reference.")
    return np.where(written, scored - expected(log_policy, scored), 0.0)


def gradient(objective: Objective, dist: Distribution, log_policy: ArrayLike) -> np.ndarray:
    """∂J/∂θ for a tabular softmax policy π = softmax(θ), [N]: π·(R − E_π[R]), the expectation of REINFORCE. The S_π inside R needs
    no derivative of its own, because E_π[∇ log π] = 0."""
    return np.exp(log_policy) * advantage(objective, dist, log_policy)


class Pull(NamedTuple):
    """An objective's reward on what p can write, R = task + likelihood − c·log π. `task`, with any term of one's own, and
    `likelihood` are [N]; `c` ≥ 0; `unit` is what one nat of log p is worth, in R."""

    task: np.ndarray
    likelihood: np.ndarray
    c: float
    unit: float


def pull(objective: Objective, dist: Distribution) -> Pull:
    """The parts of an objective's reward, read off `lib.rewards.objectives`; −inf where p is 0."""

    def terms(reference: np.ndarray, policy: np.ndarray, length: np.ndarray) -> dict[str, np.ndarray]:
        return objective.reward_terms(inputs(dist, reference, policy, length))

    zero, one, possible = np.zeros(len(dist.log_p)), np.ones(len(dist.log_p)), np.isfinite(dist.log_p)
    parts = terms(np.where(possible, dist.log_p, 0.0), zero, dist.length)
    c = float(-terms(zero, one, one)["kl"][0])
    slope = float(terms(one, zero, one)["likelihood"][0])
    rest = sum((part for name, part in parts.items() if name not in ("likelihood", "kl")), zero)
    task, likelihood = (np.where(possible, part, -np.inf) for part in (rest, parts["likelihood"] + parts["kl"]))
    return Pull(task, likelihood, c, c or slope or 1.0)


def optimum(objective: Objective, dist: Distribution) -> np.ndarray:
    """The log of the objective's optimum π* among the policies on what p can write, [N]. With a KL term it is ∝ exp((task +
    likelihood)/c), and unique. Without one every distribution on the completions with the largest reward is optimal, a face of the
    simplex; returned is p restricted to that face, where the natural-gradient flow from p ends (`lib.theory.dynamics`). Ties are
    within TIE nats of log p."""
    parts = pull(objective, dist)
    weights = (parts.task - parts.task.max()) / parts.unit
    weights = np.where(np.isfinite(dist.log_p), weights + parts.likelihood / parts.unit, -np.inf)
    return normalise(weights if parts.c > 0 else np.where(weights >= weights.max() - TIE, dist.log_p, -np.inf))


def distance_to_optima(objective: Objective, dist: Distribution, log_policy: ArrayLike) -> np.ndarray:
    """How much probability a policy has to move to be optimal, [..., N] to [...]: the total variation to `optimum` with a KL
    term, else the mass off the face on which every policy is optimal."""
    best = optimum(objective, dist)
    if pull(objective, dist).c > 0:
        return total_variation(log_policy, best)
    return np.exp(log_policy)[..., np.isneginf(best)].sum(axis=-1)


def ascend(
    objective: Objective, dist: Distribution, log_start: ArrayLike, steps: int, rate: float, natural: bool = False
) -> np.ndarray:
    """Exact gradient ascent of a tabular softmax policy: its log π before each step and after the last, [steps + 1, N]. θ moves by
    `rate` times ∂J/∂θ, or, `natural`, times the natural gradient R − E_π[R] (Kakade 2001; here the same as mirror ascent), which
    does not depend on how likely a completion is already."""
    slope, path = advantage if natural else gradient, [normalise(log_start)]
    for _ in range(steps):
        path.append(normalise(path[-1] + rate * slope(objective, dist, path[-1])))
    return np.array(path)
