"""How far samples reach: what an audit must not say because the samples of p and π do not show it.

A large effective sample size does not prove that samples reach a projection q: with nothing between those of p and those of π, it
can be large and the answer wrong. So each family is asked on its own, and the first reason found is its refusal."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from lib.audit import projection
from lib.audit.projection import Pool, Projection

LEAST_ESS = 4.0  # effective samples of q in nine of ten questions
WITHIN = 1 / 1024  # the base's own chance of a right answer from which it is within reach
MOST_GAP = 1.0  # nats of tilt between one sample and the next, beyond all samples of p
MOST_APART = 0.1  # of q may lie beyond such gaps
HUGE = 1e12  # nats of tilt, for a limit
MOST_UNSEEN = 0.05  # of q may be greedy completions that no sample shows


class Unseen(NamedTuple):
    """The greedy completion of each question where no sample shows it: log p [Q], −inf where one does, and features [Q, K]."""

    log_p: np.ndarray
    features: np.ndarray


def effective(found: Projection) -> np.ndarray:
    """The effective sample size of q per question, (Σw)²/Σw², [Q]."""
    log_w = projection.log_weights(found.pool, found.theta)
    weights = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1)


@np.errstate(over="ignore", invalid="ignore")
def refusal(found: Projection, unseen: Unseen | None = None) -> str:
    """Why the samples cannot carry a projection, in a part of a sentence, or nothing."""
    error = found.gradient.std(axis=0) / np.sqrt(len(found.gradient))
    off = np.abs(found.gradient.mean(axis=0))
    settled = (off <= 0.1 * error * (not found.pool.exact) + 1e-6).all()
    if found.pool.exact or not found.which:
        return "" if settled else "the fit did not settle"
    apart, low = separated(found), float(np.quantile(effective(found), 0.1))
    if apart > MOST_APART:
        return f"{apart:.0%} of the fit lies beyond a gap, where π has samples and nothing lies between them and those of p"
    if low < LEAST_ESS:
        return f"{low:.1f} effective samples in one of ten questions, fewer than {LEAST_ESS:g}: draw more per question"
    if not settled:
        return "the samples are too few for the fit to settle: draw more per question"
    if unseen is not None and (share := _unseen_share(found, unseen)) > MOST_UNSEEN:
        return f"greedy completions that no sample shows would hold {share:.0%} of the fit: draw more per question"
    return ""


def separated(found: Projection) -> float:
    """The share of q that lies on samples of π alone, beyond a gap in the direction of the fit that no sample is in: what lies
    there unseen would count, too. Features of two values, such as r, have nothing between: they do not count here
    (`base_chance`)."""
    pool = found.pool
    there = pool.source >= 0
    values = np.abs(pool.features + pool.centre[:, None])[there]
    graded = ~np.isin(values.round(9), [0.0, 1.0]).all(axis=0)
    log_w = projection.log_weights(pool, found.theta)
    weights = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    beyond = np.zeros(len(weights))
    for direction in (found.theta, found.limit * HUGE):
        along = pool.features @ np.where(graded, direction, 0.0)
        for side in (along, -along):
            beyond = np.maximum(beyond, _beyond(np.where(there, side, -np.inf), pool.source == 0, weights))
    return float(beyond.mean())


def _beyond(along: np.ndarray, of_base: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weight of samples above the base's largest value and above a gap that follows it, per question, [Q]."""
    order = np.argsort(along, axis=1)
    along, of_base, weights = (np.take_along_axis(values, order, axis=1) for values in (along, of_base, weights))
    places = np.arange(along.shape[1])
    last = np.where(of_base, places, -1).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        gaps = np.diff(along, axis=1) > MOST_GAP
    gaps &= places[:-1] >= last
    after = np.cumsum(gaps, axis=1) > 0
    return (weights[:, 1:] * after).sum(axis=1)


def _unseen_share(found: Projection, unseen: Unseen) -> float:
    """What q gives to the unseen greedy completions, on average over questions."""
    pool, features = found.pool, unseen.features - found.pool.centre
    share = np.exp(np.minimum(0.0, unseen.log_p + features @ found.theta - found.moments.log_z))
    if found.limit.any():  # q is on what is farthest: what is not so far has nothing, and what is farther has all
        along, farthest = features @ found.limit, np.where(pool.allowed, pool.features @ found.limit, -np.inf).max(axis=1)
        share = np.where(along < farthest - 1e-9, 0.0, np.where(along > farthest + 1e-9, np.isfinite(unseen.log_p), share))
    return float(share.mean())


def base_chance(pool: Pool, column: int, drawn: bool = False) -> np.ndarray:
    """P_p(f = 1) of a feature of 0 and 1 per question, [Q]. What π draws counts with its weight under p, so that chances far below
    one in the number of samples are seen, too. From all samples, or from those `drawn` by π alone."""
    ones = np.round(pool.features[..., column] + pool.centre[:, None, column])
    if drawn:
        own = pool.source == 1
        return (np.exp(np.where(own, -pool.log_ratio, -np.inf)) * ones).sum(axis=1) / own.sum(axis=1)
    weights = np.exp(pool.log_base)
    return (weights * ones).sum(axis=1) / weights.sum(axis=1)


def contradicted(pool: Pool, column: int) -> str:
    """Why what counts as beyond the base's reach cannot be believed, or nothing. Of the questions that π answers rightly in ways
    that the base hardly ever would, some may have right answers of the base's own. Where the base's samples show one in F₁
    questions and none in F₀, of N samples each, the mean chance in the F₀ is about F₁/(N·F₀) (Good 1953, Biometrika 40): it must
    not be clearly above WITHIN."""
    ones = np.round(pool.features[..., column] + pool.centre[:, None, column])
    if np.isnan(pool.log_ratio).any():
        return "log π of the base's samples is missing"
    own = pool.source == 0
    solved = ((pool.source == 1) * ones).sum(axis=1) > 0
    right = np.where(solved & (base_chance(pool, column, drawn=True) < WITHIN), (own * ones).sum(axis=1), np.nan)
    seen, tries = int((right == 1).sum()), int(own[right == 0].sum())
    if seen and tries and stats.poisson.sf(seen - 1, WITHIN * tries) < 0.025:
        far = int((right == 0).sum())
        return f"on {seen} questions the base finds by itself what seems as far as on the {far} that count as beyond reach"
    return ""
