"""What sharpening without training gives a model on a set of problems: accuracy against the tokens that were spent.

Best of n and majority vote come from samples that are there already (`lib.evaluate` keeps them); greedy decoding, token
temperature and the samplers of `lib.power` are run here. What training gives is in a profile's summary (`lib.results`).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib import engine, evaluate, forecast, models, power, problems, statistics
from lib.forecast import BaseSamples
from lib.statistics import Interval


class Baseline(NamedTuple):
    """`accuracy` of a `method` at a `budget` (samples, steps or particles); `tokens` were generated a problem on average,
    discarded ones included; `log_p` is the mean log-probability of what was answered, in nats (nan for a vote); `acceptance` is
    the share of proposals that Metropolis-Hastings accepted (nan for the others)."""

    method: str
    budget: int
    accuracy: Interval
    tokens: float
    log_p: float
    acceptance: float = math.nan


def majority(table: pd.DataFrame) -> dict[int, Interval]:
    """maj@k for k = 1, 2, 4, … of an evaluation's raw samples."""
    curves = [statistics.maj_curve(evaluate.count(group)) for _, group in table.groupby("problem_id", sort=False)]
    won = np.array(curves)
    return {k: forecast.estimate(won[:, k - 1]) for k in statistics.powers_of_two(won.shape[1])}


def best_of(samples: BaseSamples, k: int) -> np.ndarray:
    """The chance that the likeliest of k of the n samples, drawn without replacement, is correct, a question: [Q].

    Exact: the i-th likeliest of all n is the likeliest of k with the probability C(n − i, k − 1) / C(n, k).
    """
    return _of_the_likeliest(samples, samples.correct, k)


def _of_the_likeliest(samples: BaseSamples, values: np.ndarray, k: int) -> np.ndarray:
    """The expectation of `values` [Q, n] at the likeliest of k of the n samples, [Q]."""
    count = samples.log_p.shape[1]
    if not 1 <= k <= count:
        raise ValueError(f"k is {k}, but there are {count} samples: choose k from 1 to {count}.")
    chance = np.array([math.comb(count - i, k - 1) for i in range(1, count + 1)]) / math.comb(count, k)
    order = np.argsort(-samples.log_p, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1) @ chance


def from_samples(samples: BaseSamples, majority: dict[int, Interval]) -> list[Baseline]:
    """`sampled`, `best of n` by log p and `majority vote`, for each k of maj@k in `majority`."""
    tokens, rows = float(samples.length.mean()), []
    for k in majority:
        method = "sampled" if k == 1 else "best of n"
        log_p = float(_of_the_likeliest(samples, samples.log_p, k).mean())
        rows.append(Baseline(method, k, forecast.estimate(best_of(samples, k)), k * tokens, log_p))
    votes = [Baseline("majority vote", k, value, k * tokens, math.nan) for k, value in majority.items() if k > 1]
    return rows + votes


def as_table(found: Sequence[Baseline]) -> pd.DataFrame:
    """A row a baseline: `method`, `budget`, `accuracy`, `low`, `high`, `tokens`, `log_p` and `acceptance`."""
    rows = [[b.method, b.budget, *b.accuracy, b.tokens, b.log_p, b.acceptance] for b in found]
    columns = ["method", "budget", "accuracy", "low", "high", "tokens", "log_p", "acceptance"]
    return pd.DataFrame(rows, columns=columns)


def run(
    model,
    tokenizer,
    asked: Sequence[problems.Problem],
    max_tokens: int,
    alpha: float,
    steps: Sequence[int],
    particles: Sequence[int],
    block: int,
    seed: int = 0,
) -> list[Baseline]:
    """Greedy decoding, token temperature 1/α and both power samplers at the given budgets, one answer a problem each.

    The methods' random numbers do not depend on one another; all of them see the problems in the same order.
    """
    prompts = models.prompt_ids(tokenizer, [problem.messages for problem in asked])

    def of(count: int = 1) -> engine.ModelEngine:
        return engine.ModelEngine(model, tokenizer, [prompt for prompt in prompts for _ in range(count)])

    def rng() -> np.random.Generator:
        return np.random.default_rng(seed)

    drawn = [("greedy", 1, power.draw(of(), max_tokens, math.inf, rng()))]
    drawn.append(("token temperature", 1, power.draw(of(), max_tokens, alpha, rng())))
    drawn += [("power: Metropolis-Hastings", n, power.metropolis(of(), max_tokens, alpha, n, rng())) for n in steps]
    drawn += [
        ("power: sequential Monte Carlo", n, power.sequential(of(n), max_tokens, alpha, n, rng(), block))
        for n in particles
    ]
    return [_graded(tokenizer, asked, method, budget, result) for method, budget, result in drawn]


def _graded(tokenizer, asked: Sequence[problems.Problem], method: str, budget: int, drawn: power.Drawn) -> Baseline:
    """One answer a problem, checked against its gold."""
    rows = zip(drawn.rows.tokens, drawn.rows.length, strict=True)
    texts = [tokenizer.decode(tokens[:length].tolist(), skip_special_tokens=True) for tokens, length in rows]
    correct = [verdict.correct for verdict in evaluate.grade(texts, [problem.gold for problem in asked])]
    log_p, accuracy = float(drawn.rows.sum_p().mean()), forecast.estimate(np.array(correct, float))
    acceptance = drawn.acceptance if "Metropolis" in method else math.nan
    return Baseline(method, budget, accuracy, drawn.tokens / len(asked), log_p, acceptance)
