"""Sharpening without training: samplers of p^α that only ever ask the model for its next token.

Greedy decoding and token temperature 1/α are one call of an engine. Power sampling draws from p^α over whole completions: by
Metropolis-Hastings on suffixes (Karan and Du 2025, arXiv 2510.14901) or by sequential Monte Carlo whose proposal is the token
temperature 1/α (arXiv 2602.10273). Best of n and majority vote need only samples. Every result says how many tokens it cost.

An engine continues rows of tokens; `lib.models.engine` has the one of a language model. The tests have one of an exact sequence
model (`lib.theory.sequences`), on which every sampler is held against exact p^α."""

from typing import NamedTuple, Protocol

import numpy as np

from lib.theory import distributions


class Rows(NamedTuple):
    """n rows of tokens. `tokens` [n, T] holds `length` [n] tokens per row, EOS included if `ended` [n], and −1 behind them. `log_p`
    [n, T] is each token's log-probability in nats under the model, `log_q` [n, T] under the temperature 1/α that it was drawn with;
    both are 0 behind the row."""

    tokens: np.ndarray
    length: np.ndarray
    ended: np.ndarray
    log_p: np.ndarray
    log_q: np.ndarray

    def pick(self, index: np.ndarray) -> "Rows":
        """The rows with these numbers, in this order."""
        return Rows(*(part[index] for part in self))

    def sum_p(self) -> np.ndarray:
        """log p of each row in nats, [n]."""
        return self.log_p.sum(axis=1)


class Engine(Protocol):
    """What the samplers need of a model."""

    def empty(self, max_length: int) -> Rows:
        """A row without tokens for each prompt that the engine was made for, with room for so many."""

    def extend(self, rows: Rows, keep: np.ndarray, limit: int, alpha: float, rng: np.random.Generator) -> Rows:
        """New rows: the first `keep` [n] tokens of each, continued to EOS or to `limit` tokens at the token temperature 1/α. Row i
        continues the i-th prompt. α = inf takes the likeliest token. A row that has ended within `keep` stays."""


class Drawn(NamedTuple):
    """What a sampler returns: `rows`, one answer each; the `tokens` that were generated to get there, the discarded ones too (not
    those read again as a prefix); and `acceptance`, the share of proposals that Metropolis-Hastings accepted."""

    rows: Rows
    tokens: int
    acceptance: float = 1.0


def blank(count: int, max_length: int) -> Rows:
    """`count` rows without tokens and room for `max_length`."""
    zeros = np.zeros((count, max_length))
    return Rows(np.full((count, max_length), -1), np.zeros(count, int), np.zeros(count, bool), zeros, zeros.copy())


def truncate(rows: Rows, keep: np.ndarray) -> Rows:
    """A copy of the rows cut back to their first `keep` [n] tokens."""
    keep = np.minimum(keep, rows.length)
    behind = np.arange(rows.tokens.shape[1]) >= keep[:, None]
    tokens = np.where(behind, -1, rows.tokens)
    log_p, log_q = (np.where(behind, 0.0, part) for part in (rows.log_p, rows.log_q))
    return Rows(tokens, keep.copy(), rows.ended & (keep == rows.length), log_p, log_q)


