"""Would sharpening help? A forecast of accuracy under p^α, from samples of the base alone.

Samples of p are reweighted by p^(α−1) within each question: self-normalised importance sampling, its bias taken off by the
jackknife. The slope at α = 1 is the covariance of correctness and log-probability (`distributions.accuracy_slopes` has the exact
identity). A likely string that no sample shows is invisible, unless it is the greedy completion."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.evaluation.statistics import Interval, estimate
from lib.theory import distributions

KINDS = ("completion", "mean", "answer")
LEAST_ESS = 4.0  # effective samples per question, the mean over questions, below which there is no forecast
MOST_CORRECTION = 0.05  # of accuracy: the largest jackknife correction of a forecast that is given
MOST_UNSEEN = 0.05  # of p^α: the largest share of greedy completions that no sample shows
LENGTHS = 50  # classes of lengths that the slope is split by, at most


@dataclasses.dataclass(frozen=True)
class BaseSamples:
    """n samples of the base at temperature 1 on each of Q questions; every field but the last has shape [Q, n]. `log_p` sums over
    tokens in nats, EOS included; `correct` is 0 or 1; `length` counts tokens; `answer` is the same number for equivalent answers of
    a question, negative for none. `greedy` [Q] is log p of the greedy completion where no sample shows it, and −inf elsewhere.
    Raises ValueError for fewer than two samples or a log p that is not finite."""

    log_p: np.ndarray
    correct: np.ndarray
    length: np.ndarray
    answer: np.ndarray
    greedy: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.log_p.shape[1] < 2 or not np.isfinite(self.log_p).all():
            raise ValueError("A forecast needs two or more samples per question, each with a finite log-probability.")

    def part(self, columns: slice) -> "BaseSamples":
        """Some of each question's samples, without `greedy`."""
        return BaseSamples(*(values[:, columns] for values in (self.log_p, self.correct, self.length, self.answer)))


class Point(NamedTuple):
    """The forecast at one α: `accuracy`, and its `change` against that at α = 1; both are None where `refusal` says why the
    samples cannot carry them. `ess` is the mean effective sample size per question."""

    alpha: float
    accuracy: Interval | None
    change: Interval | None
    ess: float
    refusal: str


class Slope(NamedTuple):
    """Cov(r, log p) within a question in nats, the slope of accuracy at α = 1, and its two parts; those of answers have none. With
    m(T) the level of log p at length T, `between_length` is Cov(r, m(T)): short (or long) answers are likelier, and right more or
    less often. `within_length` is Cov(r, log p − m(T)). The parts' intervals take m as known."""

    total: Interval
    between_length: Interval | None = None
    within_length: Interval | None = None


def from_table(table: pd.DataFrame, greedy: pd.DataFrame | None = None) -> BaseSamples:
    """`BaseSamples` of an evaluation's tables (`metrics.Graded`); ValueError without votes, or with unequal numbers of samples."""
    if "vote" not in table or table["problem_id"].value_counts().nunique() != 1:
        raise ValueError("A forecast needs votes, and the same number of samples for each problem: evaluate again.")
    groups = table.assign(answer=pd.factorize(table["vote"])[0]).groupby("problem_id", sort=False)
    names = ("reference_logprob", "correct", "length", "answer")
    found = BaseSamples(*(np.array(groups[name].agg(list).tolist(), dtype=float) for name in names))
    if greedy is None:
        return found
    seen = [answer in texts for answer, texts in zip(greedy["completion"], groups["completion"].agg(set), strict=True)]
    return dataclasses.replace(found, greedy=np.where(seen, -np.inf, greedy["reference_logprob"].to_numpy(dtype=float)))


def energies(samples: BaseSamples, kind: str) -> np.ndarray:
    """What α multiplies, in nats, [Q, n]; ValueError for an unknown kind. `completion`: log p. `mean`: log p / T, as in `tempered`
    with normalization 'mean'. `answer`: log f with the share f of the sample's answer among the n, a plug-in for the answer
    marginal; −inf for no answer, but 0 where no sample has one."""
    if kind not in KINDS:
        raise ValueError(f"Unknown kind {kind!r}: choose one of {', '.join(KINDS)}.")
    if kind != "answer":
        return samples.log_p / samples.length if kind == "mean" else samples.log_p
    same, silent = samples.answer[:, :, None] == samples.answer[:, None, :], samples.answer < 0
    energy = np.where(silent, -np.inf, np.log(same.mean(axis=2)))
    energy[silent.all(axis=1)] = 0.0  # all weigh the same, and all are wrong
    return energy


