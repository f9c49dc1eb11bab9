"""Which learning rates a profile's results may be believed at, and which one each objective takes.

The control `random` pays for nothing, so that whatever it does to a model comes from the training itself. A rate is allowed on a
base where the mean of its runs stays within `LIMIT` of the base. Of the allowed rates an objective takes the one that is best for
its own reward, not for accuracy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.evaluation import runner, statistics
from lib.profiles import Profile
from lib.reports import results
from lib.rewards.objectives import OBJECTIVES, Objective, RewardInputs
from lib.storage import files, folders
from lib.storage.errors import UsageError

LIMIT = 0.03  # of accuracy that the control's mean may move
SEEDS = 3  # of the control, with which its mean is judged


def control(summary: pd.DataFrame) -> pd.DataFrame:
    """How far `random` moved sampled accuracy from its base: a row per model and learning rate, with the 95% interval of the mean
    over questions and seeds, and whether the rate is `allowed` (empty with fewer than three seeds). `summary` is
    `results.evaluations`."""
    rows = []
    last = summary[summary["checkpoint"] != "best"].drop_duplicates(["run"])  # the headline's data set
    for (model, rate), runs in last[last["objective"] == "random"].groupby(["model", "learning_rate"], sort=True):
        base = last[(last["model"] == model) & (last["objective"] == "base")]
        moved = results.difference(list(base["path"]), list(runs["path"]))
        allowed = abs(moved.mean) <= LIMIT if len(runs) >= SEEDS else None
        rows.append([model, rate, len(runs), base["accuracy_sampled"].iloc[0], moved.mean, moved.low, moved.high, allowed])
    return pd.DataFrame(rows, columns=["model", "learning_rate", "seeds", "base", "moved", "low", "high", "allowed"])


def own_reward(row: Mapping[str, Any]) -> np.ndarray:
    """The mean reward R of a run's samples per question, [P], by its own objective: what training maximised, on problems that it
    never saw. `row` is one of `results.evaluations`."""
    sampled = runner.graded(Path(row["path"])).sampled
    nothing = np.zeros(len(sampled))
    columns = {name: sampled[name].to_numpy(dtype=float) for name in ("reference_logprob", "policy_logprob", "length")}
    inputs = RewardInputs(sampled["correct"].to_numpy(dtype=float), format_reward=nothing, random=nothing, **columns)
    numbers = {name: row[name] for name in ("alpha", "beta_inv", "normalization", "length_exponent")}
    objective = Objective(row["objective"], OBJECTIVES[row["objective"]].mode, **numbers)
    return sampled.assign(reward=objective.reward(inputs)).groupby("problem_id", sort=False)["reward"].mean().to_numpy()


def choice(summary: pd.DataFrame, allowed: pd.DataFrame) -> pd.DataFrame:
    """A row per run of an objective that was trained at several rates: its own reward with the 95% interval over questions, its
    accuracy, whether the control allows the rate, and whether it is `chosen`: the best of the allowed ones."""
    keys = ["model", "objective", "alpha", "beta_inv", "learning_rate"]
    runs = summary[(summary["checkpoint"] != "best") & ~summary["objective"].isin(["base", "random", "format"])]
    several = runs.groupby(keys[:-1], dropna=False)["learning_rate"].transform("nunique") > 1
    runs = runs[several].drop_duplicates("run").sort_values(keys)
    rewards = [statistics.estimate(own_reward(row)) for row in runs.to_dict("records")]
    table = runs[[*keys, "seed", "accuracy_sampled"]].assign(**dict(zip(("reward", "low", "high"), np.array(rewards).T)))
    table = table.merge(allowed[["model", "learning_rate", "allowed"]], on=["model", "learning_rate"], how="left")
    candidates = table[table["allowed"].eq(True)]
    best = candidates.loc[candidates.groupby(keys[:-1], dropna=False)["reward"].idxmax()].index
    return table.assign(chosen=table.index.isin(best))


def collect(profile: Profile) -> None:
    """Writes `control.csv` if a profile has a control, and `rates.csv` if it trains an objective at several rates; nothing where
    not every run is evaluated yet."""
    summary = results.evaluations(profile)
    if summary is None or "random" not in set(summary["objective"]):
        return
    found, folder = control(summary), folders.results_folder(profile.name)
    files.write_table(folder / "control.csv", found)
    if len(chosen := choice(summary, found)):
        files.write_table(folder / "rates.csv", chosen)


def load(profile: str, name: str = "control") -> pd.DataFrame | None:
    """A profile's `control` or `rates` table; None if it has none."""
    path = folders.results_folder(profile) / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else None


def check(profile: Profile) -> None:
    """Raises UsageError if the control moved too far at a rate that other runs of the profile were trained at, unless the profile
    is there to find out which rates are allowed."""
    found = load(profile.name)
    if found is None or profile.compares_rates:
        return
    moved = found[found["allowed"].eq(False)]
    if len(moved):
        said = [f"{row.model} at {row.learning_rate:g} by {100 * row.moved:+.1f} points" for row in moved.itertuples()]
        raise UsageError(
            f"Runs without any signal moved the base more than {100 * LIMIT:.0f} points ({'; '.join(said)}), so that the other "
            "runs at these rates prove nothing: lower learning_rate. The tables and figures are there."
        )