def append(rows: Rows, active: np.ndarray, log_p: np.ndarray, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """Draws one more token for the `active` rows, in place, from its p^α; returns the tokens. `log_p` is [active, V]."""
    log_q = distributions.mode(log_p) if np.isinf(alpha) else distributions.power(log_p, alpha)
    cumulative = np.exp(log_q).cumsum(axis=1)
    uniform = rng.random(len(active))[:, None] * cumulative[:, -1:]
    token = (cumulative <= uniform).sum(axis=1) if np.isfinite(alpha) else log_p.argmax(axis=1)
    place, which = rows.length[active], np.arange(len(active))
    rows.tokens[active, place] = token
    rows.log_p[active, place] = log_p[which, token]
    rows.log_q[active, place] = log_q[which, token]
    rows.length[active] += 1
    return token


def draw(engine: Engine, max_length: int, alpha: float, rng: np.random.Generator) -> Drawn:
    """One completion per prompt at the token temperature 1/α: α = 1 samples the model, α = inf is greedy."""
    start = engine.empty(max_length)
    rows = engine.extend(start, start.length, max_length, alpha, rng)
    return Drawn(rows, int(rows.length.sum()))


def metropolis(
    engine: Engine, max_length: int, alpha: float, steps: int, rng: np.random.Generator, block: int | None = None
) -> Drawn:
    """One draw from (nearly) p^α per prompt: a Metropolis-Hastings chain that proposes new suffixes.

    A step cuts each completion at a place drawn evenly from its tokens, writes the rest anew at the temperature 1/α, and keeps it
    with the probability min(1, p(y')^α·q(y)·|y| / (p(y)^α·q(y')·|y'|)), q over the new tokens: exact in the limit of many steps.
    With `block` the chain first runs `steps` steps on the first `block` tokens, then on twice as many, and so on, as the paper
    does; these stages only prepare the last one, whose target is p^α over whole completions of at most `max_length` tokens."""
    _check(alpha, steps=steps, max_length=max_length, block=block or max_length)
    rows, cost, accepted, proposed = engine.empty(max_length), 0, 0, 0
    limits = [*range(block, max_length, block), max_length] if block else [max_length]
    for limit in limits:
        before = int(rows.length.sum())
        rows = engine.extend(rows, rows.length, limit, alpha, rng)
        cost += int(rows.length.sum()) - before
        for _ in range(steps):
            cut = rng.integers(0, rows.length)
            other = engine.extend(rows, cut, limit, alpha, rng)
            cost += int((other.length - cut).sum())
            gain = _suffix(other, cut, alpha) - _suffix(rows, cut, alpha) + np.log(rows.length / other.length)
            accept = np.log(rng.random(len(cut))) < gain
            accepted, proposed = accepted + int(accept.sum()), proposed + len(cut)
            rows = Rows(*(np.where(accept.reshape(-1, *[1] * (new.ndim - 1)), new, old) for new, old in zip(other, rows)))
    return Drawn(rows, cost, accepted / max(1, proposed))


def _check(alpha: float, **at_least_one: int) -> None:
    """Raises ValueError for an α without a proposal, and for a number below 1."""
    if not 0 <= alpha < np.inf:
        raise ValueError(f"alpha is {alpha}: choose a finite number that is not negative; greedy decoding is `draw`.")
    for name, value in at_least_one.items():
        if value < 1:
            raise ValueError(f"{name} is {value}: choose 1 or more.")


def _suffix(rows: Rows, cut: np.ndarray, alpha: float) -> np.ndarray:
    """α·log p − log q of each row's tokens from `cut` on, [n]."""
    behind = np.arange(rows.tokens.shape[1]) >= cut[:, None]
    return np.where(behind, alpha * rows.log_p - rows.log_q, 0.0).sum(axis=1)


def sequential(engine: Engine, max_length: int, alpha: float, particles: int, rng: np.random.Generator, block: int = 1) -> Drawn:
    """One draw from (nearly) p^α per group of `particles` rows of the engine: sequential Monte Carlo. Particles grow by `block`
    tokens at the temperature 1/α and are weighted by p^α/q; whenever a group's effective sample size falls below half of its
    particles they are drawn anew by weight. The draw is one particle by its weight, and exact in the limit of many particles. Rows
    i·particles … of the engine must continue the same prompt."""
    _check(alpha, particles=particles, max_length=max_length, block=block)
    rows, cost = engine.empty(max_length), 0
    if len(rows.length) % particles:
        raise ValueError(f"{len(rows.length)} rows are no whole groups of {particles} particles.")
    log_weight = np.zeros((len(rows.length) // particles, particles))
    first = np.arange(len(log_weight))[:, None] * particles
    for limit in [*range(block, max_length, block), max_length]:
        before = rows.length
        rows = engine.extend(rows, before, limit, alpha, rng)
        cost += int((rows.length - before).sum())
        log_weight = distributions.normalise(log_weight + _suffix(rows, before, alpha).reshape(log_weight.shape))
        thin = 1 / np.exp(2 * log_weight).sum(axis=1) < particles / 2
        index = np.arange(particles) * np.ones_like(first)
        index[thin] = _resample(log_weight[thin], rng)
        log_weight[thin] = -np.log(particles)
        rows = rows.pick((first + index).ravel())
        if rows.ended.all():
            break
    cumulative = np.exp(log_weight).cumsum(axis=1)
    chosen = (cumulative <= rng.random((len(first), 1)) * cumulative[:, -1:]).sum(axis=1)
    return Drawn(rows.pick(first[:, 0] + chosen), cost)


def _resample(log_weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Systematic resampling: the particle numbers that each group goes on with, [groups, particles]."""
    groups, particles = log_weight.shape
    cumulative = np.exp(log_weight).cumsum(axis=1)
    places = (rng.random((groups, 1)) + np.arange(particles)) / particles * cumulative[:, -1:]
    return np.minimum((cumulative[:, None, :] <= places[:, :, None]).sum(axis=2), particles - 1)
