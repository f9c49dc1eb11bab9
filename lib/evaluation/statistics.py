"""The statistics of an evaluation: pass@k, maj@k, and how far a number can be trusted. Pure arithmetic on graded samples.

Means are taken over questions, and questions are resampled: samples of one question are not independent evidence."""

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats
from scipy.signal import convolve2d

LEVEL, POWER = 0.95, 0.80
EVALUATION_NOISE = "evaluation noise only"  # one seed: nothing is known about another training run
ALL_NOISE = "evaluation and training noise"


class Votes(NamedTuple):
    """The answers to one question: how many say the right one, how many each wrong one (sorted), how many say nothing."""

    right: int
    wrong: tuple[int, ...]
    silent: int


class Interval(NamedTuple):
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """A paired difference of means, after − before, with its 95% interval; `noise` says what the interval covers, and `detectable`
    is the minimum detectable effect at the same size and spread."""

    mean: float
    low: float
    high: float
    detectable: float
    questions: int
    seeds: int
    noise: str


def check_k(k: int, samples: int) -> None:
    """Raises ValueError if k is not in 1..samples."""
    if not 1 <= k <= samples:
        raise ValueError(f"k is {k}, but there are {samples} samples: choose k from 1 to {samples}.")


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """The chance that at least one of k samples, drawn without replacement, is correct: 1 − C(n−c, k) / C(n, k), unbiased for the
    chance of k fresh samples (Chen et al. 2021, arXiv 2107.03374)."""
    check_k(k, samples)
    return 1.0 - math.comb(samples - correct, k) / math.comb(samples, k)


@functools.lru_cache(maxsize=100_000)
def pass_curve(samples: int, correct: int) -> tuple[float, ...]:
    """pass@1 … pass@n of one question."""
    return tuple(pass_at_k(samples, correct, k) for k in range(1, samples + 1))


def count_votes(answers: Iterable[object], gold: str) -> Votes:
    """The votes of one question; equal texts are one answer (`cluster` makes equivalent ones equal), anything else is silence."""
    counts = Counter(answer if isinstance(answer, str) else None for answer in answers)
    silent, right = counts.pop(None, 0), counts.pop(gold, 0)
    return Votes(right, tuple(sorted(counts.values())), silent)


@functools.lru_cache(maxsize=100_000)
def maj_curve(votes: Votes) -> tuple[float, ...]:
    """maj@1 … maj@n of one question, exact, by counting the subsets of each size in which the right answer wins with j votes.
    ways[t, d] says in how many ways d other answers can be drawn so that none has more than j votes and t have exactly j: each
    wrong answer multiplies this generating function by its own. A subset with t ties counts 1 / (1 + t). For up to 1,000
    answers."""
    right, total = votes.right, votes.right + sum(votes.wrong) + votes.silent
    won = np.zeros(total + 1)  # by subset size
    for j in range(1, right + 1):
        ways = special.binom(votes.silent, np.arange(votes.silent + 1))[None]
        for count in votes.wrong:
            drawn = np.arange(min(count, j) + 1)
            ways = convolve2d(ways, special.binom(count, drawn) * [drawn < j, drawn == j])
        shared = np.einsum("td,t->d", ways, 1 / np.arange(1, len(ways) + 1))
        won[j : j + len(shared)] += math.comb(right, j) * shared
    return tuple(won[k] / math.comb(total, k) for k in range(1, total + 1))


def cluster(answers: list[str | None], correct: list[bool], gold: str, equal: Callable[[str, str], bool]) -> list[str | None]:
    """Each answer of one question as a vote: a correct one for `gold`, a wrong one for the first wrong answer that it is `equal` to
    (equal texts never ask); None and an empty answer are silence, None."""
    votes: list[str | None] = []
    leaders: dict[str, str] = {}  # of each wrong text, the text that it votes for
    for answer, right in zip(answers, correct, strict=True):
        text = answer.strip() if isinstance(answer, str) else ""
        if text and not right and text not in leaders:
            leaders[text] = next((other for other in dict.fromkeys(leaders.values()) if equal(other, text)), text)
        votes.append(gold if right else leaders.get(text))
    return votes


def powers_of_two(samples: int) -> list[int]:
    """1, 2, 4, … up to `samples`: the k of pass@k and maj@k."""
    return [2**i for i in range(samples.bit_length()) if 2**i <= samples]


def interval(values: ArrayLike, seed: int = 0, draws: int = 2000, rate: bool = False) -> tuple[float, float]:
    """The 95% interval of a mean over questions, by bootstrap over questions; `values` holds one number per question, [P].
    Percentiles of the resampled means, as far out as a Student interval would end, so that few questions do not make it too narrow
    (the expanded percentile of Hesterberg 2015, The American Statistician 69(4), section 5.2). With `rate`, values that are all 0
    or all 1 get the exact binomial bound: a bootstrap cannot see what did not happen. One question alone has no interval: NaN."""
    values = np.asarray(values, dtype=float)
    count, tail = len(values), (1 - LEVEL) / 2
    if count < 2:
        return math.nan, math.nan
    if rate and values[0] in (0.0, 1.0) and np.ptp(values) == 0:
        bound = tail ** (1 / count)
        return (bound, 1.0) if values[0] else (0.0, 1 - bound)
    picks = np.random.default_rng(seed).integers(0, count, (draws, count))
    return percentiles(values[picks].mean(axis=1), count)