def weights(samples: BaseSamples, alpha: float, kind: str = "completion") -> np.ndarray:
    """The normalised importance weights of each question's samples, ∝ exp((α−1)·energy), [Q, n]; of answers they become a majority
    vote as α grows. Raises ValueError for an α that is not finite."""
    if not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha}: choose a finite number.")
    energy = energies(samples, kind)
    raised = np.multiply(alpha - 1.0, energy, where=np.isfinite(energy), out=np.full_like(energy, -np.inf))
    return np.exp(distributions.normalise(raised))


def by_question(samples: BaseSamples, alpha: float, kind: str = "completion") -> tuple[np.ndarray, np.ndarray]:
    """(accuracy under p^α of each question, what the delete-one jackknife added to it), each [Q]. A corrected value of one question
    may lie outside of 0 to 1; it is their mean that is less biased. Answers, whose weights are estimates themselves, are not
    corrected."""
    w, count = weights(samples, alpha, kind), samples.log_p.shape[1]
    plain = (w * samples.correct).sum(axis=1)
    if kind == "answer":
        return plain, np.zeros_like(plain)
    rest, kept = 1.0 - w, np.repeat(plain[:, None], count, axis=1)
    without = np.divide(plain[:, None] - w * samples.correct, rest, out=kept, where=rest > 1e-12)
    correction = (count - 1) * (plain - without.mean(axis=1))
    return plain + correction, correction


def forecast(samples: BaseSamples, alphas: Sequence[float], kind: str = "completion") -> list[Point]:
    """Accuracy under p^α for each α, averaged over questions, with 95% intervals for questions like these; `kind` as in `energies`.
    α = 1 is never refused. A mean of jackknifed values may lie a little outside of 0 to 1: all three are cut off there."""
    points, (base, _) = [], by_question(samples, 1.0, kind)
    for alpha in alphas:
        accuracy, correction = by_question(samples, alpha, kind)
        change = estimate(accuracy - base)
        ess = float((1.0 / (weights(samples, alpha, kind) ** 2).sum(axis=1)).mean())
        refusal = "" if alpha == 1 else _refusal(samples, alpha, kind, ess, correction.mean(), change)
        given = None if refusal else Interval(*np.clip(estimate(accuracy), 0.0, 1.0))
        points.append(Point(float(alpha), given, None if refusal else change, ess, refusal))
    return points


def _refusal(samples: BaseSamples, alpha: float, kind: str, ess: float, correction: float, change: Interval) -> str:
    """Why there is no forecast at this α, or nothing."""
    if alpha < 1:
        return "α below 1 asks for completions that the samples do not show"
    if ess < LEAST_ESS:
        return f"{ess:.1f} effective samples per problem, fewer than {LEAST_ESS:g}"
    if abs(correction) > MOST_CORRECTION:
        return f"a bias of about {abs(correction):.0%} from too few samples"
    if kind == "completion" and samples.greedy is not None:
        share = np.exp(np.minimum(0.0, alpha * samples.greedy - log_partition(samples, alpha))).mean()
        if share > MOST_UNSEEN:
            return f"greedy completions that no sample shows would hold {share:.0%}"
    if kind == "answer":
        half = samples.log_p.shape[1] // 2
        parts = [samples.part(slice(half)), samples.part(slice(half, 2 * half))] if half > 1 else []
        moved = [by_question(part, alpha, kind)[0] - by_question(part, 1.0, kind)[0] for part in parts]
        if not parts or not change.low <= np.mean(moved) <= change.high:
            return "half of the samples forecast something else"
    return ""


def log_partition(samples: BaseSamples, alpha: float) -> np.ndarray:
    """log Σ p^α = log E_p[p^(α−1)] of each question in nats, [Q]: what `tempered`'s objective is worth at its optimum, but too low
    by about half of the relative variance of p^(α−1), divided by n."""
    return distributions.log_partition((alpha - 1.0) * samples.log_p) - math.log(samples.log_p.shape[1])


