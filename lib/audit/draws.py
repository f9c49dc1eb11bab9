"""Every number of an audit with its bootstrap draws over questions, which all numbers share.

A draw is a set of questions with repetition. Each family is projected on once; a draw takes one Newton step from that solution."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lib.audit import projection, reach
from lib.audit.families import Feature
from lib.audit.projection import Pool, Projection
from lib.evaluation.statistics import Interval, percentiles, resampled

HUGE = 1e300  # stands for ∞ among draws, between which quantiles are interpolated
LEAST_KL = 1e-3  # nats per completion: below it, π and p differ by no more than rounding
SELECTION = 1  # the place of r among the features


class Drawn(NamedTuple):
    """A number with one value for each bootstrap draw, [B]."""

    value: float
    draws: np.ndarray

    def interval(self, questions: int) -> Interval:
        """The value with its 95% interval over questions."""
        return Interval(self.value, *percentiles(self.draws, questions))


class Draws:
    """Every family of some features projected on, and each number with its bootstrap draws over questions, which all share."""

    def __init__(self, pool: Pool, features: Sequence[Feature], unseen: reach.Unseen | None):
        self.pool, self.features, self.unseen, questions = pool, features, unseen, len(pool.source)
        self.weights = resampled(questions)
        self.kl = self._mean(divergence(pool))
        self.contradiction = "" if pool.exact else reach.contradicted(pool, SELECTION)
        self.kl_is_there = (self.kl.value if pool.exact else percentiles(self.kl.draws, questions)[0]) > LEAST_KL

    @functools.cache  # noqa: B019
    def family(self, which: tuple[int, ...]) -> Projection:
        """The projection on a family."""
        return projection.project(self.pool, which)

    @functools.cache  # noqa: B019
    def refused(self, which: tuple[int, ...]) -> str:
        """Why the samples cannot carry it, or nothing."""
        return reach.refusal(self.family(which), self.unseen)

    def said(self, nested: Sequence[tuple[int, ...]]) -> dict[str, str]:
        """The refusals of the families in order, by the feature that each adds."""
        if not self.kl_is_there:
            return {"all shares": "KL(π‖p) cannot be told from 0, since both models give the samples nearly the same probabilities"}
        found = {self.features[one[-1]].name: self.refused(one) for one in nested[1:] if self.refused(one)}
        return found | ({"beyond reach": self.contradiction} if self.contradiction else {})

    def _mean(self, values: np.ndarray) -> Drawn:
        """The mean over questions of values [Q]."""
        return Drawn(float(values.mean()), self.weights @ values)

    @functools.cache  # noqa: B019
    def _steps(self, which: tuple[int, ...]) -> np.ndarray:
        """What one Newton step adds to θ in each draw, [B, k]."""
        found = self.family(which)
        gradient = self.weights @ found.gradient
        hessian = np.tensordot(self.weights, found.hessian, 1)
        return -np.einsum("bij,bj->bi", np.linalg.pinv(hessian, rcond=1e-12, hermitian=True), gradient)

    def _objective(self, which: tuple[int, ...]) -> Drawn:
        """−KL(q‖p) of a family: the minimum, which fits the noise of these questions, too, and is too low by half of the trace of
        H⁻¹·Cov(gradient); a draw is so twice."""
        found, steps = self.family(which), self._steps(which)
        if not which:
            return self._mean(found.objective)
        if self.pool.exact:
            return Drawn(float(found.objective.mean()), np.full(len(self.weights), math.nan))
        plain = self.weights @ found.objective + 0.5 * np.einsum("bi,bi->b", self.weights @ found.gradient, steps)
        spread = np.cov(found.gradient.T, ddof=1).reshape(len(which), len(which)) / len(found.gradient)
        inverse = np.linalg.pinv(found.hessian.mean(axis=0), rcond=1e-12, hermitian=True)
        optimism = 0.5 * float(np.trace(inverse @ spread))
        return Drawn(float(found.objective.mean()) + optimism, plain + 2 * optimism)

    def _told(self, *families: tuple[int, ...]) -> bool:
        return self.kl_is_there and not any(self.refused(which) for which in families)

    def share(self, smaller: tuple[int, ...], larger: tuple[int, ...]) -> Interval | None:
        """The share of KL(π‖p) between two families."""
        if not self._told(smaller, larger):
            return None
        return self._share(self._part(smaller, larger)).interval(len(self.pool.source))

    def _part(self, smaller: tuple[int, ...], larger: tuple[int, ...]) -> Drawn:
        before, after = self._objective(smaller), self._objective(larger)
        return Drawn(before.value - after.value, before.draws - after.draws)

    def _share(self, part: Drawn) -> Drawn:
        return Drawn(part.value / self.kl.value, part.draws / self.kl.draws)

    def rest(self, which: tuple[int, ...]) -> Interval | None:
        """The share that the largest family leaves."""
        if not self._told(which):
            return None
        part = self._part((), which)
        return self._share(Drawn(self.kl.value - part.value, self.kl.draws - part.draws)).interval(len(self.pool.source))

    def mean_share(self, k: int) -> Interval | None:
        """The share of a feature on average over all orders of the features (Shapley 1953)."""
        size, value, drawn = len(self.features), 0.0, np.zeros(len(self.weights))
        subsets = [which for n in range(size + 1) for which in itertools.combinations(range(size), n)]
        if not self._told(*subsets):
            return None
        for which in subsets:
            if k not in which:
                weight = 1 / (size * math.comb(size - 1, len(which)))
                part = self._part(which, tuple(sorted((*which, k))))
                value, drawn = value + weight * part.value, drawn + weight * part.draws
        return self._share(Drawn(value, drawn)).interval(len(self.pool.source))

    def parameter(self, which: tuple[int, ...], k: int) -> Interval | None:
        """θ of a feature in a family, plus its offset; ±∞ with a finite bound where only a limit would do."""
        if not self._told(which):
            return None
        found, offset = self.family(which), self.features[k].offset
        draws = found.theta[k] + self._steps(which)[:, which.index(k)]
        varies, drawn = np.ptp(np.where(found.pool.allowed, found.pool.features[..., k], 0.0), axis=1) > 1e-9, self.weights
        if not varies.any():
            return None
        for sign in (1, -1) if not self.pool.exact else ():
            draws[(drawn @ (varies & ~_at_the_end(found, k, sign)) == 0) & (drawn @ varies > 0)] = sign * HUGE
        ends = np.array(percentiles(draws, len(self.pool.source)))
        low, high = np.where(np.abs(ends) > HUGE / 2, np.sign(ends) * math.inf, ends)
        if not found.limit[k]:
            return Interval(found.theta[k] + offset, low + offset, high + offset)
        bound = _bounded(found, self.pool).theta[k] + offset
        return Interval(math.inf, bound, math.inf) if found.limit[k] > 0 else Interval(-math.inf, -math.inf, bound)

    def accuracy(self, which: tuple[int, ...]) -> Interval | None:
        """E_q r of a family's projection."""
        if self.refused(which):
            return None
        found = self.family(which)
        values = found.moments.mean[:, SELECTION] + found.pool.centre[:, SELECTION]
        slopes = self.weights @ found.moments.covariance[:, SELECTION][:, list(which)]
        drawn = self._mean(values)
        moved = np.einsum("bi,bi->b", slopes, self._steps(which)) if which else 0.0
        return Drawn(drawn.value, drawn.draws + moved).interval(len(values))

    def trained_accuracy(self) -> Interval:
        """E_π r."""
        found = projection.targets(self.pool)[:, SELECTION] + self.pool.centre[:, SELECTION]
        return self._mean(found).interval(len(found))

    def beyond_reach(self) -> Interval | None:
        """The share of KL that is selection of answers beyond the base's reach: KL(q₂‖q₁) of the questions that it answers rightly
        less often than `reach.WITHIN`. Where q₁ is refused, selection comes first."""
        before, after = ((0,), (0, SELECTION)) if not self.refused((0,)) else ((), (SELECTION,))
        if not self._told(before, after) or self.contradiction:
            return None
        first, second = self.family(before), self.family(after)
        apart, far = second.theta - first.theta, reach.base_chance(self.pool, SELECTION) < reach.WITHIN
        each = second.moments.mean @ apart - second.moments.log_z + first.moments.log_z
        drawn = self._mean(np.where(far, each, 0.0))
        slopes = {after: second.moments.covariance @ apart, before: first.moments.mean - second.moments.mean}
        for which, by_question in slopes.items():
            mean = self.weights @ np.where(far[:, None], by_question, 0.0)[:, list(which)]
            drawn = Drawn(drawn.value, drawn.draws + (np.einsum("bi,bi->b", mean, self._steps(which)) if which else 0.0))
        return self._share(drawn).interval(len(far))


