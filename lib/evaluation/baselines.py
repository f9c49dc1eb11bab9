"""What sharpening without training gives a model on a set of problems: accuracy against the tokens that were spent.

Best of n and majority vote come from samples that are there already; greedy decoding, token temperature and the samplers of
`lib.theory.samplers` are run here."""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.data.prompts import Problem
from lib.evaluation import grading, metrics
from lib.evaluation.forecast import BaseSamples
from lib.evaluation.statistics import Interval, check_k, estimate, powers_of_two
from lib.models.engine import ModelEngine
from lib.models.tokens import Model, Tokenizer, prompt_ids
from lib.theory import samplers


class Baseline(NamedTuple):
    """`accuracy` of a `method` at a `budget` (samples, steps or particles), the `tokens` per problem that it cost, and the mean
    `log_p` of what was answered, in nats (nan for a vote). `acceptance` is that of Metropolis-Hastings."""

    method: str
    budget: int
    accuracy: Interval
    tokens: float
    log_p: float
    acceptance: float = math.nan


def majority(table: pd.DataFrame) -> dict[int, Interval]:
    """maj@k for k = 1, 2, 4, … of an evaluation's raw samples."""
    curves = metrics.maj_at(metrics.Graded(table, table))
    return {k: estimate(curves[:, k - 1]) for k in powers_of_two(curves.shape[1])}


def best_of(k: int, log_p: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The expectation of `values` at the likeliest of k of n samples, drawn without replacement, [Q, n] to [Q]. Exact: the i-th
    likeliest of all n is the likeliest of k with the probability C(n − i, k − 1) / C(n, k)."""
    count = log_p.shape[1]
    check_k(k, count)
    chance = np.array([math.comb(count - i, k - 1) for i in range(1, count + 1)]) / math.comb(count, k)
    order = np.argsort(-log_p, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1) @ chance


def from_samples(samples: BaseSamples, majority: dict[int, Interval]) -> list[Baseline]:
    """`sampled`, `best of n` by log p and `majority vote`, for each k of maj@k in `majority`."""
    rows, length = [], float(samples.length.mean())
    for k in majority:
        correct, log_p = (best_of(k, samples.log_p, values) for values in (samples.correct, samples.log_p))
        rows.append(Baseline("best of n" if k > 1 else "sampled", k, estimate(correct), k * length, float(log_p.mean())))
    return rows + [Baseline("majority vote", k, won, k * length, math.nan) for k, won in majority.items() if k > 1]


def as_table(found: Sequence[Baseline]) -> pd.DataFrame:
    """A row per baseline: `method`, `budget`, `accuracy`, `low`, `high`, `tokens`, `log_p` and `acceptance`."""
    rows = [[b.method, b.budget, *b.accuracy, b.tokens, b.log_p, b.acceptance] for b in found]
    return pd.DataFrame(rows, columns=["method", "budget", "accuracy", "low", "high", "tokens", "log_p", "acceptance"])


def run(
    model: Model,
    tokenizer: Tokenizer,
    asked: Sequence[Problem],
    max_tokens: int,
    alpha: float,
    steps: Sequence[int],
    particles: Sequence[int],
    block: int,
    seed: int = 0,
) -> list[Baseline]:
    """Greedy decoding, token temperature 1/α and both power samplers at the given budgets, one answer per problem each. The
    methods' random numbers do not depend on one another."""
    prompts = prompt_ids(tokenizer, [problem.messages for problem in asked])
    rng = functools.partial(np.random.default_rng, seed)

    def engine(rows: int = 1) -> ModelEngine:
        return ModelEngine(model, tokenizer, [prompt for prompt in prompts for _ in range(rows)])

    found = [("greedy", 1, samplers.draw(engine(), max_tokens, math.inf, rng()))]
    found += [("token temperature", 1, samplers.draw(engine(), max_tokens, alpha, rng()))]
    found += [("power: Metropolis-Hastings", n, samplers.metropolis(engine(), max_tokens, alpha, n, rng())) for n in steps]
    for n in particles:
        found.append(("power: sequential Monte Carlo", n, samplers.sequential(engine(n), max_tokens, alpha, n, rng(), block)))

    rows = []
    for method, budget, drawn in found:
        answers = zip(drawn.rows.tokens, drawn.rows.length, strict=True)
        texts = [tokenizer.decode(tokens[:length].tolist(), skip_special_tokens=True) for tokens, length in answers]
        correct = [float(verdict.correct) for verdict in grading.grade(texts, [problem.gold for problem in asked])]
        cost, log_p = drawn.tokens / len(asked), float(drawn.rows.sum_p().mean())
        acceptance = drawn.acceptance if "Metropolis" in method else math.nan
        rows.append(Baseline(method, budget, estimate(correct), cost, log_p, acceptance))
    return rows