def verdict(points: Sequence[Point]) -> str:
    """One sentence: sharpening is predicted to help, to hurt, or to do nothing that can be told from noise, and up to which α. Of
    the α above 1, up to the first refusal: the best one where the change is clearly above 0, and the worst one beyond it where it
    is clearly below. Picking the best of a grid makes a claim out of noise a little more often than in 5% of cases."""
    above = sorted((p for p in points if p.alpha > 1), key=lambda p: p.alpha)
    change = {p.alpha: p.change for p in itertools.takewhile(lambda p: not p.refusal, above) if p.change}
    if not change:
        return "No forecast: these samples are too few for any α above 1; draw more per problem."

    def in_points(alpha: float) -> str:
        value, low, high = (100 * part for part in change[alpha])
        return f"{value:+.1f} points ({low:+.1f} to {high:+.1f}) at α = {alpha:g}"

    best = max((a for a in change if change[a].low > 0), key=lambda a: change[a].mean, default=1.0)
    worst = min((a for a in change if change[a].high < 0 and a > best), key=lambda a: change[a].mean, default=1.0)
    said = [f"{effect}, by {in_points(alpha)}" for effect, alpha in (("help", best), ("hurt", worst)) if alpha > 1]
    said = said or [f"do nothing that can be told from noise: {in_points(max(change))}"]
    limit = f" Beyond α = {max(change):g} these samples cannot say." if len(change) < len(above) else ""
    return f"Sharpening is predicted to {', and then to '.join(said)}.{limit}"


def as_table(points: Mapping[str, Sequence[Point]]) -> pd.DataFrame:
    """Forecasts by kind as rows: `kind`, `alpha`, `accuracy`, `low`, `high` (nan where refused), `ess` and `refusal`."""
    refused = (math.nan,) * 3
    rows = [[kind, p.alpha, *(p.accuracy or refused), p.ess, p.refusal] for kind, found in points.items() for p in found]
    return pd.DataFrame(rows, columns=["kind", "alpha", "accuracy", "low", "high", "ess", "refusal"])


def slope(samples: BaseSamples, kind: str = "completion") -> Slope:
    """The slope of accuracy at α = 1, unbiased, with its parts between and within lengths; `kind` as in `energies`. Of answers it
    is Cov(r, log f) with the unknown marginal f of a sample's answer, among samples that have one."""
    if kind == "answer":
        return Slope(estimate(_answer_covariances(samples.correct, samples.answer)))
    energy = energies(samples, kind)
    by_length = _mean_by_length(energy, samples.length)
    return Slope(*(estimate(covariances(samples.correct, part)) for part in (energy, by_length, energy - by_length)))


def covariances(correct: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """The unbiased covariance within each question, [Q, n] to [Q]."""
    product = (correct - correct.mean(axis=1, keepdims=True)) * (log_p - log_p.mean(axis=1, keepdims=True))
    return product.sum(axis=1) / (correct.shape[1] - 1)


def _mean_by_length(energy: np.ndarray, length: np.ndarray) -> np.ndarray:
    """m(T) at each sample, [Q, n]: least squares of energy on a question's own level and its length's, which all questions share.
    Lengths are put into at most LENGTHS classes with equally many samples, 100 or more: too many classes would fit noise."""
    classes, most = np.unique(length), int(np.clip(length.size // 100, 1, LENGTHS))
    if len(classes) > most:
        classes = np.unique(np.quantile(length, np.linspace(0, 1, most + 1)[:-1], method="lower"))
    place = np.searchsorted(classes, length, side="right") - 1
    indicator = np.eye(len(classes))[place]
    within = indicator - indicator.mean(axis=1, keepdims=True)
    centred = energy - energy.mean(axis=1, keepdims=True)
    level, *_ = np.linalg.lstsq(within.reshape(-1, len(classes)), centred.ravel())
    return level[place]


def _answer_covariances(correct: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Cov(r, log f) within each question, [Q, n] to [Q], where f is the unknown probability of a sample's answer. If c of m samples
    say the same, H(c−1) − H(m−1) with the harmonic numbers H has the mean −Σ (1−f)^k / k over k < m: log f, but for a tail that
    fades like (1−f)^m (Grassberger's kind of entropy estimate). In the product of means each factor leaves the other's sample out.
    A question with fewer than two answered samples counts as 0."""
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, answer.shape[1] + 1))])
    found = np.zeros(len(answer))
    for q, (right, said) in enumerate(zip(correct, answer)):
        r, said = right[said >= 0], said[said >= 0]
        if (m := len(said)) < 2:
            continue
        same = said[:, None] == said[None, :]
        c = same.sum(axis=1)
        together = r @ (harmonic[c - 1] - harmonic[m - 1]) / m
        without = harmonic[c - 1 - (same & ~np.eye(m, dtype=bool))] - harmonic[m - 2]  # [i, j]: of j, without i
        np.fill_diagonal(without, 0.0)
        found[q] = together - r @ without.sum(axis=1) / (m * (m - 1))
    return found
