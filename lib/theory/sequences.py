"""Sequence models small enough to be exact: p^α over all completions by dynamic programming, however many there are.

A model is a finite automaton with probabilities: Markov chains and hand-built trees are automata with different states. A
completion's weight is a product along its one path, so the partition function, the mode, marginals, lengths, rewards and samples
of p^α·exp(β⁻¹·r) come from one backward and one forward pass, in O(T·S·V) for T tokens, S states and V tokens.

A completion has at most T tokens, EOS included. One that has not ended after T tokens is cut off there, as a trainer does it:
it keeps its probability and earns no reward. Completions that are listed one by one are `lib.theory.distributions`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lib.theory import distributions

Branches = Mapping[int, tuple[float, "Branches | float"]]  # of a tree: see `tree`


@dataclass(frozen=True)
class SequenceModel:
    """S states, V tokens, and EOS as token V. `log_step` [S, V + 1] is log p(token | state), `following` [S, V] the state after a
    token (EOS has none), `start` the first state, `reward` [S] what a completion earns that ends in a state."""

    log_step: np.ndarray
    following: np.ndarray
    start: int
    reward: np.ndarray

    @property
    def eos(self) -> int:
        """The number of the EOS token, V."""
        return self.log_step.shape[1] - 1


class Completion(NamedTuple):
    """`tokens`, EOS included unless the completion was cut off, `log_p` in nats, and the `reward` it earns."""

    tokens: tuple[int, ...]
    log_p: float
    reward: float


def model(step: ArrayLike, following: ArrayLike, start: int = 0, reward: ArrayLike = 0.0) -> SequenceModel:
    """A `SequenceModel` from probabilities [S, V + 1], EOS last. Raises ValueError where a row is no distribution."""
    step, following = np.asarray(step, dtype=float), np.asarray(following, dtype=int)
    states, tokens = following.shape
    if step.shape != (states, tokens + 1) or not (following.min() >= 0 and following.max() < states > start >= 0):
        raise ValueError(f"{states} states and {tokens} tokens need probabilities [{states}, {tokens + 1}], EOS last.")
    reward = np.broadcast_to(np.asarray(reward, dtype=float), states)
    if not np.isfinite(reward).all():
        raise ValueError("Every state's reward must be a finite number.")
    if not np.all(step >= 0) or not np.allclose(step.sum(axis=1), 1, rtol=0, atol=1e-9):
        raise ValueError("Each row of probabilities must have numbers that are not negative and sum to 1.")
    return SequenceModel(distributions.log_of(step), following, start, reward)


def markov(first: ArrayLike, step: ArrayLike) -> SequenceModel:
    """A Markov chain of order 1. State v is "the last token was v", state V the start. `first` [V + 1] are the probabilities of the
    first token, `step` [V, V + 1] those after each token; EOS is last."""
    rows = np.vstack([np.asarray(step, dtype=float), np.asarray(first, dtype=float)])
    tokens = len(rows) - 1
    return model(rows, np.tile(np.arange(tokens), (tokens + 1, 1)), start=tokens)


def tree(branches: Branches, tokens: int) -> SequenceModel:
    """A hand-built tree: `{token: (probability, subtree)}`, where a subtree is such a mapping again, or a number. A number ends
    the branch: EOS follows for certain, and the number is the reward that it earns."""
    states: list[tuple[np.ndarray, np.ndarray, float]] = []  # of each state: probabilities, following states, reward

    def add(node: Branches | float) -> int:
        number, row, following = len(states), np.zeros(tokens + 1), np.zeros(tokens, dtype=int)
        states.append((row, following, 0.0 if isinstance(node, Mapping) else float(node)))
        if not isinstance(node, Mapping):
            row[tokens] = 1.0
            return number
        for token, (probability, subtree) in node.items():
            row[token], following[token] = probability, add(subtree)
        return number

    start = add(branches)
    step, following, reward = zip(*states)
    return model(step, following, start, reward)


def local_temperature(base: SequenceModel, alpha: float) -> SequenceModel:
    """Each step's distribution raised to α and normalised by itself: sampling at temperature 1/α. It is not p^α."""
    return replace(base, log_step=distributions.power(base.log_step, alpha))


