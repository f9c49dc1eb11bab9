"""A forecast against the truth: trained `tempered` runs, whose optimum is p^α.

A run may miss for two reasons, and both can be seen: it has not arrived at p^α (`kl_left`), or it answers every question in the
same way where p^α tells questions apart (`by_group`). The forecast itself is `lib.forecast`.
"""

import dataclasses
import math

import numpy as np
import pandas as pd

from lib import forecast
from lib.forecast import BaseSamples


def against_trained(samples: BaseSamples, tempered: pd.DataFrame) -> pd.DataFrame:
    """The forecast beside each trained `tempered` run, a row a run of a profile's summary.

    `inside`: the run's accuracy lies in the forecast's interval. `kl_left` is KL(π‖p^α) in nats, what the policy π falls short of
    the optimum of its own objective: log Σ p^α, estimated from the samples, less E_π[α·S_p − S_π]; below 0 it is estimation
    error. `kl_start` is KL(p‖p^α), what there was to go. `may_miss` is √(kl_left/2), by how much accuracy can be off then
    (Pinsker's inequality).
    """
    rows = []
    for _, run in tempered.iterrows():
        (point,) = forecast.forecast(samples, [run["alpha"]])
        value, low, high = point.accuracy or (math.nan,) * 3
        optimum, trained = forecast.log_partition(samples, run["alpha"]).mean, run["accuracy_sampled"]
        start = optimum - (run["alpha"] - 1) * samples.log_p.mean()
        left = optimum - (run["alpha"] * run["reference_logprob"] - run["policy_logprob"])
        miss = math.sqrt(max(0.0, left) / 2)
        rows.append(
            [
                run["alpha"],
                run["seed"],
                value,
                low,
                high,
                point.refusal,
                trained,
                low <= trained <= high,
                start,
                left,
                miss,
            ]
        )
    columns = ["alpha", "seed", "forecast", "low", "high", "refusal", "trained", "inside"]
    columns += ["kl_start", "kl_left", "may_miss"]
    return pd.DataFrame(rows, columns=columns)


def by_group(samples: BaseSamples, alpha: float, trained: np.ndarray, groups: int = 5) -> pd.DataFrame:
    """Accuracy of questions of like forecast, a row a group, hardest first: `base`, `forecast` of p^α, and `trained`.

    `trained` [Q] is a run's accuracy on each question. Questions are sorted by a forecast from the even samples, and forecast from
    the odd ones, so that chance which puts a question into a group does not count again in it. A group's jackknifed forecast may
    lie a little outside of 0 to 1. Raises ValueError for fewer than 4 samples a question.
    """
    if samples.log_p.shape[1] < 4:
        raise ValueError("Grouping needs 4 or more samples a question: half of them sort, half of them forecast.")
    columns = [getattr(samples, f.name) for f in dataclasses.fields(samples) if f.name != "greedy"]
    sorting, forecasting = (BaseSamples(*(column[:, start::2] for column in columns)) for start in (0, 1))
    order = np.argsort(forecast.by_question(sorting, alpha)[0], kind="stable")
    values = {
        "base": samples.correct.mean(axis=1),
        "forecast": forecast.by_question(forecasting, alpha)[0],
        "trained": np.asarray(trained, dtype=float),
    }
    parts = np.array_split(order, groups)
    return pd.DataFrame({name: [value[part].mean() for part in parts] for name, value in values.items()})
