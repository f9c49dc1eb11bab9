"""Would sharpening help? A forecast of accuracy under p^α, from samples of the base alone.

Samples of p, with their log-probabilities and verdicts, are reweighted by w ∝ p^(α−1) a question: self-normalised importance
sampling. How far that carries is measured by the effective sample size, and where it is too small there is no forecast. The
slope at α = 1 is the covariance of correctness and log-probability (`theory.accuracy_slopes` has the exact identity).
Nothing is sampled or trained here, and nothing is known about the model but what its samples say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lib import statistics

KINDS = ("completion", "mean", "answer")
LEAST_ESS = 4.0  # effective samples a question, the mean over questions, below which there is no forecast
LENGTHS = 50  # classes of lengths that the slope is split by


@dataclass(frozen=True)
class BaseSamples:
    """n samples of the base at temperature 1 on each of Q questions; every field has shape [Q, n].

    `log_p` sums over tokens in nats, EOS included; `correct` is 0 or 1; `length` counts tokens; `answer` numbers the answers of
    a question, the same number for equivalent ones, and is negative where a sample has none.
    """

    log_p: np.ndarray
    correct: np.ndarray
    length: np.ndarray
    answer: np.ndarray


class Estimate(NamedTuple):
    """A mean over questions with its 95% interval, by a bootstrap over questions."""

    value: float
    low: float
    high: float


class Point(NamedTuple):
    """The forecast at one α: `accuracy`, and its `change` against the samples' own; `ess` is the mean effective sample size a
    question. Where `refusal` says why the samples cannot carry a forecast, `accuracy` and `change` are None."""

    alpha: float
    accuracy: Estimate | None
    change: Estimate | None
    ess: float
    refusal: str


class Slope(NamedTuple):
    """Cov(r, log p) within a question in nats, the slope of accuracy at α = 1, and its two parts.

    With m(T) the level of log p at length T, `between_length` is Cov(r, m(T)): short (or long) answers are likelier, and right more
    or less often. `within_length` is Cov(r, log p − m(T)): what remains among completions of one length.
    """

    total: Estimate
    between_length: Estimate
    within_length: Estimate


def from_table(table) -> BaseSamples:
    """`BaseSamples` from an evaluation's raw samples: a row a sample, as many for each `problem_id`.

    Uses `reference_logprob`, `correct`, `length` and `vote`, in which equivalent answers of a question are the same string.
    """
    groups = table.groupby("problem_id", sort=False)
    if groups.size().nunique() != 1 or groups.size().iloc[0] < 2:
        raise ValueError(
            "A forecast needs the same number of samples for each problem, two or more: evaluate the base."
        )
    shape = len(groups), int(groups.size().iloc[0])
    ordered = table.assign(question=groups.ngroup()).sort_values("question", kind="stable")
    answer = ordered.groupby("question")["vote"].transform(lambda column: column.factorize()[0])
    columns = (ordered["reference_logprob"], ordered["correct"], ordered["length"], answer)
    return BaseSamples(*(column.to_numpy(dtype=float).reshape(shape) for column in columns))


def weights(samples: BaseSamples, alpha: float, kind: str = "completion") -> np.ndarray:
    """The normalised importance weights of each question's samples, [Q, n].

    `completion`: ∝ p^(α−1). `mean`: ∝ exp((α−1)·log p / T), the optimum of `tempered` with normalization 'mean'. `answer`:
    ∝ f^(α−1) with the share f of the sample's answer among the n, a plug-in for the sharpened answer marginal; no answer, no
    weight; α → ∞ is a majority vote.
    """
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
    raised = np.exp(raised - raised.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def forecast(samples: BaseSamples, alphas: Sequence[float], kind: str = "completion", seed: int = 0) -> list[Point]:
    """Accuracy under p^α for each α, averaged over questions, with 95% intervals for questions like these.

    Refused for α < 1, which moves mass to completions that samples never show; where the effective sample size is below
    LEAST_ESS; and where half of the samples would have forecast something that lies outside the interval: self-normalised weights
    are biased by about 1/n, so that halving n shows how large the bias is.
    """
    points, base, half = [], samples.correct.mean(axis=1), samples.correct.shape[1] // 2
    halves = [
        BaseSamples(*(part[:, cut] for part in _parts(samples))) for cut in (np.s_[:half], np.s_[half : 2 * half])
    ]
    for alpha in alphas:
        w = weights(samples, alpha, kind)
        accuracy = (w * samples.correct).sum(axis=1)
        value, ess = estimate(accuracy, seed), float((1.0 / (w**2).sum(axis=1)).mean())
        with_half = np.mean([(weights(part, alpha, kind) * part.correct).sum(axis=1) for part in halves])
        refusal = (
            "α below 1 asks for completions that the samples do not show"
            if alpha < 1
            else f"{ess:.1f} effective samples a problem, fewer than {LEAST_ESS:g}"
            if ess < LEAST_ESS
            else "half of the samples forecast something else"
            if not value.low <= with_half <= value.high
            else ""
        )
        change = estimate(accuracy - base, seed)
        points.append(Point(float(alpha), *((None, None) if refusal else (value, change)), ess, refusal))
    return points


def _parts(samples: BaseSamples) -> tuple[np.ndarray, ...]:
    return samples.log_p, samples.correct, samples.length, samples.answer


def log_partition(samples: BaseSamples, alpha: float, seed: int = 0) -> Estimate:
    """log Σ p^α in nats, averaged over questions: log E_p[p^(α−1)], the value of `tempered`'s objective at its optimum.

    The logarithm of a mean of n samples is too low by about its variance / 2n.
    """
    energy = (alpha - 1.0) * samples.log_p
    top = energy.max(axis=1, keepdims=True)
    return estimate(np.log(np.exp(energy - top).mean(axis=1)) + top[:, 0], seed)


def slope(samples: BaseSamples, kind: str = "completion", seed: int = 0) -> Slope:
    """The slope of accuracy at α = 1, unbiased, with its parts between and within lengths; `kind` as in `weights`."""
    if kind not in ("completion", "mean"):
        raise ValueError(f"The slope is of kind 'completion' or 'mean', not {kind!r}.")
    energy = samples.log_p / (samples.length if kind == "mean" else 1.0)
    by_length = _mean_by_length(energy, samples.length)
    parts = [_covariances(samples.correct, values) for values in (energy, by_length, energy - by_length)]
    return Slope(*(estimate(part, seed) for part in parts))


def verdict(points: Sequence[Point]) -> str:
    """One sentence: sharpening is predicted to help, to hurt, or to do nothing that can be told from noise, and up to which α."""
    known = [point for point in points if point.change and point.alpha > 1]
    refused = [point for point in points if point.refusal and point.alpha > 1]
    if not known:
        return "No forecast: the samples carry none for any α above 1; draw more samples a problem."
    best, last = max(known, key=lambda point: point.change.value), known[-1]
    if best.change.low > 0:
        effect, shown = "help", best
    elif last.change.high < 0:
        effect, shown = "hurt", last
    else:
        effect, shown = "do nothing that can be told from noise", last
    value, low, high = (100 * part for part in shown.change)
    limit = (
        f"; beyond α = {last.alpha:g} these samples cannot say" if refused and refused[-1].alpha > last.alpha else ""
    )
    return f"Sharpening is predicted to {effect}: by {value:+.1f} points ({low:+.1f} to {high:+.1f}) at α = {shown.alpha:g}{limit}."


def _mean_by_length(energy: np.ndarray, length: np.ndarray) -> np.ndarray:
    """m(T) at each sample, [Q, n]: least squares of energy on a question's own level and its length's, which all questions share.

    More than LENGTHS different lengths are put into as many classes with equally many samples.
    """
    classes = np.unique(length)
    if len(classes) > LENGTHS:
        classes = np.unique(np.quantile(length, np.linspace(0, 1, LENGTHS + 1)[:-1], method="lower"))
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


def estimate(values: np.ndarray, seed: int = 0) -> Estimate:
    """The mean of a number a question, [Q], with the 95% interval that evaluations have (`statistics.interval`)."""
    return Estimate(float(np.mean(values)), *statistics.interval(values, seed))
