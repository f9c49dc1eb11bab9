"""Figures that say what became of a run: what an audit explains of it, and how near it came to its own optimum."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.evaluation.optimum import ARRIVED
from lib.reports import figures

MOST_CURVES = 3  # models whose curves can be told apart in one panel
AUDIT_PARTS: list[tuple[str, str, dict[str, Any]]] = [
    ("share_sharpening", "sharpening (α* > 1)", {"color": "#0072B2"}),
    ("share_flattening", "flattening (α* < 1)", {"color": "#9ecae8", "hatch": "///"}),
    ("share_within_reach", "selection, within the base's reach", {"color": "#D55E00"}),
    ("share_beyond_reach", "selection beyond reach", {"color": "#f2b48a", "hatch": "xxx"}),
    ("share_length", "length", {"color": "#999999"}),
    ("share_rest", "the rest", {"color": "#ffffff"}),
]


def shares(ax: Axes, rows: pd.DataFrame) -> Axes:
    """A bar per audit: which share of KL(π‖p) each part has, as far as it is not refused, and KL itself in nats."""
    rows = rows.assign(share_within_reach=rows["share_selection"] - rows["share_beyond_reach"].fillna(0.0))
    right, left = np.zeros(len(rows)), np.zeros(len(rows))
    for part, label, look in AUDIT_PARTS:
        values = 100 * rows[part].fillna(0.0).to_numpy(dtype=float)
        if np.abs(values).max() < 0.5:  # nothing that can be seen
            continue
        ax.barh(rows["name"], values, left=np.where(values > 0, right, left), label=label, edgecolor="black", linewidth=0.6, **look)
        right, left = right + np.maximum(values, 0), left + np.minimum(values, 0)
    for place, (end, kl, refusal) in enumerate(zip(right, rows["kl"], rows["refusal"])):
        said = f"{kl:.2f} nats" + (f"; refused: {str(refusal).split(':')[0]}" if refusal else "")
        ax.annotate(said, (end, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(xlabel="share of KL(π‖p) (%)", xlim=(min(0.0, left.min()) - 2, 130), ylim=(len(rows) - 0.5, -0.5), axisbelow=True)
    ax.set_xticks(range(0, 101, 20))
    return ax


def arrows(ax: Axes, rows: pd.DataFrame) -> Axes:
    """Accuracy from the base, by what sharpening alone explains, to the trained model: a line of the axes per audit."""
    for place, row in enumerate(rows.to_dict("records")):
        base, sharpened, trained = (100 * row[f"accuracy_{name}"] for name in ("base", "sharpened", "trained"))
        way = [value for value in (base, sharpened, trained) if np.isfinite(value)]
        for start, end in zip(way, way[1:]):
            ax.annotate(
                "", (end, place), (start, place), arrowprops={"arrowstyle": "->", "color": "0.4", "shrinkA": 4, "shrinkB": 4}
            )
        for value, marker, face in ((base, "x", "black"), (sharpened, "o", "white"), (trained, "s", "black")):
            ax.plot(value, place, marker=marker, color="black", markerfacecolor=face, linestyle="none", markersize=7)
    for marker, face, label in (("x", "black", "base"), ("o", "white", "sharpened to $p^{α^*}$"), ("s", "black", "trained")):
        ax.plot([], [], marker=marker, color="black", markerfacecolor=face, linestyle="none", label=label)
    ax.set_yticks(range(len(rows)), [""] * len(rows))
    ax.set(xlabel="accuracy on test problems (%)", xlim=(-2, 102), ylim=(len(rows) - 0.5, -0.5))
    return ax


def audited(audits: pd.DataFrame) -> Figure:
    """`shares` and `arrows` of audits, a row of `audits.over_seeds` each, side by side. The titles are about `task`, where it is
    among them, of several rounds the last: what is left, and the accuracies."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 1.8 + 0.42 * len(audits)), width_ratios=[1.7, 1])
    shares(left, audits), arrows(right, audits)
    task = audits[audits["objective"] == "task"].groupby("model", sort=False).tail(1)
    said = [f"{100 * row.share_rest:.0f}% on {row.model}" for row in task.itertuples() if np.isfinite(row.share_rest)]
    about = f"after {', '.join(task['label'].unique())}, the rest is\n"
    signal = audits[audits["objective"] != "random"]
    low, high = (100 * (signal if len(signal) else audits)["share_sharpening"].agg(end) for end in ("min", "max"))
    most = f"from one to another, sharpening is {low:.0f}% to {high:.0f}%"
    left.set_title(f"What RL did, as shares of KL(π‖p):\n{about + ', '.join(said) if said else most}")
    only = audits.head(1 if audits["model"].nunique() == 1 else 0)  # of several bases none stands for the others
    shown = (task if len(task) else only).dropna(subset="accuracy_sharpened")
    ends = [f"{row.model} {100 * row.accuracy_sharpened:.0f}% and {100 * row.accuracy_trained:.0f}%" for row in shown.itertuples()]
    named = "\n".join([f"Sharpened alone, and after {', '.join(shown['label'].unique())}:", *ends])
    right.set_title(named if ends else "From the base to the trained models")
    figures.legend(figure, (left, right))
    return figure


