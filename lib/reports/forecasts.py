"""Notebook 08: a forecast of sharpening, and sharpening without training, beside trained runs on the same problems."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from lib.evaluation import forecast_check
from lib.evaluation.forecast import BaseSamples
from lib.reports import figures, results
from lib.storage import folders

NAMES = {"completion": "$p^α$, whole completions", "mean": "log p per token", "answer": "answers (their marginal)"}
MARK: dict[str, Any] = {"color": "black", "linestyle": "none"}  # a trained run
LEAST = 100  # questions for five groups of them: of fewer, a group's forecast is noise
FACES = ("none", "0.75", "0.4")  # of the first, second and further labels of one objective
SAID = {
    "sampled": "sampled",
    "greedy": "greedy",
    "power: sequential Monte Carlo": "by sequential Monte Carlo",
    "majority vote": "by a vote",
}


def runs_of(profile: str, data_set: str, model: str) -> pd.DataFrame:
    """The trained runs of a profile on one base and data set, a row of its summary each; none for a profile without results."""
    if not results.has_table(profile, "summary"):
        return pd.DataFrame(columns=["run", "model", "objective", "normalization", "alpha", "seed"])
    summary = results.load(profile, data_set)[0]
    return summary[(summary["model"] == model) & (summary["objective"] != "base")]


def samples_of(profile: str, stem: str, runs: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The evaluation samples of runs, by name, as far as their folders are there; `stem` is the evaluation's file name."""
    places = {run: folders.run_folder(profile, run) / "evaluations" / f"{stem}-sampled.parquet" for run in runs}
    return {run: pd.read_parquet(path) for run, path in places.items() if path.exists()}


def trained_on(trained: pd.DataFrame, sampled: Mapping[str, pd.DataFrame], questions: Sequence[str], whole: int) -> pd.DataFrame:
    """Trained runs on these questions alone: rows of a summary whose accuracy and length are the means over them. If they are all
    of the `whole` evaluation the rows stay as they are; else those of runs without samples are left out."""
    if len(questions) == whole:
        return trained
    rows = []
    for row in trained[trained["run"].isin(list(sampled))].to_dict("records"):
        own = sampled[row["run"]]
        own = own[own["problem_id"].isin(list(questions))]
        rows.append(row | {"accuracy_sampled": own["correct"].mean(), "length_mean": own["length"].mean()})
    return pd.DataFrame(rows, columns=trained.columns)


def grouped(
    samples: BaseSamples, tempered: pd.DataFrame, sampled: Mapping[str, pd.DataFrame], questions: Sequence[str], least: int = LEAST
) -> pd.DataFrame:
    """`forecast_check.by_group` of the runs whose samples are there, a row per α and group: trained accuracy of a question is the
    mean over seeds. `questions` are those of `samples`, in order; of fewer than `least` there are no groups."""
    if len(questions) < least:
        return pd.DataFrame()
    found = []
    for alpha, runs in tempered[tempered["run"].isin(list(sampled))].groupby("alpha"):
        own = [sampled[run].groupby("problem_id", sort=False)["correct"].mean().loc[list(questions)] for run in runs["run"]]
        rows = forecast_check.by_group(samples, float(alpha), np.mean(own, axis=0))
        found.append(rows.assign(alpha=alpha, seeds=len(runs), group=range(1, len(rows) + 1)))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def beside_exact(checked: pd.DataFrame, profile: str, model: str) -> pd.DataFrame:
    """`forecast_check.against_trained` with `kl_left_exact`, by the exact log Z of notebook 10, where enough of it was found to
    give a `way`."""
    if not results.has_table(profile, "optimum"):
        return checked
    exact = results.read_table(profile, "optimum", "distances").query("model == @model and objective == 'tempered'")
    left = exact.dropna(subset="way")[["alpha", "seed", "left"]].rename(columns={"left": "kl_left_exact"})
    return checked.merge(left, how="left", on=["alpha", "seed"])


