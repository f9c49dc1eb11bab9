"""A profile's results: the tables `data/results/<profile>/` that figures and the README are made from.

`summary.csv` has a row per run and per base, `labels.csv` one per objective with all of its seeds, `steps.csv` one per run and
training step, `differences.csv` one per comparison, paired by question. What was measured differently is not compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.evaluation import fingerprints, metrics, runner, statistics
from lib.profiles import Profile
from lib.reports import markdown as tables
from lib.rewards.objectives import OBJECTIVES, Objective
from lib.storage import files, folders
from lib.storage.errors import UsageError
from lib.training import record

STEP_COLUMNS = ["step", "task_accuracy", "reward", "length", "direct_share", "truncated", "reference_logprob"]
STEP_COLUMNS += ["policy_logprob", "kl", "entropy", "zero_variance", "grad_norm", "seconds", "tokens"]
LINES = {"round": 1, "order": "shuffled"}  # what tells lines of a profile apart, and what is usual
DIFFERENCE_COLUMNS = ["model", "data_set", "label", "before", "after", *statistics.Difference._fields]
NOT_IN_TABLES = ["config", "validation", "step", "revision", "left_out", "verifier", "trained_with", "tables", "environment"]


def evaluations(profile: Profile) -> pd.DataFrame | None:
    """The results of a profile's runs and bases in their folders, a row each with its `label` and the `path` of its file; None,
    with a message, if not every one is evaluated yet. Raises UsageError if they were not all evaluated in the same way."""
    models = {folders.base_name(model): model for model in profile.models}
    models |= {name: row["model"] for name, row in profile.rows.items()}
    folder = {name: folders.run_folder(profile.name, name) for name in models}
    asked = [(name, config) for name, model in models.items() for config in profile.eval_configs(model)]
    last = [folder[name] / "evaluations" / f"{config.stem}.json" for name, config in asked]
    if missing := [path.parents[1].name for path in last if not path.exists()]:
        print(f"{len(missing)} of {len(last)} evaluations of {profile.name} are not there yet ({missing[0]}, …).")
        return None
    best = [path for path in (one.with_name(f"{one.stem}-best.json") for one in last) if path.exists()]
    summary = pd.DataFrame([runner.read(path) for path in last + best]).drop(columns=NOT_IN_TABLES, errors="ignore")
    names = [path.parents[1].name for path in last] + [f"{path.parents[1].name}-best" for path in best]
    summary = with_lines(summary.assign(run=names, path=last + best), profile)
    _refuse_unlike(summary)
    return labelled(summary)


def with_lines(table: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """A table of runs with what tells lines of the profile apart, besides the objective's numbers: the `round` and the `order` of
    each, as far as a run has another one than the first and the usual."""
    for name, usual in LINES.items():
        known = {run: row[name] for run, row in profile.rows.items() if name in row}
        if known:
            table = table.assign(**{name: [known.get(run.removesuffix("-best"), usual) for run in table["run"]]})
    return table


def collect(profile: Profile) -> bool:
    """Writes a profile's tables from its run folders, and nothing, returning False, where `evaluations` has none."""
    summary = evaluations(profile)
    if summary is None:
        return False
    runs = {name: folders.run_folder(profile.name, name) for name in profile.rows}
    for path in runs.values():
        record.check(path, "environment.json", "metrics.jsonl")
    steps = [pd.DataFrame(files.read_lines(path / "metrics.jsonl")).assign(run=name) for name, path in runs.items()]
    tables = {"steps": pd.concat(steps)[["run", *STEP_COLUMNS]], "differences": _differences(summary)}
    tables |= {"summary": summary.drop(columns=["path", "label"]), "labels": _by_label(summary)}
    results = folders.results_folder(profile.name)
    for name, table in tables.items():
        files.write_table(results / f"{name}.csv", table)
    segments = [segment for path in runs.values() for segment in files.read_json(path / "environment.json")]
    known = [{name: value for name, value in segment.items() if name != "first_step"} for segment in segments]
    files.write_json(results / "environment.json", known[0] | {"the_same_for_all_runs": all(one == known[0] for one in known)})
    return True


def _refuse_unlike(summary: pd.DataFrame) -> None:
    """Raises UsageError if runs on one data set were not evaluated in the same way, or runs of one model not on the same base."""
    for by, parts in (("data_set", fingerprints.COMPARED), ("model", ("weights",))):
        for _, rows in summary.groupby(by, sort=False):
            fingerprints.refuse_unlike({row["run"]: row for row in rows.to_dict("records")}, parts)


