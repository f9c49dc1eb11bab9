"""Shares that need no partition function, for where the samples do not reach a projection: of the log-variance divergence.

Within a question, log π − log p is regressed on the features over samples of both models. Where π is in the family nothing is left
over, exactly. What the features explain is a share of Var_m(log π − log p), with m the mixture of both models (Richter et al. 2020,
arXiv 2010.10436): not a share of KL(π‖p), and not to be mixed with one. The slope on log p is an "effective α" less 1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.audit.families import Feature
from lib.audit.projection import Pool
from lib.evaluation.statistics import Interval, percentiles, resampled

LEAST = 1e-9  # nats²: below it, log π and log p differ by rounding


@dataclass(frozen=True)
class Regression:
    """`variance` is Var_m(log π − log p) within a question, in nats². `shares` of it by feature, in their order, and `rest`;
    `slopes` are the coefficients of all features together, by parameter, each with its offset, such as α = 1 + slope."""

    variance: Interval
    shares: dict[str, Interval]
    slopes: dict[str, Interval]


def regress(pool: Pool, features: Sequence[Feature]) -> Regression | None:
    """The regression with 95% intervals over questions; None where log π is not known, or −∞, for some sample, or equal to log p
    for all."""
    there, questions = pool.source >= 0, len(pool.source)
    if not np.isfinite(pool.log_ratio[there]).all():
        return None
    ratio = np.where(there, pool.log_ratio, 0.0)
    each = _covariances(np.concatenate([pool.features, ratio[..., None]], axis=2), pool.source)  # [Q, K + 1, K + 1]
    whole = np.concatenate([[each.mean(axis=0)], np.tensordot(resampled(questions), each, 1)])  # the solution, then the draws
    left = [whole[:, -1, -1], *(_left(whole, k + 1)[0] for k in range(len(features)))]
    if left[0][0] < LEAST:
        return None
    slopes = _left(whole, len(features))[1] + [feature.offset for feature in features]

    def interval(values: np.ndarray) -> Interval:
        return Interval(float(values[0]), *percentiles(values[1:], questions))

    parts = [*(before - after for before, after in zip(left, left[1:])), left[-1]]
    names = [*(feature.name for feature in features), "rest"]
    return Regression(
        interval(left[0]),
        {name: interval(part / left[0]) for name, part in zip(names, parts, strict=True)},
        {feature.parameter: interval(slopes[:, k]) for k, feature in enumerate(features)},
    )


def _left(covariances: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(the variance that the first `size` features leave, their slopes [B, size]) of covariances [B, K + 1, K + 1]."""
    among, with_ratio = covariances[:, :size, :size], covariances[:, :size, -1]
    slopes = np.einsum("bij,bj->bi", np.linalg.pinv(among, rcond=1e-12, hermitian=True), with_ratio)
    return covariances[:, -1, -1] - np.einsum("bi,bi->b", slopes, with_ratio), slopes


def _covariances(values: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The covariance under the mixture of p and π of values [Q, n, D], unbiased, [Q, D, D]: that within each source, weighted, and
    that of their means, less what the means owe to few samples."""
    within, means, noise, size = [], [], np.zeros(()), (source >= 0).sum(axis=1)[:, None, None]
    for one in (0, 1):
        own = (source == one)[..., None]
        count = own.sum(axis=1)
        mean = (values * own).sum(axis=1) / count
        centred = (values - mean[:, None]) * own
        covariance = np.einsum("qni,qnj->qij", centred, centred) / (count - 1)[..., None]
        within.append(covariance * count[..., None] / size)
        means.append(mean)
        noise = noise + covariance / count[..., None]
    apart, shares = means[1] - means[0], [(source == one).sum(axis=1)[:, None, None] / size for one in (0, 1)]
    return within[0] + within[1] + shares[0] * shares[1] * (apart[:, :, None] * apart[:, None, :] - noise)
