"""The metrics of an evaluation: a graded table in, one value per question out.

`METRICS` is the one registry: intervals, tables, figures and notebooks follow it, so that a new metric is one entry here
(CONTRIBUTING.md shows one). How far a mean over questions can be trusted is `lib.evaluation.statistics`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lib.evaluation import statistics


class Graded(NamedTuple):
    """Graded samples: `sampled` has n rows per problem, `greedy` one, each with the columns `problem_id`, `gold`, `completion`,
    `vote`, `correct`, `length` (tokens), `truncated`, `direct`, `policy_logprob`, `reference_logprob` and `entropy` (nats)."""

    sampled: pd.DataFrame
    greedy: pd.DataFrame

    @property
    def by_question(self) -> Any:
        """The samples grouped by question (a pandas GroupBy), in the order of the questions."""
        return self.sampled.groupby("problem_id", sort=False)

    def mean(self, column: str) -> np.ndarray:
        """The mean of a column of the samples per question, [P]."""
        return self.by_question[column].mean().to_numpy(dtype=float)


@dataclass(frozen=True)
class Metric:
    """A number of an evaluation: `of` gives one value per question, [P], and their mean and its interval are reported. `label`
    names it with its unit, for axes. A `rate` lies in 0 to 1 and is shown in percent. `heading` puts it into the table of results,
    `drawn` into the figure of further metrics. What depends on the number of tries has `by_k` instead: [P, n], for 1 to n."""

    name: str
    label: str
    of: Callable[[Graded], ArrayLike] | None = None
    rate: bool = False
    heading: str = ""
    drawn: bool = True
    digits: int = 1
    by_k: Callable[[Graded], np.ndarray] | None = None

    def columns(self, samples: int) -> list[str]:
        """The names of its columns in a result with so many samples per question, without those of the intervals."""
        return [f"{self.name}_{k}" for k in statistics.powers_of_two(samples)] if self.by_k else [self.name]

    def values(self, graded: Graded) -> dict[str, np.ndarray]:
        """Its values by column, [P] each."""
        if self.by_k is not None:
            curves = self.by_k(graded)
            return {f"{self.name}_{k}": curves[:, k - 1] for k in statistics.powers_of_two(curves.shape[1])}
        if self.of is None:
            raise ValueError(f"The metric {self.name} needs `of` or `by_k`.")
        return {self.name: np.asarray(self.of(graded), dtype=float)}

    def shown(self, value: float) -> str:
        """A value as text: in percent for a rate."""
        return f"{100 * value:.{self.digits}f}%" if self.rate else f"{value:.{self.digits}f}"


METRICS: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Adds a metric to the registry; ValueError for a name that is taken."""
    if metric.name in METRICS:
        raise ValueError(f"There is a metric {metric.name!r} already: choose another name.")
    METRICS[metric.name] = metric
    return metric


def pass_at(graded: Graded) -> np.ndarray:
    """pass@k per question for k = 1 … n, [P, n]."""
    return np.array([statistics.pass_curve(len(right), int(right.sum())) for _, right in graded.by_question["correct"]])


def maj_at(graded: Graded) -> np.ndarray:
    """maj@k per question for k = 1 … n, [P, n]."""
    votes = [statistics.count_votes(rows["vote"], rows["gold"].iloc[0]) for _, rows in graded.by_question]
    return np.array([statistics.maj_curve(one) for one in votes])


def _mean(column: str) -> Callable[[Graded], np.ndarray]:
    return lambda graded: graded.mean(column)


def _different(column: str) -> Callable[[Graded], pd.Series]:
    return lambda graded: graded.by_question[column].nunique()


def _kl(graded: Graded) -> np.ndarray:
    return graded.mean("policy_logprob") - graded.mean("reference_logprob")


register(Metric("accuracy_sampled", "accuracy, sampled (%)", _mean("correct"), True, "accuracy, sampled", False))
register(Metric("accuracy_greedy", "accuracy, greedy (%)", lambda graded: graded.greedy["correct"], True, "greedy", False))
register(Metric("pass_at", "pass@k (%)", None, True, "pass", False, by_k=pass_at))
register(Metric("maj_at", "maj@k (%)", None, True, "maj", False, by_k=maj_at))
register(Metric("length_mean", "length (tokens)", _mean("length"), heading="length", drawn=False))
register(Metric("direct_share", "direct answers (%)", _mean("direct"), True, "direct", False))
register(Metric("kl", "KL(π‖p) (nats per completion)", _kl, heading="KL(π‖p)", drawn=False, digits=2))
register(Metric("truncated", "cut off (%)", _mean("truncated"), True, drawn=False))
register(Metric("direct_share_greedy", "direct answers, greedy (%)", lambda graded: graded.greedy["direct"], True, drawn=False))
register(Metric("distinct_answers", "different answers per problem", _different("vote")))
register(Metric("distinct_completions", "different completions per problem", _different("completion")))
register(Metric("reference_logprob", "S_p (nats per completion)", _mean("reference_logprob"), drawn=False, digits=2))
register(Metric("policy_logprob", "S_π (nats per completion)", _mean("policy_logprob"), drawn=False, digits=2))


def summarise(graded: Graded) -> dict[str, float]:
    """The numbers of an evaluation: every metric with its 95% interval over questions (`_low`, `_high`), and a few of the whole.
    `detectable_effect` is the difference in sampled accuracy that a second, uncorrelated run must have to be found
    (`statistics.planned_effect`); `entropy` is a mean over tokens, in nats; `tokens` counts them all."""
    sampled, greedy = graded
    numbers: dict[str, float] = {"problems": len(greedy), "samples": len(sampled) // len(greedy)}
    for metric in METRICS.values():
        for name, values in metric.values(graded).items():
            numbers |= zip((name, f"{name}_low", f"{name}_high"), statistics.estimate(values, metric.rate))
    return numbers | {
        "detectable_effect": statistics.planned_effect(graded.mean("correct")),
        "entropy": float(np.average(sampled["entropy"], weights=sampled["length"])),
        "tokens": int(sampled["length"].sum() + greedy["length"].sum()),
    }