def over_alpha(ax: Axes, name: str, table: pd.DataFrame, trained: pd.DataFrame) -> Axes:
    """Forecast accuracy with its 95% interval over α, a line per kind (`forecast.as_table`) that has more than its start, and
    trained runs as crosses, those of one α side by side. The title gives the last α of whole completions that has a forecast."""
    given = table.dropna(subset="accuracy")
    for rank, (kind, rows) in enumerate(given.groupby("kind", sort=False)):
        if len(rows) > 1:
            look = figures.plain(rank)
            ax.plot(rows["alpha"], 100 * rows["accuracy"], label=f"forecast: {NAMES[kind]}", **look)
            ax.fill_between(rows["alpha"], 100 * rows["low"], 100 * rows["high"], color=look["color"], alpha=0.15)
    for _, runs in trained.groupby("alpha"):
        mean, low, high = (100 * runs[f"accuracy_sampled{end}"] for end in ("", "_low", "_high"))
        places = runs["alpha"] + 0.1 * (np.arange(len(runs)) - (len(runs) - 1) / 2)
        ax.errorbar(places, mean, [mean - low, high - mean], fmt="kx", markersize=7, capsize=2, label="trained: tempered")
    whole = given[given["kind"] == "completion"]
    first, last = whole.iloc[0], whole.iloc[-1]
    claim = f"{100 * last['accuracy']:.0f}% at α = {last['alpha']:g}" if len(whole) > 1 else "nothing: too few samples"
    ax.set_title(f"{name}, {100 * first['accuracy']:.0f}% right: sharpening its completions\nis forecast to give {claim}")
    ax.set(xlabel="α (1 is the base)", ylabel="accuracy (%)", ylim=(0, 102))
    handles, labels = ax.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    ax.legend(list(known.values()), list(known), fontsize=8)
    return ax


def by_group(ax: Axes, name: str, groups: pd.DataFrame) -> Axes:
    """Trained against forecast accuracy of five groups of questions (`grouped`), a line per α, with the 95% intervals of both over
    the questions of a group. The group that is farthest from its forecast is marked, and the title names it."""
    for rank, (alpha, rows) in enumerate(groups.groupby("alpha")):
        across, up = ([100 * np.abs(rows[f"{of}{end}"] - rows[of]) for end in ("_low", "_high")] for of in ("forecast", "trained"))
        look = figures.plain(rank) | {"capsize": 2, "elinewidth": 0.8}
        seeds = f", mean of {rows['seeds'].iloc[0]} seeds" if rows["seeds"].iloc[0] > 1 else ""
        ax.errorbar(100 * rows["forecast"], 100 * rows["trained"], up, across, label=f"α = {alpha:g}{seeds}", **look)
    ax.plot([0, 100], [0, 100], color="black", linewidth=0.8, linestyle=":", label="as forecast")
    far = groups.loc[(groups["trained"] - groups["forecast"]).abs().idxmax()]
    place, arrow = (100 * far["forecast"], 100 * far["trained"]), {"arrowstyle": "-", "linewidth": 0.6}
    mark: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "arrowprops": arrow}
    ax.annotate(f"group {far['group']:.0f}", place, (-16, -30) if far["trained"] > 0.5 else (14, 34), **mark)
    where = f"group {far['group']:.0f} at α = {far['alpha']:g} is farthest from its forecast:"
    ax.set_title(f"{name}: {where}\nforecast {100 * far['forecast']:.0f}%, trained {100 * far['trained']:.0f}%")
    ax.set(xlabel="forecast under $p^α$ (%)", ylabel="trained (%)", xlim=(-3, 106), ylim=(-3, 106))
    ax.legend(fontsize=8)
    return ax


def by_tokens(ax: Axes, name: str, methods: pd.DataFrame, trained: pd.DataFrame, forecast: float | None = None) -> Axes:
    """Accuracy with its 95% interval over the tokens spent, a line per method (`baselines.as_table`), a black outline for
    each label of the trained runs, the mean over its seeds, and the `forecast` accuracy of p^α dashed, all on the same problems."""
    for rank, (method, rows) in enumerate(methods.groupby("method", sort=False)):
        reach = 100 * np.abs(rows[["low", "high"]].to_numpy().T - rows["accuracy"].to_numpy())
        look = figures.plain(rank) | {"elinewidth": 0.7, "capsize": 2}
        ax.errorbar(rows["tokens"], 100 * rows["accuracy"], reach, label=str(method), **look)
    if len(trained):
        seen: list[object] = []
        for rank, ((objective, label), rows) in enumerate(trained.groupby(["objective", "label"], sort=False)):
            mark = MARK | {"marker": figures.style(str(objective))["marker"], "markersize": 13 - 1.5 * min(rank, 5)}
            mark["markerfacecolor"] = FACES[min(seen.count(objective), len(FACES) - 1)]
            seen.append(objective)
            ax.plot(rows["length_mean"].mean(), 100 * rows["accuracy_sampled"].mean(), label=f"trained: {label}", **mark)
    if forecast is not None:
        ax.axhline(100 * forecast, color="black", linestyle="--", linewidth=1, label="forecast of $p^α$")
    best = methods.groupby("method")["accuracy"].last()
    told = [f"{100 * best[one]:.0f}% {how}" for one, how in SAID.items() if one in best]
    ax.set_title(f"{name}: {told[0]}, {told[1]},\n{', '.join(told[2:])}")
    ax.set(xscale="log", xlabel="tokens per problem (log scale)", ylabel="accuracy (%)", ylim=(0, 102))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=0.6)
    return ax
