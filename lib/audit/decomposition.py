"""How much of what training did was sharpening, how much selection of right answers, length, or none of these.

The families are nested and exponential, so that KL(π‖p) is the sum of the steps from one projection to the next, on average over
questions (Csiszár 1975, Annals of Probability 3(1); the analysis of deviance of Nelder and Wedderburn 1972 is the same theorem).
Shares are associations, not causes, and depend on the order of the features. Intervals are over questions: each bootstrap draw
takes one Newton step from the solution. What the samples cannot carry is refused, each family on its own."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lib.audit import projection, reach, regression, samples
from lib.audit.draws import Draws
from lib.audit.families import STANDARD, Feature
from lib.audit.projection import Pool
from lib.audit.regression import Regression
from lib.evaluation.statistics import Interval
from lib.theory import distributions


@dataclass(frozen=True)
class Audit:
    """What an audit found. `kl` is KL(π‖p) in nats per completion. `parameters` are by name, each of the family that its feature
    completes, `parameters_all` those of the largest family; `shares` of KL are by feature, in order, and `rest`; `last` and `mean`
    are a feature's share if it comes last, and on average over orders; `beyond_reach` is the share of selection of answers that the
    base gives less than once in 1,024 tries. `accuracy` has `base`, `sharpened` (and with length `sharpened_length`) and `trained`.
    None is what `refusals` say no for, by family; `fallback` has shares of another quantity for that case."""

    questions: int
    kl: Interval
    parameters: dict[str, Interval | None]
    parameters_all: dict[str, Interval | None]
    shares: dict[str, Interval | None]
    last: dict[str, Interval | None]
    mean: dict[str, Interval | None]
    beyond_reach: Interval | None
    accuracy: dict[str, Interval | None]
    ess: float
    fallback: Regression | None
    refusals: dict[str, str] = field(default_factory=dict)

    @property
    def flattened(self) -> bool:
        """Whether the base was made flatter (α* < 1), so that its share must not be called sharpening."""
        return below_one(self.parameters)

    def row(self) -> dict[str, object]:
        """The audit as columns: each number with its `_low` and `_high`, empty where it is refused."""
        base = next(iter(self.shares))
        called = {base: "flattening" if self.flattened else base}
        late = {base: "flattening" if below_one(self.parameters_all) else base}
        columns: dict[str, Interval | None] = {"kl": self.kl, **self.parameters}
        columns |= {f"{name}_all": value for name, value in self.parameters_all.items()}
        columns |= {f"share_{name}": None for name in (base, "flattening")}
        columns |= {f"share_{called.get(name, name)}": value for name, value in self.shares.items()}
        columns["share_beyond_reach"] = self.beyond_reach
        for how, shares in (("last", self.last), ("mean", self.mean)):
            columns |= {f"share_{name}_{how}": None for name in (base, "flattening")}
            columns |= {f"share_{late.get(name, name)}_{how}": value for name, value in shares.items()}
        columns |= {f"accuracy_{name}": value for name, value in self.accuracy.items()}
        found: dict[str, object] = {}
        for name, value in columns.items():
            found |= zip((name, f"{name}_low", f"{name}_high"), value or (None, None, None))
        said = "; ".join(f"{family}: {reason}" for family, reason in self.refusals.items())
        found |= {"ess": self.ess, "questions": self.questions, "refusal": said}
        return found | {f"logvar_{name}": share.mean for name, share in (self.fallback.shares if self.fallback else {}).items()}


def below_one(parameters: Mapping[str, Interval | None]) -> bool:
    """Whether α* is below 1 among these."""
    alpha = parameters.get("alpha_star")
    return alpha is not None and alpha.mean < 1


def audit(table: pd.DataFrame, features: Sequence[Feature] = STANDARD, greedy: pd.DataFrame | None = None) -> Audit:
    """Audits a table of samples (`lib.audit.samples`); raises UsageError for one that is none. `greedy` has the greedy completions
    of p and π in the same columns, so that likely completions that no sample shows are not overlooked."""
    table = samples.checked(table)
    pool = samples.pooled(table, features)
    samples.refuse_other_densities(pool)
    return decompose(pool, features, None if greedy is None else samples.unseen(table, greedy, features))


def decompose(pool: Pool, features: Sequence[Feature] = STANDARD, unseen: reach.Unseen | None = None, orders: bool = True) -> Audit:
    """Audits samples that are arrays already, or, if they are `exact`, whole distributions; without `orders` in the order of the
    features alone."""
    draws = Draws(pool, features, unseen)
    order = tuple(range(len(features)))
    nested = [order[:k] for k in range(len(order) + 1)]
    names = [feature.name for feature in features]
    parts = [draws.share(*pair) for pair in itertools.pairwise(nested)]
    rest = draws.rest(nested[-1])
    entry = {f.parameter: draws.parameter(nested[k + 1], k) for k, f in enumerate(features)}
    accuracy = {"base": draws.accuracy(()), "sharpened": draws.accuracy((0,))}
    if "length" in names:
        accuracy["sharpened_length"] = draws.accuracy((0, names.index("length")))
    accuracy["trained"] = draws.trained_accuracy()
    return Audit(
        questions=len(pool.source),
        kl=draws.kl.interval(len(pool.source)),
        parameters=entry,
        parameters_all={f.parameter: draws.parameter(order, k) for k, f in enumerate(features)},
        shares=dict(zip([*names, "rest"], [*parts, rest], strict=True)),
        last={name: draws.share(tuple(i for i in order if i != k), order) for k, name in enumerate(names) if orders},
        mean={name: draws.mean_share(k) for k, name in enumerate(names) if orders},
        beyond_reach=draws.beyond_reach(),
        accuracy=accuracy,
        fallback=None if pool.exact else regression.regress(pool, features),
        ess=float(reach.effective(draws.family(order)).mean()),
        refusals=draws.said(nested),
    )


def log_partition(table: pd.DataFrame, alpha: float) -> pd.Series:
    """log Z of p^α in nats per question, by `problem_id`, from the samples of an audit."""
    table = samples.checked(table)
    pool = samples.pooled(table, STANDARD)
    theta = np.array([alpha - 1.0, 0.0, 0.0])
    log_z = projection.moments(pool, theta).log_z + pool.centre @ theta
    return pd.Series(log_z, index=table["problem_id"].unique())


def listed(p: ArrayLike, pi: ArrayLike, correct: ArrayLike, length: ArrayLike) -> Audit:
    """The audit of one question, or of several ([Q, N] or [N]), all of whose completions are listed: exact, and without
    intervals."""
    p, pi, correct, length = (np.atleast_2d(np.asarray(values, dtype=float)) for values in (p, pi, correct, length))
    return decompose(samples.exact(distributions.log_of(p), distributions.log_of(pi), correct, length))