def _differences(summary: pd.DataFrame) -> pd.DataFrame:
    """Every comparison that a profile's evaluations allow, all seeds of a label together: of the last checkpoint with the base, of
    the best one with the last, and of `task` with the label, of the same rate, round, order and seeds. `path` is a result file."""
    rows = []
    for (model, data), same in summary.groupby(["model", "data_set"], sort=False):
        base = same[same["objective"] == "base"]
        tasks = same[(same["objective"] == "task") & (same["checkpoint"] == "last")]
        lines = [key for key in ("learning_rate", *LINES) if key in same]
        for name, group in same.drop(base.index).groupby("label", sort=False):
            last, best = (group[group["checkpoint"] == which].set_index("seed")["path"] for which in ("last", "best"))
            rows.append([model, data, name, "base", "last", *difference(base["path"], last)])
            if len(best):
                rows.append([model, data, name, "last", "best", *difference(last[best.index], best)])
            task = tasks[tasks[lines].eq(group[lines].iloc[0]).all(axis=1)].set_index("seed")["path"]
            if group["objective"].iloc[0] != "task" and len(both := last.index.intersection(task.index)):
                rows.append([model, data, name, "last", "task", *difference(last[both], task[both])])
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)


def _by_label(summary: pd.DataFrame) -> pd.DataFrame:
    """A row per model, data set and label: the mean over its seeds of every metric, and of sampled accuracy the 95% interval (of
    questions and seeds, `statistics.two_level`; of questions alone with one seed), the lowest and the highest seed."""
    rows = []
    last = summary[summary["checkpoint"] != "best"]
    for (model, data, name), seeds in last.groupby(["model", "data_set", "label"], sort=False):
        found = np.array([_by_question(path) for path in seeds["path"]])
        if len(found) == 1 or found.min() == found.max():  # where all is right or wrong, only a binomial bound says anything
            ends = statistics.estimate(found.mean(axis=0), rate=True)
        else:
            ends = statistics.Interval(*np.clip(statistics.two_level(found)[0], 0, 1))
        accuracy = dict(zip(("accuracy_sampled", "accuracy_sampled_low", "accuracy_sampled_high"), ends, strict=True))
        accuracy |= {"lowest_seed": found.mean(axis=1).min(), "highest_seed": found.mean(axis=1).max()}
        shown = [column for metric in metrics.METRICS.values() for column in metric.columns(int(seeds["samples"].max()))]
        means = seeds[[one for one in shown if one in seeds]].mean()
        about = {"model": model, "data_set": data, "objective": seeds["objective"].iloc[0], "label": name, "seeds": len(seeds)}
        about |= {one: seeds[one].iloc[0] for one in ("learning_rate", "problems", "samples") if one in seeds}
        rows.append(about | means.to_dict() | accuracy)
    return pd.DataFrame(rows)


def difference(before: Sequence[Path], after: Sequence[Path]) -> statistics.Difference:
    """The difference in sampled accuracy of evaluations, result files of one label's seeds each, paired by question and seed.
    Raises UsageError if prompts, sampler or grader differ."""
    fingerprints.refuse_unlike({f"{path.parents[1].name}/{path.stem}": runner.read(path) for path in (*before, *after)})
    return statistics.difference(*([_by_question(path) for path in side] for side in (before, after)))


def _by_question(path: Path) -> pd.Series:
    """Sampled accuracy of each question, [P], in the order of the problem set."""
    samples = pd.read_parquet(path.with_name(f"{path.stem}-sampled.parquet"), columns=["problem_id", "correct"])
    return samples.groupby("problem_id", sort=False)["correct"].mean()


def load_differences(profile: str) -> pd.DataFrame:
    """A profile's comparisons, as `statistics.Difference` describes them; empty for results from before there were any."""
    path = folders.results_folder(profile) / "differences.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=DIFFERENCE_COLUMNS)


