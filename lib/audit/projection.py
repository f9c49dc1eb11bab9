"""From weighted samples of a base p and a trained π to the member of an exponential family that is nearest to π.

The projection minimises E_x KL(π‖q), or E_x [log Z_x(θ) − θ·E_π f], over q ∝ p·exp(θ·f): convex in θ, solved by Newton's method.
Samples of both models stand for both, by the balance heuristic: m = (N·p + M·π)/(N + M) is what they are drawn from together, and
p/m and π/m are their weights (Veach and Guibas 1995; Owen and Zhou 2000). What a solution says is `lib.audit.decomposition`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import linalg, optimize

STEPS = 300
HALVINGS = 30
RIDGE = 1e-12  # of the features' own spread
LONGEST = 4.0  # nats of tilt that one step may add: further out the quadratic model says nothing
CONVERGED = 1e-26  # of the Newton decrement gᵀH⁻¹g, in nats
SMALLEST = 1e-300


class Pool(NamedTuple):
    """The samples of Q questions, n places each, K features. `features` [Q, n, K] have mean 0 in a question (`centre` [Q, K] is
    what was taken off). `log_base` and `log_trained` [Q, n] are log p/m and log π/m, −inf for no weight. `log_ratio` is log π − log
    p. `source` says who drew a sample: 0 the base, 1 the trained model, further ones a rung between them, −1 nobody (an empty
    place). `allowed` are the samples that a family may still use. With `exact`, rows are the whole distribution and not samples of
    it."""

    features: np.ndarray
    centre: np.ndarray
    log_base: np.ndarray
    log_trained: np.ndarray
    log_ratio: np.ndarray
    source: np.ndarray
    allowed: np.ndarray
    exact: bool = False

    def left_out(self, values: np.ndarray) -> np.ndarray:
        """Sums over a question of values [Q, n, D], each without one of the samples, in whose place the others of its source count
        more: [Q, n, D]."""
        member = self._member
        sums = np.einsum("qnd,qns->qsd", values, member)
        own = np.einsum("qsd,qns->qnd", sums, member)
        count = self._count[..., None]
        return values.sum(axis=1, keepdims=True) + (own - count * values) / np.maximum(count - 1, 1)

    def jackknifed(self, whole: np.ndarray, without: np.ndarray) -> np.ndarray:
        """A statistic [Q, …] less the bias of few samples per question, from the same `without` one of them, [Q, n, …]: the
        delete-one jackknife by source."""
        factor = np.where(self.source >= 0, (self._count - 1) / np.maximum(self._count, 1), 0.0)
        return whole + np.einsum("qn,qn...->q...", factor, whole[:, None] - without)

    @property
    def _member(self) -> np.ndarray:
        """Whether a sample is of a source, [Q, n, S]."""
        return (self.source[..., None] == np.arange(self.source.max() + 1)).astype(float)

    @property
    def _count(self) -> np.ndarray:
        """How many samples are of a sample's own source, [Q, n]."""
        return np.einsum("qns,qs->qn", self._member, self._member.sum(axis=1))


class Moments(NamedTuple):
    """Of q ∝ p·exp(θ·f), per question: log Z [Q], the mean of the features [Q, K], their covariance [Q, K, K]."""

    log_z: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


class Projection(NamedTuple):
    """The nearest member of a family whose features are `which`. `theta` [K] is its θ, 0 for features that are not in the family,
    and `limit` [K] the direction in which it is approached but not reached, or zeros. `pool` has the samples that it can use.
    `objective` [Q] is log Z − θ·E_π f, whose mean is −KL(q‖p); `gradient` [Q, k] and `hessian` [Q, k, k] are its derivatives."""

    which: tuple[int, ...]
    theta: np.ndarray
    limit: np.ndarray
    moments: Moments
    objective: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    pool: Pool


def log_weights(pool: Pool, theta: np.ndarray) -> np.ndarray:
    """log of p·exp(θ·f)/m, not normalised, [Q, n]."""
    return np.where(pool.allowed, pool.log_base + pool.features @ theta, -np.inf)


def moments(pool: Pool, theta: np.ndarray, corrected: bool = True) -> Moments:
    """The moments of q under θ [K]; `corrected` for the bias of few samples. log Z counts from log Z = 0 at θ = 0."""
    log_w = log_weights(pool, theta)
    top = log_w.max(axis=1, keepdims=True)
    weights, whole = np.exp(log_w - top), np.exp(pool.log_base)
    features = pool.features
    squares = (features[..., :, None] * features[..., None, :]).reshape(*features.shape[:2], -1)
    columns = np.concatenate([np.ones((*weights.shape, 1)), features, squares], axis=2) * weights[..., None]
    columns = np.concatenate([columns, whole[..., None]], axis=2)
    found = _cumulants(columns.sum(axis=1))
    if corrected and not pool.exact:
        found = Moments(*map(pool.jackknifed, found, _cumulants(pool.left_out(columns))))
    return found._replace(log_z=found.log_z + top[:, 0])


def _cumulants(sums: np.ndarray) -> Moments:
    """From sums of w, w·f, w·f·f and p/m, [..., 1 + K + K² + 1]."""
    size = int(np.sqrt(sums.shape[-1]))
    total, plain = (np.maximum(sums[..., place], SMALLEST) for place in (0, -1))
    mean = sums[..., 1 : 1 + size] / total[..., None]
    second = sums[..., 1 + size : -1].reshape(*mean.shape, size) / total[..., None, None]
    return Moments(np.log(total) - np.log(plain), mean, second - mean[..., :, None] * mean[..., None, :])


