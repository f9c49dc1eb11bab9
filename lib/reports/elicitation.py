"""Elicitation or teaching: a profile's runs beside their base made to show its work, and beside many more tries of the base.
`data/results/<profile>/elicitation.csv`; the sampling is `lib.evaluation.elicitation`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lib.audit import decomposition
from lib.evaluation import elicitation, pairs, runner, statistics
from lib.evaluation.config import EvalConfig
from lib.models import loading, sources
from lib.profiles import Profile
from lib.reports import audits, figures, results
from lib.storage import files, folders
from lib.storage.errors import UsageError

MANY = 256  # tries of a base per question, of `PROBLEMS` questions
PROBLEMS = 100
PARTS = ("sharpening", "flattening", "selection", "beyond_reach", "length", "rest")
AUDITED = ("kl", "alpha_star", *(f"share_{part}" for part in PARTS), "refusal")
WORKED = "base, made to show its work"


def collect(profile: Profile) -> bool:
    """Writes a row per model, data set and label: accuracy and KL from the base over all seeds, how many questions were solved at
    least once, and the difference from the base that is made to show its work; False, with a message, if not every run is evaluated
    yet."""
    summary = results.evaluations(profile)
    if summary is None:
        return False
    last, rows = summary[summary["checkpoint"] != "best"], []
    for model in profile.models:
        loaded = loading.load(sources.resolve(model), 256, profile.load_in_4bit(model))
        for config in profile.eval_configs(model):
            worked = elicitation.made_to_work(*loaded, runner.load_problems(config).problems, config)
            about = {"model": model, "data_set": config.data_set}
            rows += [about | row for row in _rows(last.query("model == @model and data_set == @config.data_set"), worked)]
    files.write_table(folders.results_folder(profile.name) / "elicitation.csv", pd.DataFrame(rows))
    return True


def _rows(runs: pd.DataFrame, worked: elicitation.Worked) -> list[dict]:
    """The rows of one model and data set, the worked base after the base."""
    own = _correct(worked.sampled)
    rows = []
    for (objective, label), seeds in runs.groupby(["objective", "label"], sort=False):
        sampled = [runner.graded(Path(path)).sampled for path in seeds["path"]]
        rows.append({"objective": objective, "label": label, "kl": seeds["kl"].mean(), **_numbers(sampled, own)})
    made = {"objective": "base", "label": WORKED, "kl": worked.kl.mean(), **_numbers([worked.sampled], own)}
    greedy = {"objective": "base", "label": f"{WORKED}, greedy", "kl": np.nan, **_numbers([worked.greedy], own)}
    return [rows[0], made, greedy, *rows[1:]]


def _correct(sampled: pd.DataFrame) -> pd.Series:
    return sampled.groupby("problem_id", sort=False)["correct"].mean()


def _numbers(sampled: Sequence[pd.DataFrame], worked: pd.Series) -> dict[str, float]:
    """Accuracy, questions solved at least once (the mean over seeds), and the paired difference from the worked base."""
    correct = np.array([_correct(one) for one in sampled])
    more = statistics.difference(worked, correct)
    numbers = {"seeds": len(correct), "questions": correct.shape[1], "samples": len(sampled[0]) // correct.shape[1]}
    numbers |= {"accuracy": correct.mean(), "solved": (correct > 0).sum(axis=1).mean()}
    return numbers | {"minus_worked": more.mean, "minus_worked_low": more.low, "minus_worked_high": more.high}


def many_tries(profile: Profile, model: str, data: str) -> pd.Series:
    """How many of `MANY` samples of a base are right on each of `PROBLEMS` test problems of a data set, by problem. Kept in the
    folder of the base, and resumed."""
    config = profile.eval_configs(model, data)[0].changed(samples=MANY, problems=PROBLEMS)
    folder = folders.run_folder(profile.name, folders.base_name(model)) / f"{MANY}-tries"
    runner.of_base(model, folder, config, profile.load_in_4bit(model))
    sampled = runner.graded(folder / "evaluations" / f"{config.stem}.json").sampled
    return sampled.groupby("problem_id", sort=False)["correct"].sum()


def collect_beyond(profile: Profile) -> bool:
    """Writes a row per base and run for each data set after the first, `beyond.csv`: the questions that were solved at least once,
    of the base in `MANY` tries, and what the audit of the run says there. False if there is no such data set, or, with a message,
    if not every run is evaluated yet."""
    further = [(model, config) for model in profile.models for config in profile.eval_configs(model)[1:]]
    summary = results.evaluations(profile) if further else None
    if summary is None:
        return False
    last, rows = summary[summary["checkpoint"] != "best"], []
    for model, config in further:
        about = {"model": model, "data_set": config.data_set}
        right = many_tries(profile, model, config.data)
        rows.append(about | {"run": "base", "label": "base", **_solved(right, MANY), "kl": 0.0})
        for one in last.query("model == @model and data_set == @config.data_set and objective != 'base'").itertuples():
            right = runner.graded(Path(one.path)).sampled.groupby("problem_id")["correct"].sum()
            found = audited(profile, one.run, config).row()
            rows.append(about | {"run": one.run, "label": one.label, **_solved(right, config.samples)})
            rows[-1] |= {name: found[name] for name in AUDITED}
    files.write_table(folders.results_folder(profile.name) / "beyond.csv", pd.DataFrame(rows))
    return True


def _solved(right: pd.Series, tries: int) -> dict[str, int]:
    """Of the right tries of each question: how many questions have one."""
    return {"questions": len(right), "tries": tries, "solved": int((right > 0).sum())}


def load_beyond(profile: str) -> pd.DataFrame:
    """The table of `collect_beyond`; raises UsageError if there is none."""
    return results.read_table(profile, "beyond", "rows beyond the base's reach")


def beyond_by_label(table: pd.DataFrame) -> pd.DataFrame:
    """`beyond.csv` as it is read, a row per label: the questions that any of its runs solved, KL in nats and the audit's shares in
    percent as the least and the most over runs, a dash where every one is refused."""
    rows = []
    for (model, data_set, label), runs in table.groupby(["model", "data_set", "label"], sort=False):
        one = {"model": model, "data_set": data_set, "label": label, "runs": len(runs), "tries": runs["tries"].iloc[0]}
        one |= {"solved": f"{runs['solved'].max()} of {runs['questions'].iloc[0]}", "kl": _ends(runs["kl"], "{:.1f}")}
        rows.append(one | {name: _ends(100 * runs[f"share_{name}"], "{:.0f}") for name in ("beyond_reach", "rest")})
    return results.without_constants(pd.DataFrame(rows), ["model", "data_set"])


def _ends(values: pd.Series, form: str) -> str:
    """The least and the most of some numbers."""
    known = values.dropna()
    return " to ".join(dict.fromkeys(form.format(one) for one in (known.min(), known.max()))) if len(known) else "–"


def configs_of(profile: Profile, run: str) -> list[EvalConfig]:
    """The evaluations of a run, one per data set. Raises UsageError if the profile has no such run."""
    if run not in profile.rows:
        raise UsageError(f"{profile.name} has no run {run!r}: choose one of {', '.join(profile.rows)}.")
    return profile.eval_configs(profile.rows[run]["model"])


def audited(profile: Profile, run: str, config: EvalConfig) -> decomposition.Audit:
    """The audit of a run on another data set than its first."""
    sampled, greedy = pairs.samples(audits.pair_of_run(profile, run), config)
    return decomposition.audit(sampled, greedy=greedy)


def load(profile: str) -> pd.DataFrame:
    """The table of a profile; raises UsageError if there is none."""
    return results.read_table(profile, "elicitation", "rows of elicitation")


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read: KL in nats, accuracy in percent, the difference from the worked base in points, a dash for what is
    not known; with the data set only where there are several."""
    numbers = {
        "kl": table["kl"].map(lambda kl: "–" if np.isnan(kl) else f"{kl:.2f}"),
        "solved": table["solved"].map("{:.4g}".format),
    }
    numbers |= {"accuracy": (100 * table["accuracy"]).map("{:.1f}".format)}
    numbers |= {"minus_worked": (100 * table["minus_worked"]).map("{:+.1f}".format)}
    columns = ["model", "data_set", "label", "kl", "accuracy", "solved", "minus_worked"]
    return results.without_constants(table.assign(**numbers)[columns], ["data_set"])


def beside_worked(ax: Axes, rows: pd.DataFrame) -> Axes:
    """What each label of one model and data set has beyond the base that is made to show its work, in points of accuracy with 95%
    intervals: 0 is that base."""
    rows = rows[rows["label"] != WORKED]
    looks = figures.styles(zip(rows["objective"], rows["label"], strict=True))
    for place, row in enumerate(rows.itertuples()):
        mean, low, high = 100 * row.minus_worked, 100 * row.minus_worked_low, 100 * row.minus_worked_high
        look = looks[row.objective, row.label] | {"linestyle": "none", "markersize": 7}
        ax.errorbar([mean], [place], xerr=[[mean - low], [high - mean]], capsize=3, **look)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(rows)), rows["label"])
    ax.invert_yaxis()
    task = rows[rows["objective"] == "task"]
    said = [f"{label} {100 * more:+.1f} points" for label, more in zip(task["label"], task["minus_worked"], strict=True)]
    found = "beyond showing work, " + ",\n".join(said) if rows["accuracy"].any() else "no model is right in any sample"
    ax.set_title(f"{rows['model'].iloc[0]}, {rows['data_set'].iloc[0]}:\n{found}")
    ax.set_xlabel("accuracy less that of the base made to show its work (points)")
    return ax