def completions(base: SequenceModel, max_length: int) -> Iterator[Completion]:
    """Every completion that has a probability above 0, one by one: brute force, the oracle of everything else here."""
    open_ones: list[tuple[int, tuple[int, ...], float]] = [(base.start, (), 0.0)]
    while open_ones:
        state, tokens, log_p = open_ones.pop()
        if len(tokens) == max_length:
            yield Completion(tokens, log_p, 0.0)
            continue
        for token in np.flatnonzero(np.isfinite(base.log_step[state])).tolist():
            longer, total = (*tokens, token), log_p + float(base.log_step[state, token])
            if token == base.eos:
                yield Completion(longer, total, float(base.reward[state]))
            else:
                open_ones.append((int(base.following[state, token]), longer, total))


class Likeliest:
    """The likeliest completion of every length t = 1 … T, by the Viterbi recursion in O(T·S·V). `log_p` [T] is that of the
    likeliest that ends with its t-th token, −inf if there is none; `cut_off` that of the likeliest that has not ended after T
    tokens."""

    def __init__(self, base: SequenceModel, max_length: int) -> None:
        self.base, self._ways = base, list[np.ndarray]()
        best, unfinished, log_p = base.log_step[:, -1], np.zeros(len(base.following)), []
        for t in range(max_length):
            if t:
                through = base.log_step[:, :-1] + best[base.following]
                self._ways.append(through.argmax(axis=1))
                best = through.max(axis=1)
            log_p.append(best[base.start])
            unfinished = (base.log_step[:, :-1] + unfinished[base.following]).max(axis=1)
        self.log_p, self.cut_off = np.array(log_p), float(unfinished[base.start])

    def length(self, length_exponent: float = 0.0) -> int:
        """The length, in tokens, of the finished completion with the largest log p / T^length_exponent; of equals the shortest.
        0 is the mode among finished completions. Raises ValueError if none can end within T tokens."""
        if not np.isfinite(self.log_p).any():
            raise ValueError(f"No completion ends within {len(self.log_p)} tokens: allow longer ones.")
        return 1 + int(np.argmax(self.log_p / np.arange(1.0, len(self.log_p) + 1) ** length_exponent))

    def completion(self, length: int) -> tuple[int, ...]:
        """The likeliest completion that ends with its `length`-th token; ValueError if there is none."""
        if not np.isfinite(self.log_p[length - 1]):
            raise ValueError(f"No completion ends with token {length}.")
        state, tokens = self.base.start, []
        for way in reversed(self._ways[: length - 1]):
            tokens.append(int(way[state]))
            state = self.base.following[state, tokens[-1]]
        return (*tokens, self.base.eos)


class Marginals(NamedTuple):
    """`token` [T, V + 1]: the probability that step t writes each token, EOS last; a row lacks what has ended before.
    `length` [T]: the probability of each length, cut-off completions counted at T. `cut_off`: their probability."""

    token: np.ndarray
    length: np.ndarray
    cut_off: float


class Moments(NamedTuple):
    """Exact moments under a distribution over completions: `accuracy` E[r], mean and variance of log p (nats, nats²), under
    the model that it was made from, Cov(r, log p) (nats), and the distribution's own `entropy` (nats)."""

    accuracy: float
    log_p_mean: float
    log_p_variance: float
    covariance: float
    entropy: float


class Samples(NamedTuple):
    """`tokens` [n, T] (EOS, number V, and V after it), and of each completion its `length`, `log_p` (nats) and `reward`, [n]."""

    tokens: np.ndarray
    length: np.ndarray
    log_p: np.ndarray
    reward: np.ndarray


