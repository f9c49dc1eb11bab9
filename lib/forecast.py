"""Would sharpening help? A forecast of accuracy under p^α, from samples of the base alone.

Samples of p, with their log-probabilities and verdicts, are reweighted by w ∝ p^(α−1) a question: self-normalised importance
sampling, its bias taken off by the jackknife. How far that carries is told by the effective sample size and by the size of
that correction; where it is too far there is no forecast. The slope at α = 1 is the covariance of correctness and log-probability
(`theory.accuracy_slopes` has the exact identity). Nothing is sampled or trained here, and nothing is known about the model but
what its samples say: a likely string that none of them shows is invisible, unless the greedy completion is it.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib import statistics, theory
from lib.statistics import Interval

KINDS = ("completion", "mean", "answer")
LEAST_ESS = 4.0  # effective samples a question, the mean over questions, below which there is no forecast
MOST_CORRECTION = 0.05  # of accuracy: the largest jackknife correction of a forecast that is given
MOST_UNSEEN = 0.05  # of p^α: the largest share of greedy completions that no sample shows
LENGTHS = 50  # classes of lengths that the slope is split by, at most


@dataclass(frozen=True)
class BaseSamples:
    """n samples of the base at temperature 1 on each of Q questions; every field but the last has shape [Q, n].

    `log_p` sums over tokens in nats, EOS included; `correct` is 0 or 1; `length` counts tokens; `answer` numbers the answers of
    a question, the same number for equivalent ones, and is negative where a sample has none. `greedy` [Q], if it is known, is
    log p of the greedy completion where it is not among the samples, and −inf where it is. Raises ValueError for fewer than two
    samples and for a log p that is no finite number.
    """

    log_p: np.ndarray
    correct: np.ndarray
    length: np.ndarray
    answer: np.ndarray
    greedy: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.log_p.shape[1] < 2 or not np.isfinite(self.log_p).all():
            raise ValueError("A forecast needs two or more samples a question, each with a finite log-probability.")


class Point(NamedTuple):
    """The forecast at one α: `accuracy`, and its `change` against that at α = 1; `ess` is the mean effective sample size a
    question. Where `refusal` says why the samples cannot carry a forecast, `accuracy` and `change` are None."""

    alpha: float
    accuracy: Interval | None
    change: Interval | None
    ess: float
    refusal: str


class Slope(NamedTuple):
    """Cov(r, log p) within a question in nats, the slope of accuracy at α = 1, and its two parts.

    With m(T) the level of log p at length T, `between_length` is Cov(r, m(T)): short (or long) answers are likelier, and right more
    or less often. `within_length` is Cov(r, log p − m(T)): what remains among completions of one length. The parts' intervals
    take m as known. Answers have no length: their slope has no parts.
    """

    total: Interval
    between_length: Interval | None = None
    within_length: Interval | None = None


def from_table(table: pd.DataFrame, greedy: pd.DataFrame | None = None) -> BaseSamples:
    """`BaseSamples` from an evaluation's raw samples: a row a sample, as many for each `problem_id`.

    Uses `reference_logprob`, `correct`, `length` and `vote`, in which equivalent answers of a question are the same string; of
    `greedy`, a row a problem in the same order, `completion` and `reference_logprob`.
    """
    groups = table.groupby("problem_id", sort=False)
    if "vote" not in table or groups.size().nunique() != 1:
        raise ValueError("A forecast needs votes, and the same number of samples for each problem: evaluate again.")
    shape = len(groups), int(groups.size().iloc[0])
    ordered = table.assign(question=groups.ngroup()).sort_values("question", kind="stable")
    answer = ordered.groupby("question")["vote"].transform(lambda column: column.factorize()[0])
    columns = (ordered["reference_logprob"], ordered["correct"], ordered["length"], answer)
    parts = [column.to_numpy(dtype=float).reshape(shape) for column in columns]
    if greedy is None:
        return BaseSamples(*parts)
    texts = ordered["completion"].to_numpy().reshape(shape)
    seen = (texts == greedy["completion"].to_numpy()[:, None]).any(axis=1)
    return BaseSamples(*parts, np.where(seen, -np.inf, greedy["reference_logprob"].to_numpy(dtype=float)))


def weights(samples: BaseSamples, alpha: float, kind: str = "completion") -> np.ndarray:
    """The normalised importance weights of each question's samples, [Q, n].

    `completion`: ∝ p^(α−1). `mean`: ∝ exp((α−1)·log p / T), the optimum of `tempered` with normalization 'mean'. `answer`:
    ∝ f^(α−1) with the share f of the sample's answer among the n, a plug-in for the sharpened answer marginal; no answer, no
    weight; with growing α it becomes a majority vote. Raises ValueError for another kind, and for an α that is not finite.
    """
    if not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha}: choose a finite number.")
    if kind == "answer":
        same = samples.answer[:, :, None] == samples.answer[:, None, :]
        silent = samples.answer < 0
        energy = np.where(silent, -np.inf, np.log(same.mean(axis=2)))
        energy[silent.all(axis=1)] = 0.0  # no sample has an answer: all weigh the same, and all are wrong
    elif kind in KINDS:
        energy = samples.log_p / (samples.length if kind == "mean" else 1.0)
    else:
        raise ValueError(f"Unknown kind {kind!r}: choose one of {', '.join(KINDS)}.")
    with np.errstate(invalid="ignore"):
        raised = np.where(np.isfinite(energy), (alpha - 1.0) * energy, -np.inf)
    return np.exp(theory.normalise(raised))


def forecast(samples: BaseSamples, alphas: Sequence[float], kind: str = "completion", seed: int = 0) -> list[Point]:
    """Accuracy under p^α for each α, averaged over questions, with 95% intervals for questions like these.

    Each question's estimate is corrected by the delete-one jackknife (for `answer`, whose weights are estimates themselves, not at
    all). Refused are α < 1, which moves mass to completions that samples never show; an effective sample size below LEAST_ESS;
    a correction above MOST_CORRECTION; greedy completions that were not sampled and would hold more than MOST_UNSEEN of p^α; and,
    for `answer`, a change that half of the samples would have put outside of its interval. α = 1 is never refused.
    """
    points, (base, _) = [], by_question(samples, 1.0, kind)
    for alpha in alphas:
        accuracy, correction = by_question(samples, alpha, kind)
        change = estimate(accuracy - base, seed)
        ess = float((1.0 / (weights(samples, alpha, kind) ** 2).sum(axis=1)).mean())
        refusal = "" if alpha == 1 else _refusal(samples, alpha, kind, ess, correction.mean(), change)
        given = (None, None) if refusal else (estimate(accuracy, seed), change)
        points.append(Point(float(alpha), *given, ess, refusal))
    return points


def by_question(samples: BaseSamples, alpha: float, kind: str = "completion") -> tuple[np.ndarray, np.ndarray]:
    """(accuracy under p^α of each question, what the jackknife added to it), each [Q].

    A corrected value of one question may lie outside of 0 to 1; it is their mean that is less biased.
    """
    w, count = weights(samples, alpha, kind), samples.log_p.shape[1]
    plain = (w * samples.correct).sum(axis=1)
    if kind == "answer":
        return plain, np.zeros_like(plain)
    rest, kept = 1.0 - w, np.repeat(plain[:, None], count, axis=1)
    without = np.divide(plain[:, None] - w * samples.correct, rest, out=kept, where=rest > 1e-12)
    correction = (count - 1) * (plain - without.mean(axis=1))
    return plain + correction, correction


def _refusal(samples: BaseSamples, alpha: float, kind: str, ess: float, correction: float, change: Interval) -> str:
    """Why there is no forecast at this α, or nothing."""
    if alpha < 1:
        return "α below 1 asks for completions that the samples do not show"
    if ess < LEAST_ESS:
        return f"{ess:.1f} effective samples a problem, fewer than {LEAST_ESS:g}"
    if abs(correction) > MOST_CORRECTION:
        return f"a bias of about {abs(correction):.0%} from too few samples"
    if kind == "completion" and samples.greedy is not None:
        share = np.exp(np.minimum(0.0, alpha * samples.greedy - _log_mean_weight(samples, alpha))).mean()
        if share > MOST_UNSEEN:
            return f"greedy completions that no sample shows would hold {share:.0%}"
    if kind == "answer" and not _halves_agree(samples, alpha, change):
        return "half of the samples forecast something else"
    return ""


def _halves_agree(samples: BaseSamples, alpha: float, change: Interval) -> bool:
    """Whether the answers' change would have been within its interval with half of the samples; never with fewer than 4."""
    half, moved = samples.correct.shape[1] // 2, []
    for part in (np.s_[:half], np.s_[half : 2 * half]) if half > 1 else ():
        columns = (samples.log_p, samples.correct, samples.length, samples.answer)
        smaller = BaseSamples(*(column[:, part] for column in columns))
        moved.append((by_question(smaller, alpha, "answer")[0] - by_question(smaller, 1.0, "answer")[0]).mean())
    return bool(moved) and change.low <= np.mean(moved) <= change.high


