"""A forecast against the truth: trained `tempered` runs, whose optimum is p^α.

A run may miss because it has not arrived at p^α (`kl_left`), or because it answers every question in the same way where p^α tells
questions apart (`by_group`)."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lib.evaluation import forecast
from lib.evaluation.statistics import estimate


def against_trained(samples: forecast.BaseSamples, tempered: pd.DataFrame) -> pd.DataFrame:
    """The forecast beside each trained `tempered` run, one row per run of a profile's summary. `inside`: the run's accuracy lies in
    the forecast's interval. `kl_left` is KL(π‖p^α) in nats, what the policy π falls short of the optimum of its own objective: log
    Σ p^α, estimated from the samples, less E_π[α·S_p − S_π]; below 0 it is estimation error. `kl_start` is KL(p‖p^α). `may_miss` is
    √(kl_left/2), by how much accuracy can be off then (Pinsker's inequality)."""
    rows = []
    for alpha, run in zip(tempered["alpha"], tempered.to_dict("records")):
        (point,) = forecast.forecast(samples, [alpha])
        value, low, high = point.accuracy or (math.nan, math.nan, math.nan)
        trained, optimum = run["accuracy_sampled"], float(forecast.log_partition(samples, alpha).mean())
        start = optimum - (alpha - 1) * samples.log_p.mean()
        left = optimum - (alpha * run["reference_logprob"] - run["policy_logprob"])
        miss = math.sqrt(max(0.0, left) / 2)
        rows.append([alpha, run["seed"], value, low, high, point.refusal, trained, low <= trained <= high, start, left, miss])
    columns = ["alpha", "seed", "forecast", "low", "high", "refusal", "trained", "inside", "kl_start", "kl_left", "may_miss"]
    return pd.DataFrame(rows, columns=columns)


def by_group(samples: forecast.BaseSamples, alpha: float, trained: ArrayLike, groups: int = 5) -> pd.DataFrame:
    """Accuracy of questions of like forecast, one row per group, hardest first: `base`, `forecast` of p^α, and `trained`, each with
    its 95% interval over the group's questions. `trained` [Q] is a run's accuracy on each question. Questions are sorted by a
    forecast from the even samples, and forecast from the odd ones, so that the same chance does not count twice. A jackknifed
    forecast may lie a little outside of 0 to 1."""
    if samples.log_p.shape[1] < 4:
        raise ValueError("Grouping needs 4 or more samples per question: half of them sort, half of them forecast.")
    sorting, forecasting = (forecast.by_question(samples.part(slice(start, None, 2)), alpha)[0] for start in (0, 1))
    parts = np.array_split(np.argsort(sorting, kind="stable"), groups)
    values = {"base": samples.correct.mean(axis=1), "forecast": forecasting, "trained": np.asarray(trained, dtype=float)}
    found: dict[str, list[float]] = {}
    for name, value in values.items():
        ends = np.array([estimate(value[part]) for part in parts])
        found |= dict(zip((name, f"{name}_low", f"{name}_high"), ends.T.tolist(), strict=True))
    return pd.DataFrame(found)