def near_optimum(steps: pd.DataFrame, optima: pd.DataFrame) -> Figure:
    """How runs approach the optima of their objectives: `approach`, where `sharpen` was trained on a few models, and `ways`."""
    with_curves = 0 < optima.loc[optima["objective"] == "sharpen", "model"].nunique() <= MOST_CURVES
    high = max(3.8, 1.8 + 0.3 * len(optima[["model", "label"]].drop_duplicates()))
    figure, axes = plt.subplots(1, 1 + with_curves, figsize=(5.5 * (1 + with_curves), high), squeeze=False)
    if with_curves:
        approach(axes[0, 0], steps, optima)
    ways(axes[0, -1], optima)
    figures.legend(figure, axes[0])
    return figure


def approach(ax: Axes, steps: pd.DataFrame, optima: pd.DataFrame) -> Axes:
    """S_p of training samples by step of `sharpen`, and of `task` for comparison, thin: a line per model, the mean of its runs; the
    optimum of each model dashed, named to the right of the last step. `optima` is `optimum.csv`."""
    reached: list[str] = []
    for rank, (model, best) in enumerate(optima[optima["objective"] == "sharpen"].groupby("model", sort=False)):
        for objective, width in (("sharpen", 1.8), ("task", 0.8)):
            mean = steps[(steps["model"] == model) & (steps["objective"] == objective)].groupby("step")["reference_logprob"].mean()
            look = figures.style(objective, rank) | {"markevery": max(1, len(mean) // 8), "linewidth": width}
            if len(mean):
                ax.plot(mean.index, figures.smooth(mean), label=f"{model}, {objective}", **look)
        ax.axhline(best["optimum"].mean(), color=figures.style("sharpen", rank)["color"], linestyle="--", linewidth=1)
        at: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "va": "bottom", "ha": "right"}
        ax.annotate(f"optimum, {model}", (1, best["optimum"].mean()), (0, 1), fontsize=7, **at)
        reached.append(f"{model} {best['reached'].mean():.2f} of {best['optimum'].mean():.2f}")
    last = max(1, int(steps["step"].max()))
    ax.set_xlim(-0.05 * last, 1.6 * last)
    ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick <= last])
    ax.set_title(f"sharpen reaches, in nats on test problems:\n{', '.join(reached)}")
    ax.set(xlabel="training step (updates; running mean of 5)", ylabel="$S_p$ (nats per completion)")
    return ax


def ways(ax: Axes, rows: pd.DataFrame) -> Axes:
    """How much of the way to its optimum each run has gone, as far as it is known, with its 95% interval over questions; a line of
    the axes per model and label, its seeds close together. The title names the run that has gone the least."""
    rows = rows.dropna(subset="way")
    if rows.empty:
        ax.set_title("of no run it is known how near it came")
        return ax
    names = rows["model"] + ", " + rows["label"]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    looks = figures.styles(zip(rows["objective"], rows["label"], strict=True))
    for name, seeds in rows.groupby(names, sort=False):
        look = looks[seeds["objective"].iloc[0], seeds["label"].iloc[0]] | {"linestyle": "none", "markersize": 7}
        apart = np.linspace(-0.2, 0.2, len(seeds)) if len(seeds) > 1 else np.zeros(1)
        way, low, high = (100 * seeds[f"way{end}"] for end in ("", "_low", "_high"))
        ax.errorbar(way, places[name] + apart, xerr=[way - low, high - way], capsize=3, **look)
    ax.axvline(100 * ARRIVED, color="black", linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(places)), list(places))
    ax.invert_yaxis()
    least = rows.loc[rows["way"].idxmin()]
    arrived = (rows["way"] >= ARRIVED).sum()
    gone = f"{arrived} of {len(rows)} runs have" if arrived else "No run has"
    gone += f" gone {100 * ARRIVED:.0f}% of the way or more;"
    ax.set_title(f"{gone}\nthe shortest: {100 * least['way']:.0f}%, {least['model']}, {least['label']}")
    ends = min(0.0, 100 * rows["way_low"].min()) - 2, max(102.0, 100 * rows["way_high"].max()) + 2
    ax.set(xlabel="way from the base to the optimum (%)", xlim=ends)
    return ax