def _log_mean_weight(samples: BaseSamples, alpha: float) -> np.ndarray:
    """log E_p[p^(α−1)] = log Σ p^α of each question, estimated, [Q]."""
    return theory.log_partition((alpha - 1.0) * samples.log_p) - math.log(samples.log_p.shape[1])


def log_partition(samples: BaseSamples, alpha: float, seed: int = 0) -> Interval:
    """log Σ p^α in nats, averaged over questions: log E_p[p^(α−1)], the value of `tempered`'s objective at its optimum.

    The logarithm of a mean of n samples is too low by about half of the relative variance of p^(α−1), divided by n.
    """
    return estimate(_log_mean_weight(samples, alpha), seed)


def slope(samples: BaseSamples, kind: str = "completion", seed: int = 0) -> Slope:
    """The slope of accuracy at α = 1, unbiased, with its parts between and within lengths; `kind` as in `weights`.

    Of answers it is Cov(r, log f) with the marginal f of a sample's answer, among samples that have one; see `_answer_covariances`.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown kind {kind!r}: choose one of {', '.join(KINDS)}.")
    if kind == "answer":
        return Slope(estimate(_answer_covariances(samples.correct, samples.answer), seed))
    energy = samples.log_p / (samples.length if kind == "mean" else 1.0)
    by_length = _mean_by_length(energy, samples.length)
    parts = [_covariances(samples.correct, values) for values in (energy, by_length, energy - by_length)]
    return Slope(*(estimate(part, seed) for part in parts))


def verdict(points: Sequence[Point]) -> str:
    """One sentence: sharpening is predicted to help, to hurt, or to do nothing that can be told from noise, and up to which α.

    Of the α above 1, up to the first refusal: the best one where the change is clearly above 0, and the worst one beyond it where
    it is clearly below. Picking the best of a grid makes a claim out of noise a little more often than in 5% of cases.
    """
    ordered = sorted((p for p in points if p.alpha > 1), key=lambda p: p.alpha)
    known = list(itertools.takewhile(lambda p: p.change is not None, ordered))
    if not known:
        return "No forecast: the samples carry none for any α above 1; draw more samples a problem."
    helps = max((p for p in known if p.change.low > 0), key=lambda p: p.change.mean, default=None)
    beyond = [p for p in known if p.change.high < 0 and (helps is None or p.alpha > helps.alpha)]
    hurts = min(beyond, key=lambda p: p.change.mean, default=None)
    effects = [("help", helps)] * (helps is not None) + [("hurt", hurts)] * (hurts is not None)
    said = [f"{word}, by {_in_points(p.change)} at α = {p.alpha:g}" for word, p in effects]
    last = known[-1]
    said = said or [f"do nothing that can be told from noise: {_in_points(last.change)} at α = {last.alpha:g}"]
    limit = f" Beyond α = {last.alpha:g} these samples cannot say." if len(known) < len(ordered) else ""
    return f"Sharpening is predicted to {', and then to '.join(said)}.{limit}"


def _in_points(change: Interval) -> str:
    value, low, high = (100 * part for part in change)
    return f"{value:+.1f} points ({low:+.1f} to {high:+.1f})"


def as_table(points: Mapping[str, Sequence[Point]]) -> pd.DataFrame:
    """Forecasts by kind as rows: `kind`, `alpha`, `accuracy`, `low`, `high` (nan where refused), `ess` and `refusal`."""
    refused = (math.nan,) * 3
    rows = [
        [kind, p.alpha, *(p.accuracy or refused), p.ess, p.refusal] for kind, found in points.items() for p in found
    ]
    return pd.DataFrame(rows, columns=["kind", "alpha", "accuracy", "low", "high", "ess", "refusal"])


def _mean_by_length(energy: np.ndarray, length: np.ndarray) -> np.ndarray:
    """m(T) at each sample, [Q, n]: least squares of energy on a question's own level and its length's, which all questions share.

    Lengths are put into at most LENGTHS classes with equally many samples, 100 or more: too many classes would fit noise.
    """
    classes, most = np.unique(length), int(np.clip(length.size // 100, 1, LENGTHS))
    if len(classes) > most:
        classes = np.unique(np.quantile(length, np.linspace(0, 1, most + 1)[:-1], method="lower"))
    place = np.searchsorted(classes, length, side="right") - 1
    indicator = np.eye(len(classes))[place]
    within = indicator - indicator.mean(axis=1, keepdims=True)
    centred = energy - energy.mean(axis=1, keepdims=True)
    level, *_ = np.linalg.lstsq(within.reshape(-1, len(classes)), centred.ravel())
    return level[place]


def _covariances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The unbiased covariance within each question, [Q, n] to [Q]."""
    count = first.shape[1]
    product = (first - first.mean(axis=1, keepdims=True)) * (second - second.mean(axis=1, keepdims=True))
    return product.sum(axis=1) / (count - 1)


