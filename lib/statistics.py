"""The statistics of an evaluation: pass@k, maj@k, and how far a number can be trusted. Pure arithmetic on graded samples.

Running a model is `lib.evaluate`; which results may be compared at all is `lib.fingerprints`. A rate or a mean is taken over
questions, and a question is the unit that is resampled: samples of one question are not independent evidence.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

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
    """A paired difference of means, after − before, with its 95% interval; `noise` says what the interval covers.

    `detectable` is the minimum detectable effect at the same size and spread.
    """

    mean: float
    low: float
    high: float
    detectable: float
    questions: int
    seeds: int
    noise: str


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """The chance that at least one of k samples, drawn without replacement from `samples`, is correct.

    1 − C(n−c, k) / C(n, k), unbiased for the chance of k fresh samples (Chen et al. 2021, arXiv 2107.03374).
    Raises ValueError if k is not in 1..samples.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"k is {k}, but there are {samples} samples: choose k from 1 to {samples}.")
    return 1.0 - math.comb(samples - correct, k) / math.comb(samples, k)


@functools.lru_cache(maxsize=100_000)
def pass_curve(samples: int, correct: int) -> tuple[float, ...]:
    """pass@1 … pass@n of one question."""
    return tuple(pass_at_k(samples, correct, k) for k in range(1, samples + 1))


def count_votes(answers: Sequence[str | None], gold: str) -> Votes:
    """The votes of one question; equal strings are one answer (`cluster` makes equivalent ones equal), None is silence."""
    counts = Counter(answers)
    silent, right = counts.pop(None, 0), counts.pop(gold, 0)
    return Votes(right, tuple(sorted(counts.values())), silent)


def maj_at_k(answers: Sequence[str | None], gold: str, k: int) -> float:
    """The chance that the most frequent answer among k of the answers, drawn without replacement, is `gold`.

    Ties are shared evenly. None is no vote: it can be drawn, but it cannot win. Raises ValueError if k is not in 1..n.
    """
    if not 1 <= k <= len(answers):
        raise ValueError(f"k is {k}, but there are {len(answers)} answers: choose k from 1 to {len(answers)}.")
    return maj_curve(count_votes(answers, gold))[k - 1]


@functools.lru_cache(maxsize=100_000)
def maj_curve(votes: Votes) -> tuple[float, ...]:
    """maj@1 … maj@n of one question, exact, by counting the subsets of each size in which the right answer wins.

    ways[j, t, d] is in how many ways d answers other than the right one are drawn so that none of them has more than j + 1
    votes and t have exactly as many. It grows by one wrong answer at a time; a subset with t ties counts 1 / (1 + t). For up to
    1,000 answers (beyond, binomials leave the range of a float).
    """
    right, total = votes.right, votes.right + sum(votes.wrong) + votes.silent
    if not right:
        return (0.0,) * total
    ways = np.zeros((right, len(votes.wrong) + 1, total + 1))
    ways[:, 0, : votes.silent + 1] = [float(math.comb(votes.silent, d)) for d in range(votes.silent + 1)]
    for count in votes.wrong:
        ways = _with_one_more(ways, count)
    shared = np.einsum("jtd,t->jd", ways, 1 / np.arange(1, len(votes.wrong) + 2))
    won = np.zeros(total + 1)  # by subset size
    for j in range(1, right + 1):
        won[j:] += math.comb(right, j) * shared[j - 1, : total + 1 - j]
    return tuple(won[k] / math.comb(total, k) for k in range(1, total + 1))


def _with_one_more(ways: np.ndarray, count: int) -> np.ndarray:
    """`ways` [right, ties, drawn] after up to `count` of one more wrong answer may be drawn, too."""
    right, _, size = ways.shape
    extended = np.zeros_like(ways)
    for drawn in range(min(count, right) + 1):
        number = math.comb(count, drawn)
        extended[drawn:, :, drawn:] += number * ways[drawn:, :, : size - drawn]  # fewer votes than the right answer
        if drawn:  # as many
            extended[drawn - 1, 1:, drawn:] += number * ways[drawn - 1, :-1, : size - drawn]
    return extended


def cluster(
    answers: Sequence[str | None], correct: Sequence[bool], gold: str, equal: Callable[[str, str], bool]
) -> list[str | None]:
    """Each answer of one question as a vote: equivalent answers become the same string, None is silence.

    A correct answer votes for `gold`, however it is written. A wrong one joins the first wrong answer that it is `equal` to, and
    votes for that one's text; equal texts never ask. No answer, and an empty one, is silence.
    """
    votes: list[str | None] = []
    leaders: dict[str, str] = {}  # of each text seen, the text that it votes for
    for answer, right in zip(answers, correct, strict=True):
        if right:
            votes.append(gold)
            continue
        text = answer.strip() if isinstance(answer, str) else ""
        if text and text not in leaders:
            leaders[text] = next((other for other in dict.fromkeys(leaders.values()) if equal(other, text)), text)
        votes.append(leaders.get(text))
    return votes


def powers_of_two(samples: int) -> list[int]:
    """1, 2, 4, … up to `samples`: the k of pass@k and maj@k."""
    return [2**i for i in range(samples.bit_length()) if 2**i <= samples]


