"""Sequence models that only tests need: chains of order 2, rewards by an automaton, log p by hand, and an exact engine."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from lib.theory.samplers import Rows, append, blank, truncate
from lib.theory.sequences import SequenceModel, model


def markov2(first: ArrayLike, second: ArrayLike, step: ArrayLike) -> SequenceModel:
    """A Markov chain of order 2: `first` [V + 1], `second` [V, V + 1] after one token, `step` [V, V, V + 1] after two."""
    step = np.asarray(step, dtype=float)
    tokens = len(step)
    rows = np.vstack([step.reshape(tokens**2, tokens + 1), second, first])
    last = np.concatenate([np.tile(np.arange(tokens), tokens), np.arange(tokens)])  # the last token of each state
    following = np.vstack([last[:, None] * tokens + np.arange(tokens), tokens**2 + np.arange(tokens)])
    return model(rows, following, start=len(rows) - 1)


def rewarded(base: SequenceModel, transition: ArrayLike, accept: ArrayLike, start: int = 0) -> SequenceModel:
    """The model with the reward that a finite automaton computes; it tracks the automaton in its states.

    The automaton reads every token but EOS: `transition` [Q, V] is its next state, `accept` [Q] the reward of a completion that
    ends in it. The states of the result are the S·Q pairs.
    """
    transition, accept = np.asarray(transition, dtype=int), np.asarray(accept, dtype=float)
    states, machine = len(base.following), len(transition)
    fits = transition.shape == (machine, base.eos) and accept.shape == (machine,) and np.isfinite(accept).all()
    if not fits or transition.min() < 0 or max(transition.max(), start) >= machine or start < 0:
        raise ValueError(f"The automaton needs transition [Q, {base.eos}] into its Q states, and a finite accept [Q].")
    log_step = np.repeat(base.log_step, machine, axis=0)
    following = (base.following[:, None, :] * machine + transition[None, :, :]).reshape(states * machine, -1)
    return SequenceModel(log_step, following, base.start * machine + start, np.tile(accept, states))


def log_prob(base: SequenceModel, tokens: Iterable[int]) -> float:
    """log p of one completion in nats, EOS included if it is there."""
    state, total = base.start, 0.0
    for token in tokens:
        total += float(base.log_step[state, token])
        state = int(base.following[state, token]) if token != base.eos else state
    return total


class ExactEngine:
    """A `SequenceModel` as an engine, with the same empty prompt for `count` rows."""

    def __init__(self, base: SequenceModel, count: int) -> None:
        self.base, self.count = base, count

    def empty(self, max_length: int) -> Rows:
        """See `Engine`."""
        return blank(self.count, max_length)

    def extend(self, rows: Rows, keep: np.ndarray, limit: int, alpha: float, rng: np.random.Generator) -> Rows:
        """See `Engine`."""
        base, rows = self.base, truncate(rows, keep)
        state = np.full(len(keep), base.start)
        for step in range(int(rows.length.max(initial=0))):
            going = (step < rows.length) & (rows.tokens[:, step] != base.eos)
            state[going] = base.following[state[going], rows.tokens[going, step]]
        while len(active := np.flatnonzero(~rows.ended & (rows.length < limit))):
            token = append(rows, active, base.log_step[state[active]], alpha, rng)
            rows.ended[active] = token == base.eos
            going = active[token != base.eos]
            state[going] = base.following[state[going], token[token != base.eos]]
        return rows