def _answer_covariances(correct: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Cov(r, log f) within each question, [Q, n] to [Q], where f is the unknown probability of a sample's answer.

    If c of m samples say the same, H(c−1) − H(m−1) with the harmonic numbers H has the mean −Σ (1−f)^k / k over k < m: log f, but
    for a tail that fades like (1−f)^m (Grassberger's kind of entropy estimate; tested against every draw). In the product of
    means each factor leaves the other's sample out. A question with fewer than two answered samples counts as 0.
    """
    count = answer.shape[1]
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, count + 1))])
    covariances = np.zeros(len(answer))
    for q, (right, said) in enumerate(zip(correct, answer)):
        r, said = right[said >= 0], said[said >= 0]
        if (m := len(said)) < 2:
            continue
        same = said[:, None] == said[None, :]
        c = same.sum(axis=1)
        together = r @ (harmonic[c - 1] - harmonic[m - 1]) / m
        without = (
            harmonic[c[None, :] - 1 - (same & ~np.eye(m, dtype=bool))] - harmonic[m - 2]
        )  # [i, j]: of j, without i
        np.fill_diagonal(without, 0.0)
        covariances[q] = together - r @ without.sum(axis=1) / (m * (m - 1))
    return covariances


def estimate(values: np.ndarray, seed: int = 0) -> Interval:
    """The mean of a number a question, [Q], with the 95% interval that evaluations have (`statistics.interval`)."""
    return Interval(float(np.mean(values)), *statistics.interval(values, seed))