def targets(pool: Pool, corrected: bool = True) -> np.ndarray:
    """E_π f per question, [Q, K], from all samples, weighted by π/m."""
    weights = np.exp(np.where(pool.allowed, pool.log_trained, -np.inf))[..., None]
    columns = np.concatenate([weights, weights * pool.features], axis=2)

    def ratio(sums: np.ndarray) -> np.ndarray:
        return sums[..., 1:] / np.maximum(sums[..., :1], SMALLEST)

    found = ratio(columns.sum(axis=1))
    return pool.jackknifed(found, ratio(pool.left_out(columns))) if corrected and not pool.exact else found


@np.errstate(over="ignore", invalid="ignore")  # where one sample is all there is, leaving it out leaves nothing
def project(pool: Pool, which: Sequence[int], towards: np.ndarray | None = None) -> Projection:
    """Projects π on the family with the features `which`; `towards` [Q, K] stands in for E_π f. Where no member of the family is
    nearest, but one after the other is nearer, the limit is taken: on the samples that are extreme in its direction."""
    limit = np.zeros(pool.features.shape[2])
    while towards is None and len(which) and (direction := _direction(pool, which)) is not None:
        along = np.where(pool.allowed, pool.features @ direction, -np.inf)
        allowed = along >= along.max(axis=1, keepdims=True) - _slack(pool, direction)
        if (allowed == pool.allowed).all():
            break  # what sets samples apart in this direction is rounding
        pool = pool._replace(allowed=allowed)
        limit += direction
    theta = _solve(pool, which, targets(pool, False) if towards is None else towards, np.zeros(len(limit)), False)
    target = targets(pool) if towards is None else towards
    theta = _solve(pool, which, target, theta, not pool.exact)
    found, chosen = moments(pool, theta), list(which)
    objective = found.log_z - target @ theta
    gradient, hessian = (found.mean - target)[:, chosen], found.covariance[:, chosen][:, :, chosen]
    return Projection(tuple(which), theta, limit, found, objective, gradient, hessian, pool)


def _solve(pool: Pool, which: Sequence[int], target: np.ndarray, start: np.ndarray, corrected: bool) -> np.ndarray:
    """θ [K] where E_q f = E_π f for the features `which`, on average over questions: damped Newton steps."""
    chosen, theta = list(which), start.copy()
    if not chosen:
        return theta
    spread = np.where(pool.allowed[..., None], pool.features, 0.0)[..., chosen]
    ridge = RIDGE * np.einsum("qni,qnj->ij", spread, spread) / len(spread)  # where q is all on one side, its variance is 0
    found = moments(pool, theta, corrected)
    value = (found.log_z - target @ theta).mean()
    for _ in range(STEPS):
        gradient = (found.mean - target).mean(axis=0)[chosen]
        hessian = found.covariance.mean(axis=0)[np.ix_(chosen, chosen)]
        if not (np.isfinite(hessian).all() and np.isfinite(gradient).all()):
            break
        step = -linalg.pinvh(hessian + ridge, rtol=1e-12) @ gradient
        decrement = -float(gradient @ step)
        if not decrement > CONVERGED:
            break
        longest = np.abs(spread @ step).max()
        size = min(1.0, LONGEST / (longest + SMALLEST))
        for _ in range(HALVINGS):
            further = theta.copy()
            further[chosen] += size * step
            tried = moments(pool, further, corrected)
            reached = (tried.log_z - target @ further).mean()
            if reached <= value - 1e-4 * size * decrement + 1e-13 * (1 + abs(value)):
                break
            size /= 2
        else:
            break
        theta, found, value = further, tried, reached
    return theta


def _slack(pool: Pool, direction: np.ndarray) -> float:
    """Below which two samples count as equally far in a direction."""
    return 1e-9 * float(np.abs(pool.features @ direction).max() + 1.0)


def _direction(pool: Pool, which: Sequence[int]) -> np.ndarray | None:
    """A direction [K] of θ in which every sample of π is as far as any sample of its question, and some sample is not; None if
    there is none, as is usual. Found by a linear program in the space where π's own samples do not differ."""
    chosen = list(which)
    drawn = pool.allowed & (np.isfinite(pool.log_trained) if pool.exact else pool.source == 1)
    first = np.take_along_axis(pool.features, drawn.argmax(axis=1)[:, None, None], axis=1)
    apart = (pool.features - first)[..., chosen]
    scale = np.abs(apart).max(axis=(0, 1)) + SMALLEST
    apart = apart / scale
    sizes, columns = np.linalg.eigh(apart[drawn].T @ apart[drawn])
    free = columns[:, sizes <= 1e-14 * max(1.0, sizes.max())].T
    if not len(free):
        return None
    beyond = apart[pool.allowed & ~drawn] @ free.T
    if not len(beyond):
        return None
    best = optimize.linprog(beyond.sum(axis=0), A_ub=beyond, b_ub=np.zeros(len(beyond)), bounds=(-1, 1))
    if best.status != 0 or best.fun > -1e-7:
        return None
    direction = np.zeros(pool.features.shape[2])
    direction[chosen] = (best.x @ free) / scale
    direction[np.abs(direction) * np.abs(pool.features).max(axis=(0, 1)) < 1e-9] = 0.0
    return direction