def divergence(pool: Pool) -> np.ndarray:
    """KL(π‖p) per question in nats, [Q], unbiased: the mean of (π/m)·log(π/p) − π/m + p/m. Never negative where both are known for
    all samples."""
    base, trained = np.exp(pool.log_base), np.exp(pool.log_trained)
    each = np.multiply(trained, pool.log_ratio, out=np.zeros(trained.shape), where=trained > 0) - trained + base
    return each.sum(axis=1) / (1 if pool.exact else (pool.source >= 0).sum(axis=1))


def _at_the_end(found: Projection, k: int, sign: int) -> np.ndarray:
    """Whether all that π draws on a question is as far as anything goes in a feature, [Q]."""
    values = sign * found.pool.features[..., k]
    drawn = np.where(found.pool.source == 1, values, np.inf).min(axis=1)
    return drawn >= np.where(found.pool.allowed, values, -np.inf).max(axis=1) - 1e-9


def _bounded(found: Projection, pool: Pool) -> Projection:
    """The projection if π were like p on as many questions as chance may have hidden: 1 − 0.025^(1/Q) of them."""
    hidden = 1 - 0.025 ** (1 / len(pool.source))
    plain = projection.moments(pool, np.zeros(len(found.theta)), False).mean
    return projection.project(pool, found.which, (1 - hidden) * projection.targets(pool, False) + hidden * plain)