class Sharpened:
    """∝ p^α·exp(β⁻¹·r) over all completions of at most T tokens, exactly; α = 1 and β⁻¹ = 0 is the model itself. `log_value` [T +
    1, S] is the log-weight of all that can follow a state while t more tokens are allowed, as in the forward- backward algorithm;
    `log_partition` is its entry for the start. Raises ValueError for α < 0 and T < 1."""

    def __init__(self, base: SequenceModel, alpha: float, max_length: int, beta_inv: float = 0.0) -> None:
        if not (0 <= alpha < np.inf and max_length >= 1 and np.isfinite(beta_inv)):
            raise ValueError("Choose a finite alpha of 0 or more, a finite beta_inv, and a max_length of 1 or more.")
        self.base, self.max_length = base, max_length
        self._scaled = distributions.scale(base.log_step, alpha)
        self._scaled[:, -1] += beta_inv * base.reward
        self.log_value = np.zeros((max_length + 1, len(base.following)))
        for t in range(1, max_length + 1):
            self.log_value[t] = distributions.log_partition(self._weights(t))
        self.log_partition = float(self.log_value[max_length, base.start])

    def _weights(self, t: int) -> np.ndarray:
        """The log-weight of each next token and all that can follow it, with t more tokens allowed, [S, V + 1]."""
        weights = self._scaled.copy()
        weights[:, :-1] += self.log_value[t - 1][self.base.following]
        return weights

    def log_policy(self, t: int) -> np.ndarray:
        """The log-probability of each next token in each state, with t more tokens allowed, [S, V + 1]."""
        return distributions.normalise(self._weights(t))

    def marginals(self) -> Marginals:
        """Token and length distributions, by one forward pass."""
        states = len(self.base.following)
        here, tokens = np.eye(1, states, self.base.start)[0], []
        for t in range(self.max_length, 0, -1):
            flow = here[:, None] * np.exp(self.log_policy(t))
            tokens.append(flow.sum(axis=0))
            here = np.bincount(self.base.following.ravel(), flow[:, :-1].ravel(), states)
        token, cut_off = np.array(tokens), float(here.sum())
        length = token[:, -1].copy()
        length[-1] += cut_off
        return Marginals(token, length, cut_off)

    def moments(self) -> Moments:
        """Accuracy, mean, variance and covariance of log p, and entropy, by one backward pass: the laws of total expectation,
        variance and covariance, and the chain rule of entropy."""
        base, start = self.base, self.base.start
        step_log_p = np.where(np.isfinite(base.log_step), base.log_step, 0.0)
        none = np.zeros(len(base.following))
        accuracy = mean = variance = covariance = entropy = none  # of what is cut off

        def after(values: np.ndarray, at_eos: np.ndarray = none) -> np.ndarray:
            return np.column_stack([values[base.following], at_eos])

        for t in range(1, self.max_length + 1):
            log_policy, earned, log_p = self.log_policy(t), after(accuracy, base.reward), step_log_p + after(mean)
            policy = np.exp(log_policy)
            accuracy, mean = (policy * earned).sum(axis=1), (policy * log_p).sum(axis=1)
            surprise = log_p - mean[:, None]
            variance = (policy * (after(variance) + surprise**2)).sum(axis=1)
            covariance = (policy * (after(covariance) + surprise * (earned - accuracy[:, None]))).sum(axis=1)
            entropy = distributions.entropy(log_policy) + (policy * after(entropy)).sum(axis=1)
        return Moments(*(float(part[start]) for part in (accuracy, mean, variance, covariance, entropy)))

    def sample(self, count: int, seed: int = 0) -> Samples:
        """`count` independent completions, by ancestral sampling: exact, no Markov chain Monte Carlo."""
        base, rng = self.base, np.random.default_rng(seed)
        tokens = np.full((count, self.max_length), base.eos)
        log_p, earned, length = np.zeros(count), np.zeros(count), np.full(count, self.max_length)
        active, state = np.arange(count), np.full(count, base.start)
        for step in range(self.max_length):
            cumulative = np.exp(self.log_policy(self.max_length - step)).cumsum(axis=1)
            cumulative /= cumulative[:, -1:]
            token = (cumulative[state] <= rng.random(len(active))[:, None]).sum(axis=1)
            tokens[active, step] = token
            log_p[active] += base.log_step[state, token]
            ended = token == base.eos
            earned[active[ended]] = base.reward[state[ended]]
            length[active[ended]] = step + 1
            active, state = active[~ended], base.following[state[~ended], token[~ended]]
            if not len(active):
                break
        return Samples(tokens, length, log_p, earned)