def resampled(questions: int, draws: int = 2000, seed: int = 0) -> np.ndarray:
    """The weights of questions in each draw of a bootstrap, [draws, questions]: rows sum to 1, and `weights @ values` are means."""
    return np.random.default_rng(seed).multinomial(questions, np.full(questions, 1 / questions), draws) / questions


def percentiles(draws: ArrayLike, count: int) -> tuple[float, float]:
    """The ends of a 95% interval from bootstrap draws over `count` questions, expanded as in `interval`; NaN for one question."""
    if count < 2:
        return math.nan, math.nan
    further = NormalDist().cdf(-math.sqrt(count / (count - 1)) * stats.t.ppf((1 + LEVEL) / 2, count - 1))
    low, high = np.quantile(np.asarray(draws, dtype=float), [further, 1 - further])
    return float(low), float(high)


def estimate(values: ArrayLike, rate: bool = False) -> Interval:
    """The mean of one number per question, [P], with its `interval`."""
    return Interval(float(np.asarray(values, dtype=float).mean()), *interval(values, rate=rate))


def two_level(values: ArrayLike) -> tuple[Interval, float]:
    """(the mean of `values` [S, P] with its 95% interval, its standard error): S ≥ 2 seeds on the same P ≥ 2 questions.

    The variance of the mean is (MS_seed + MS_question − MS_residual) / (S·P), with the mean squares of a two-way analysis of
    variance: unbiased for random seeds, random questions and what the two do together (Searle, Casella and McCulloch 1992,
    Variance Components). Where that is not positive, the largest of the three mean squares alone stands for their sum.

    Half of the interval is a quantile times the standard error: the mean of Student's for S − 1, P − 1 and (S − 1)(P − 1) degrees
    of freedom, weighted by the mean squares with their signs, but at most the largest of the three (Cochran and Cox 1957,
    Experimental Designs). Satterthwaite's degrees of freedom (1946, Biometrics Bulletin 2(6)) hold the truth too rarely: in 87% of
    studies with two seeds, 92% with three, where seeds have a standard deviation of 5 points, on 200 questions."""
    values = np.asarray(values, dtype=float)
    seeds, questions = values.shape
    mean, by_seed, by_question = values.mean(), values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    parts = (by_seed - mean, by_question - mean, values - by_seed - by_question + mean)
    degrees = np.array([seeds - 1, questions - 1, (seeds - 1) * (questions - 1)])
    squares = np.array([(np.broadcast_to(part, values.shape) ** 2).sum() for part in parts]) / degrees
    quantiles, signed = stats.t.ppf((1 + LEVEL) / 2, degrees), squares * [1, 1, -1]
    total, largest = signed.sum(), squares.argmax()
    if total > 0:
        quantile = min(signed @ quantiles / total, quantiles.max())
    else:
        total, quantile = squares[largest], quantiles[largest]
    error = math.sqrt(total / values.size)
    half = float(quantile) * error
    return Interval(float(mean), float(mean) - half, float(mean) + half), error


def difference(before: ArrayLike, after: ArrayLike) -> Difference:
    """after − before on the same questions, each [P] (one evaluation) or [S, P] (one row per seed; seeds are paired in order). One
    evaluation, such as a base's, is compared with every seed of the other. One seed's interval is a bootstrap over questions, that
    of more is `two_level`. Raises ValueError if questions or seeds do not match."""
    first, second = (np.atleast_2d(np.asarray(side, dtype=float)) for side in (before, after))
    if first.shape[1] != second.shape[1] or len(first) != len(second) and 1 not in (len(first), len(second)):
        raise ValueError(f"Values of shape {first.shape} and {second.shape} cannot be paired by seed and question.")
    paired = second - first
    seeds, questions = paired.shape
    if seeds > 1:
        found, error = two_level(paired)
        return Difference(*found, minimum_detectable_effect(error), questions, seeds, ALL_NOISE)
    error = float(paired.std(ddof=1)) / math.sqrt(questions)
    return Difference(*estimate(paired[0]), minimum_detectable_effect(error), questions, 1, EVALUATION_NOISE)


def minimum_detectable_effect(standard_error: float) -> float:
    """The smallest true difference that a two-sided 5% test finds with 80% power: (z₀.₉₇₅ + z₀.₈) · standard error ≈ 2.80 · it. For
    a paired comparison the standard error is that of the mean difference, s_d/√P (Bloom 1995, Evaluation Review 19(5); for language
    models Miller 2024, arXiv 2411.00640). Normal quantiles: good from some 30 questions on, too small with few seeds."""
    quantile = NormalDist().inv_cdf
    return (quantile((1 + LEVEL) / 2) + quantile(POWER)) * standard_error


def planned_effect(values: ArrayLike) -> float:
    """The minimum detectable effect against a second run as noisy as `values`, one number per question, and not correlated with it:
    that of √2 times their standard error."""
    values = np.asarray(values, dtype=float)
    return minimum_detectable_effect(math.sqrt(2 / len(values)) * values.std(ddof=1)) if len(values) > 1 else math.nan
