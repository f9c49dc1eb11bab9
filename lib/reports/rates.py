"""Which learning rates a profile's results may be believed at, and which one each objective takes.

The control `random` pays for nothing, so that whatever it does to a model comes from the training itself. A rate is allowed on a
base where the mean of its runs stays within `LIMIT` of the base. Of the allowed rates an objective takes the one that is best for
its own reward, not for accuracy. `python -m lib.reports.rates PROFILE` checks a finished profile."""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib import profiles
from lib.evaluation import runner, statistics
from lib.profiles import Profile
from lib.reports import results
from lib.rewards.objectives import OBJECTIVES, Objective, RewardInputs
from lib.storage import files, folders
from lib.storage.errors import UsageError

LIMIT = 0.03  # of accuracy that the control's mean may move
SEEDS = 3  # of the control, with which its mean is judged
CONTROL = ["model", "learning_rate", "seeds", "base", "moved", "low", "high", "allowed"]
CONTROLS = {"objective": "random", "alpha": None, "beta_inv": None}
CHOICE = ["model", "objective", "label", "learning_rate", "seeds", "reward", "low", "high", "accuracy_sampled", "allowed", "chosen"]


def headline(summary: pd.DataFrame) -> pd.DataFrame:
    """Of `results.evaluations` the last checkpoints on each model's first data set, with labels that leave out the rate."""
    last = summary[summary["checkpoint"] != "best"].drop_duplicates("run")
    return last.assign(label=[results.label(row) for row in last.to_dict("records")])


def control(summary: pd.DataFrame) -> pd.DataFrame:
    """How far `random` moved sampled accuracy from its base: a row per model, rate and line, with the 95% interval of the mean
    over questions and seeds, and whether the rate is `allowed` (empty with fewer than three seeds). `summary` is
    `results.evaluations`."""
    rows, last = [], headline(summary)
    by = ["model", "learning_rate", *(name for name in results.LINES if name in last)]
    plain = [results.label(row | results.LINES) == "random" for row in last.to_dict("records")]
    for (model, rate, *line), runs in last[plain].groupby(by, sort=True):
        base = last[(last["model"] == model) & (last["objective"] == "base")]
        moved = results.difference(list(base["path"]), list(runs["path"]))
        allowed = abs(moved.mean) <= LIMIT if len(runs) >= SEEDS else None
        start = base["accuracy_sampled"].iloc[0]
        rows.append([model, rate, len(runs), start, moved.mean, moved.low, moved.high, allowed, *line])
    return pd.DataFrame(rows, columns=[*CONTROL, *by[2:]])


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


def _together(lines: Collection[bool | None]) -> bool | None:
    """Whether every line of a control allows a rate; None where one of them cannot tell and no other one forbids it."""
    if any(line is not None and not line for line in lines):
        return False
    return None if None in lines else True


def choice(summary: pd.DataFrame, allowed: pd.DataFrame) -> pd.DataFrame:
    """A row per label and rate of an objective that was trained at several rates: its own reward, the mean over its seeds with the
    95% interval, its accuracy, whether the control allows the rate, and whether it is `chosen`: the best of the allowed ones."""
    last = headline(summary)
    last = last[~last["objective"].isin(["base", "random", "format"])]
    last = last[last.groupby(["model", "label"])["learning_rate"].transform("nunique") > 1]
    known = {key: _together(list(lines)) for key, lines in allowed.groupby(["model", "learning_rate"])["allowed"]}
    rows = []
    for (model, label, rate), seeds in last.groupby(["model", "label", "learning_rate"], sort=True):
        found = np.array([own_reward(row) for row in seeds.to_dict("records")])
        ends = statistics.two_level(found)[0] if len(found) > 1 else statistics.estimate(found[0])
        rows.append([model, seeds["objective"].iloc[0], label, rate, len(seeds), *ends, seeds["accuracy_sampled"].mean()])
        rows[-1] += [known.get((model, rate)), False]
    table = pd.DataFrame(rows, columns=CHOICE)
    for _, same in table[table["allowed"].eq(True)].groupby(["model", "label"]):
        table.loc[same["reward"].idxmax(), "chosen"] = True
    return table


def collect(profile: Profile) -> None:
    """Writes `control.csv` if a profile has a control, and `rates.csv` if it trains an objective at several rates, and removes what
    an older version of the profile left; nothing where not every run is evaluated yet."""
    summary = results.evaluations(profile)
    if summary is None:
        return
    found = control(summary)
    for name, table in (("control", found), ("rates", choice(summary, found))):
        path = folders.results_folder(profile.name) / f"{name}.csv"
        if len(table):
            files.write_table(path, table)
        else:
            files.remove(path)


def load(profile: str, name: str = "control") -> pd.DataFrame | None:
    """A profile's `control` or `rates` table; None if it has none."""
    path = folders.results_folder(profile) / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else None


def _line(row: Mapping[str, Any]) -> str:
    """A model, a rate and a line of a profile in words: `many_wordings at 0.0001 round 2`."""
    own = {name: row.get(name, usual) for name, usual in results.LINES.items()}
    return f"{row['model']} at {row['learning_rate']:g}{results.label(CONTROLS | own).removeprefix('random')}"


def check(profile: Profile) -> None:
    """Raises UsageError if the control moved too far at a rate and on a base that other runs of the profile have, unless the
    profile is there to find out which rates are allowed. Says where there is no control with enough seeds to judge."""
    if profile.compares_rates:
        return
    found = load(profile.name)
    rows = [] if found is None else found.to_dict("records")
    judged = {_line(row): row for row in rows if row["seeds"] >= SEEDS}
    used = {_line(profile.train_config(**row).model_dump() | row) for row in profile.rows.values() if row["objective"] != "random"}
    if unjudged := sorted(used - set(judged)):
        print(f"No control with {SEEDS} seeds judges the runs on {', '.join(unjudged)}: what they did may be drift.")
    moved = [f"{_line(row)} by {100 * row['moved']:+.1f} points" for row in rows if row["allowed"] is False and _line(row) in used]
    if moved:
        raise UsageError(
            f"Runs without any signal moved the base more than {100 * LIMIT:.0f} points ({'; '.join(moved)}), so that the other "
            "runs at these rates prove nothing: lower learning_rate. Everything else is done, and the tables and figures are there."
        )


if __name__ == "__main__":
    try:
        check(profiles.load(sys.argv[1]))
    except UsageError as error:
        sys.exit(str(error))