def load(profile: str, data_set: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(summary, steps) of a profile on one data set (`arithmetic/test`), each with a `label` column (`tilted α=2 β⁻¹=100`). Without
    a data set it is each model's first. The last checkpoint is the headline: rows of best ones are in the file, but not here.
    Raises UsageError if there are no results, or if they were not all measured in the same way."""
    folder = folders.results_folder(profile)
    if not (folder / "summary.csv").exists():
        raise UsageError(f"There are no results of the profile {profile!r}: run `make reproduce PROFILE={profile}` first.")
    summary, steps = (pd.read_csv(folder / f"{name}.csv") for name in ("summary", "steps"))
    _refuse_unlike(summary)
    summary = summary[summary["checkpoint"] != "best"]
    if data_set is not None and data_set not in (sets := list(summary["data_set"].unique())):
        raise UsageError(f"{profile} has no results on {data_set!r}: choose one of {', '.join(sets)}.")
    chosen = data_set or summary.groupby("model")["data_set"].transform("first")
    summary = labelled(summary[summary["data_set"] == chosen].reset_index(drop=True))
    keys = summary[["run", "model", "objective", "label"]]
    return summary, steps.merge(keys, on="run", validate="many_to_one")


def data_sets(profile: str) -> list[str]:
    """The data sets that a profile has results on, in their order."""
    return list(pd.read_csv(folders.results_folder(profile) / "summary.csv")["data_set"].unique())


def has_table(profile: str, name: str) -> bool:
    """Whether `data/results/<profile>/<name>.csv` is there."""
    return (folders.results_folder(profile) / f"{name}.csv").exists()


def read_table(profile: str, name: str, what: str) -> pd.DataFrame:
    """`data/results/<profile>/<name>.csv`; raises UsageError, which calls its rows `what`, if it is not there."""
    path = folders.results_folder(profile) / f"{name}.csv"
    if not path.exists():
        raise UsageError(f"There are no {what} of the profile {profile!r}: run `make reproduce PROFILE={profile}` first.")
    return pd.read_csv(path)


def load_labels(profile: str, data_set: str | None = None) -> pd.DataFrame:
    """A profile's objectives on one data set, by default each model's first, a row each with all of its seeds. Raises UsageError if
    there are no results."""
    table = read_table(profile, "labels", "results")
    return table[table["data_set"] == (data_set or table.groupby("model")["data_set"].transform("first"))].reset_index(drop=True)


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """A table of runs with a `label` each, which has the learning rate only where one model's objective was trained at several."""
    table = table.assign(label=[label(row) for row in table.to_dict("records")])
    if "learning_rate" in table:
        several = table.groupby(["model", "label"])["learning_rate"].transform("nunique") > 1
        rates = [f"{name} at {rate:g}" for name, rate in zip(table["label"], table["learning_rate"], strict=True)]
        table["label"] = table["label"].where(~several, rates)
    return table


def label(row: Mapping[str, Any]) -> str:
    """A run's objective with the numbers that it uses; a base is just `base`."""
    name = str(row["objective"])
    if name not in OBJECTIVES:
        return name
    numbers = {key: row[key] for key in ("alpha", "beta_inv", "normalization", "length_exponent") if key in row}
    named = Objective(name, OBJECTIVES[name].mode, **numbers).label + (" fixed" if row.get("fixed_length") is True else "")
    named += " shortest first" if row.get("order") == "shortest_first" else ""
    return named + (f" round {number:g}" if (number := row.get("round", 1)) > 1 else "")


def largest_k(summary: pd.DataFrame) -> int:
    """The largest k that pass@k and maj@k were computed for."""
    return statistics.powers_of_two(int(summary["samples"].max()))[-1]


def without_constants(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A table without those of the columns `names` that say the same in every row."""
    return table.drop(columns=[name for name in names if name in table and table[name].nunique(dropna=False) == 1])


def lines(steps: pd.DataFrame, model: str) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows of `steps` of one model, by (objective, label), in the order of the profile."""
    return dict(list(steps[steps["model"] == model].groupby(["objective", "label"], sort=False)))


def markdown(profile: str) -> str:
    """A profile's table: a row per base and per objective, a column for each metric that has a heading."""
    found = load_labels(profile)
    most = largest_k(found)
    shown = [metric for metric in metrics.METRICS.values() if metric.heading and metric.columns(most)[-1] in found]
    heads = [f"{metric.heading}@{most}" if metric.by_k else metric.heading for metric in shown]
    heads[0] += " (95%)"
    rows = []
    for _, row in found.sort_values(["model", "label"], key=lambda c: c.where(c != "base", " ")).iterrows():
        cells = [metric.shown(row[metric.columns(most)[-1]]) for metric in shown]
        low, high = (shown[0].shown(row[f"{shown[0].name}_{end}"]) for end in ("low", "high"))
        cells[0] += f" ({low} to {high})"
        rows.append([row["model"], row["label"], *cells])
    problems, samples = (f"{found[name].iloc[0]:.0f}" for name in ("problems", "samples"))
    seeds = f"{found['seeds'].max()} training seeds" if found["seeds"].max() > 1 else "one training seed"
    note = f"{problems} problems, {samples} samples per problem at temperature 1, {seeds} per objective."
    return f"{tables.table(['base', 'objective', *heads], rows)}\n\n{note} Length in tokens, KL in nats per completion."
