"""Solve rates of a base and a trained model beside each other: per question, over k tries, and what chance alone would show."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from lib.evaluation import statistics
from lib.evaluation.statistics import Interval, percentiles, resampled


class Support(NamedTuple):
    """Questions by who solves them in at least one sample, as in arXiv 2507.14843: `kept` by both, `lost` by the base alone,
    `gained` by the trained model alone, `neither`. `gained_by_chance` and `lost_by_chance` are how many of each there would be on
    average if both models had one rate on each question, given how many samples are right."""

    kept: int
    lost: int
    gained: int
    neither: int
    gained_by_chance: float
    lost_by_chance: float


class Tries(NamedTuple):
    """pass@k of both, [n] each, for k = 1 … n. `crossing` is the first k at which the base's is not lower, and `best_of` the tries
    that the base needs, with a perfect judge, for the trained model's accuracy: inf for more than n."""

    base: np.ndarray
    trained: np.ndarray
    crossing: Interval
    best_of: Interval


def by_question(table: pd.DataFrame) -> pd.DataFrame:
    """Each question's rates: `base`, `base_low`, `base_high` and so on for `trained`, with exact 95% intervals (Clopper and Pearson
    1934), the counts `base_right`, `base_samples` and so on, and `chance`: how often the base has so few right ones or fewer, or
    the trained model, whichever has fewer, if both have one rate (Fisher's exact test, one-sided)."""
    counts = table.groupby(["problem_id", "source"], sort=False)["correct"].agg(["sum", "size"]).astype(int).unstack("source")
    found = pd.DataFrame(index=counts.index)
    for source in ("base", "trained"):
        right, samples = counts["sum", source].to_numpy(), counts["size", source].to_numpy()
        tail = (1 - statistics.LEVEL) / 2
        low = np.where(right > 0, stats.beta.ppf(tail, right, samples - right + 1), 0.0)
        high = np.where(right < samples, stats.beta.ppf(1 - tail, right + 1, samples - right), 1.0)
        found[f"{source}_right"], found[f"{source}_samples"] = right, samples
        found[source], found[f"{source}_low"], found[f"{source}_high"] = right / samples, low, high
    total, all_samples = found["base_right"] + found["trained_right"], found["base_samples"] + found["trained_samples"]
    sides = [
        stats.hypergeom.cdf(found[f"{source}_right"], all_samples, total, found[f"{source}_samples"])
        for source in ("base", "trained")
    ]
    return found.assign(chance=np.where(found["base"] <= found["trained"], *sides))


def support(rates: pd.DataFrame) -> Support:
    """Support kept, lost and gained, from `by_question`."""
    base, trained = rates["base_right"] > 0, rates["trained_right"] > 0
    total, samples = rates["base_right"] + rates["trained_right"], rates["base_samples"] + rates["trained_samples"]
    none = {one: stats.hypergeom.pmf(0, samples, total, rates[f"{one}_samples"])[total > 0].sum() for one in ("base", "trained")}
    kept, lost, gained, neither = (
        int(which.sum()) for which in (base & trained, base & ~trained, trained & ~base, ~base & ~trained)
    )
    return Support(kept, lost, gained, neither, float(none["base"]), float(none["trained"]))


def tries(rates: pd.DataFrame) -> Tries:
    """pass@k of both with what can be read off them, and 95% intervals over questions."""
    sides = []
    for source in ("base", "trained"):
        pairs = zip(rates[f"{source}_samples"], rates[f"{source}_right"], strict=True)
        curves = [statistics.pass_curve(int(n), int(right)) for n, right in pairs]
        sides.append(np.array([curve[: min(map(len, curves))] for curve in curves]))
    most = min(side.shape[1] for side in sides)
    questions = len(rates)
    weights = np.concatenate([np.full((1, questions), 1 / questions), resampled(questions)])
    base, trained = (weights @ side[:, :most] for side in sides)

    def first(passed: np.ndarray) -> Interval:
        at = np.where(passed.any(axis=1), passed.argmax(axis=1) + 1.0, most + 1.0)
        low, high = percentiles(at[1:], questions)
        ends = (at[0], np.floor(low), np.ceil(high))
        return Interval(*(math.inf if end > most else float(end) for end in ends))

    return Tries(base[0], trained[0], first(base >= trained), first(base >= trained[:, :1]))