def interval(values: Sequence[float], seed: int = 0, draws: int = 2000, rate: bool = False) -> tuple[float, float]:
    """The 95% interval of a mean over questions, by bootstrap over questions; `values` holds a number a question, [P].

    Percentiles of the resampled means, further out than 2.5% and 97.5% so that few questions do not make it too narrow: where
    a Student interval of the true spread would end (the expanded percentile of Hesterberg 2015, The American Statistician
    69(4), section 5.2). With `rate`, values in [0, 1] that are all 0 or all 1 get the exact binomial bound, since a
    bootstrap cannot see what did not happen. One question alone has no interval: NaN.
    """
    values = np.asarray(values, dtype=float)
    count = len(values)
    if count < 2:
        return math.nan, math.nan
    tail = (1 - LEVEL) / 2
    if rate and values[0] in (0.0, 1.0) and np.ptp(values) == 0:
        bound = tail ** (1 / count)
        return (bound, 1.0) if values[0] else (0.0, 1 - bound)
    picks = np.random.default_rng(seed).integers(0, count, (draws, count))
    further = NormalDist().cdf(-math.sqrt(count / (count - 1)) * student(1 - tail, count - 1))
    low, high = np.quantile(values[picks].mean(axis=1), [further, 1 - further])
    return float(low), float(high)


def two_level(values: np.ndarray, seed: int = 0, draws: int = 4000) -> tuple[Interval, float]:
    """(the mean over seeds and questions with its 95% interval, its standard error), of `values` [S, P]: S ≥ 2 seeds on the same
    P ≥ 2 questions.

    Each draw resamples S − 1 seeds and, crossed with them, P − 1 questions: one fewer makes the variance of either level
    unbiased (Rao and Wu 1988, JASA 83), where S of S would give two thirds of it for three seeds. What the two levels share,
    their interaction, counts twice, which errs on the wide side (Owen 2007, arXiv 0712.1111). A Student interval with
    Satterthwaite's degrees of freedom, because percentiles of three seeds cannot lie beyond the most extreme seed.
    """
    values = np.asarray(values, dtype=float)
    seeds, questions = values.shape
    rng = np.random.default_rng(seed)
    of_seeds = rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), draws) / (seeds - 1)
    of_questions = rng.multinomial(questions - 1, np.full(questions, 1 / questions), draws) / (questions - 1)
    error = float(((of_seeds @ values) * of_questions).sum(axis=1).std(ddof=1))
    parts = [(values.mean(axis=1 - level).var(ddof=1) / n, n - 1) for level, n in enumerate((seeds, questions))]
    spread = sum(part**2 / degrees for part, degrees in parts)
    degrees = sum(part for part, _ in parts) ** 2 / spread if spread else questions - 1
    half, mean = student((1 + LEVEL) / 2, degrees) * error, float(values.mean())
    return Interval(mean, mean - half, mean + half), error


def difference(before: np.ndarray, after: np.ndarray) -> Difference:
    """after − before on the same questions, each [P] (one evaluation) or [S, P] (a row a seed; seeds are paired in order).

    One evaluation, such as a base's, is compared with every seed of the other. With one seed the interval is the question-level
    bootstrap of the paired differences, `EVALUATION_NOISE`; with more it is `two_level`. Raises ValueError if the questions or
    the seeds do not match.
    """
    before, after = (np.atleast_2d(np.asarray(side, dtype=float)) for side in (before, after))
    if before.shape[1] != after.shape[1] or len(before) != len(after) and 1 not in (len(before), len(after)):
        raise ValueError(f"Values of shape {before.shape} and {after.shape} cannot be paired by seed and question.")
    paired = after - before
    seeds, questions = paired.shape
    if seeds == 1:
        mean, error = float(paired.mean()), float(paired[0].std(ddof=1)) / math.sqrt(questions)
        found = Interval(mean, *interval(paired[0]))
    else:
        found, error = two_level(paired)
    noise = EVALUATION_NOISE if seeds == 1 else ALL_NOISE
    return Difference(*found, minimum_detectable_effect(error), questions, seeds, noise)


def minimum_detectable_effect(standard_error: float) -> float:
    """The smallest true difference that a two-sided 5% test finds with 80% power: (z₀.₉₇₅ + z₀.₈) · standard error ≈ 2.80 · it.

    For a paired comparison the standard error is that of the mean difference, s_d/√P (Bloom 1995, Evaluation Review 19(5); for
    language models Miller 2024, arXiv 2411.00640). Before there is a second run, √2 times the standard error of the first stands
    for it: a second run that is as noisy and not correlated with it. Normal quantiles: from some 30 questions
    on, and too small a value with few seeds.
    """
    z = NormalDist().inv_cdf
    return (z((1 + LEVEL) / 2) + z(POWER)) * standard_error


def planned_effect(values: Sequence[float]) -> float:
    """The minimum detectable effect against an uncorrelated second run with the spread of `values`, a number a question."""
    values = np.asarray(values, dtype=float)
    return minimum_detectable_effect(math.sqrt(2 / len(values)) * values.std(ddof=1)) if len(values) > 1 else math.nan


@functools.lru_cache(maxsize=1000)
def student(probability: float, degrees: float) -> float:
    """The quantile of Student's t, for a probability from 0.5 to below 1 and any number of degrees of freedom above 0.

    With t = √ν·tan θ the distribution function is ½ + c·∫₀^θ cos^(ν−1), a smooth integral over a short stretch; θ by bisection.
    """
    nodes, weights = np.polynomial.legendre.leggauss(80)
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)

    def below(angle: float) -> float:
        return 0.5 + scale * angle / 2 * float(weights @ np.cos(angle / 2 * (nodes + 1)) ** (degrees - 1))

    low, high = 0.0, min(math.pi / 2, 40 / math.sqrt(degrees))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < probability else (low, middle)
    return math.sqrt(degrees) * math.tan((low + high) / 2)
