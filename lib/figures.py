"""Figures: one style, one colour and dash a regime, one way to save. A plotter takes data and axes, and reads no file."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from lib import runs

# Okabe and Ito's colours; in grey some are alike, so every regime has its own dash and marker as well
STYLE = {
    "base": ("#000000", ":", "x"),
    "task": ("#0072B2", "-", "o"),
    "sharpen": ("#D55E00", "--", "s"),
    "tempered": ("#CC79A7", "-.", "^"),
    "tilted": ("#009E73", (0, (5, 1)), "D"),
    "task+likelihood": ("#56B4E9", (0, (3, 1, 1, 1)), "v"),
    "coin": ("#999999", (0, (1, 1)), "P"),
    "format": ("#E69F00", (0, (1, 3)), "*"),
}
plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "legend.frameon": False,
        "savefig.dpi": 150,
        "svg.hashsalt": "kit",
    }
)


def style(regime: str, rank: int = 0) -> dict:
    """The colour, dash and marker of a regime, as keywords for `plot`.

    `rank` counts the labels of one regime, such as its α: each next one is lighter, and its marker is open.
    """
    color, dash, marker = STYLE[regime]
    lighter = tuple(1 - (1 - part) * 0.6**rank for part in to_rgb(color))
    face = lighter if rank == 0 else "white"
    return {"color": lighter, "linestyle": dash, "marker": marker, "markerfacecolor": face, "markersize": 5}


def styles(labels: list[tuple[str, str]]) -> dict[tuple[str, str], dict]:
    """The style of each (regime, label), ranked within its regime in the order given."""
    seen: Counter[str] = Counter()
    looks = {}
    for regime, label in dict.fromkeys(labels):
        looks[regime, label] = style(regime, seen[regime])
        seen[regime] += 1
    return looks


def legend(figure: Figure, axes, columns: int = 6) -> None:
    """One legend below the figure for every label in any of its axes."""
    entries = {}
    for ax in axes:
        entries |= dict(zip(*reversed(ax.get_legend_handles_labels())))
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=min(columns, len(entries)), fontsize=8
    )


def save(figure: Figure, name: str, folder: Path = runs.HOME / "figures") -> Path:
    """Writes `<name>.png` and `<name>.svg`, atomically and without dates, and returns the PNG's path."""
    for suffix, metadata in ((".svg", {"Date": None}), (".png", None)):
        with runs.atomic(Path(folder) / f"{name}{suffix}") as path:
            figure.savefig(path, format=suffix[1:], metadata=metadata)
    return Path(folder) / f"{name}.png"


def explore(draw: Callable[..., None], **controls) -> None:
    """A slider for each control (an ipywidgets widget), and below them what `draw` shows for their values.

    Where nobody can move a slider, as under papermill, `draw` shows the first state, and there are no widgets: with many of them
    nbclient and ipykernel were seen to wait for each other without end.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is not None and kernel.get_parent("shell").get("content", {}).get("allow_stdin"):
        from ipywidgets import interact

        interact(draw, **controls)
    else:
        draw(**{name: getattr(control, "value", control) for name, control in controls.items()})


def smooth(values: np.ndarray, window: int = 5) -> np.ndarray:
    """A centred running mean that shortens its window at the ends, [T] to [T]."""
    values, half = np.asarray(values, dtype=float), window // 2
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def by_step(ax: Axes, lines: dict[tuple[str, str], pd.DataFrame], column: str, scale: float = 1.0) -> Axes:
    """One line a (regime, label): the running mean over 5 steps of a column of `steps.csv`, averaged over seeds."""
    looks = styles(list(lines))
    for (regime, label), rows in lines.items():
        mean = rows.groupby("step")[column].mean()
        every = max(1, len(mean) // 8)
        ax.plot(mean.index, scale * smooth(mean.to_numpy()), label=label, markevery=every, **looks[regime, label])
    ax.set_xlabel("training step (updates; running mean of 5)")
    return ax


def accuracies(ax: Axes, rows: pd.DataFrame) -> Axes:
    """Sampled accuracy with its 95% interval, and greedy accuracy as a bar; seeds of one label lie close together."""
    labels, looks = list(dict.fromkeys(rows["label"])), styles(list(zip(rows["regime"], rows["label"])))
    for label, seeds in rows.groupby("label"):
        offsets = np.linspace(-0.2, 0.2, len(seeds)) if len(seeds) > 1 else [0.0]
        for offset, (_, row) in zip(offsets, seeds.iterrows(), strict=True):
            place, look = labels.index(label) + offset, looks[row["regime"], label] | {"linestyle": "none"}
            mean, low, high = (100 * row[f"accuracy_sampled{end}"] for end in ("", "_low", "_high"))
            ax.errorbar(mean, place, xerr=[[mean - low], [high - mean]], capsize=3, **look | {"markersize": 7})
            ax.plot(100 * row["accuracy_greedy"], place, "|", color=look["color"], markersize=12, markeredgewidth=2)
    ax.plot([], [], "ko", label="sampled, T = 1 (95% interval)")
    ax.plot([], [], "k|", markersize=12, markeredgewidth=2, linestyle="none", label="greedy")
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.set_xlim(-2, 102)
    ax.set_xlabel("accuracy on test problems (%)")
    return ax


def pass_curves(ax: Axes, rows: pd.DataFrame) -> Axes:
    """pass@k against k with its 95% interval, a line a label, both averaged over seeds."""
    columns = sorted((c for c in rows if re.fullmatch(r"pass_at_\d+", c)), key=lambda c: int(c.split("_")[-1]))
    ks = [int(column.split("_")[-1]) for column in columns]
    looks = styles(list(zip(rows["regime"], rows["label"])))
    for (regime, label), seeds in rows.groupby(["regime", "label"], sort=False):
        look, means = looks[regime, label], 100 * seeds.mean(numeric_only=True)
        ax.plot(ks, means[columns], label=label, **look)
        low, high = (means[[f"{column}_{end}" for column in columns]] for end in ("low", "high"))
        ax.fill_between(ks, low, high, color=look["color"], alpha=0.12, linewidth=0)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ks, [str(k) for k in ks])
    ax.set_xlabel("k (samples a problem)")
    ax.set_ylabel("pass@k (%)")
    return ax


def kinds(ax: Axes, best: pd.DataFrame) -> Axes:
    """A dot a problem: the highest S_p of a `worked` against that of a `bare` completion, in nats, with the diagonal."""
    worked = best["worked"] > best["bare"]
    for is_worked, marker, color in ((True, "o", "#0072B2"), (False, "x", "#D55E00")):
        part = best[worked == is_worked]
        name = "worked" if is_worked else "bare"
        ax.scatter(
            part["bare"], part["worked"], marker=marker, color=color, s=18, alpha=0.7, label=f"{name} is likelier"
        )
    ax.axline((-1, -1), slope=1, color="black", linewidth=1)
    ax.set_xlabel("likeliest bare completion, S_p (nats)")
    ax.set_ylabel("likeliest worked completion, S_p (nats)")
    return ax


def plain(rank: int) -> dict:
    """The colour, dash and marker of the rank-th line that is no regime, as keywords for `plot`; they differ in grey, too."""
    color, dash, marker = list(STYLE.values())[1:][rank]
    return {"color": color, "linestyle": dash, "marker": marker, "markersize": 5}


def lines(ax: Axes, x: Sequence[float], series: Mapping[str, Sequence[float]], first: int = 0, **look) -> Axes:
    """A line for each named series over x, told apart by `plain` from rank `first` on, with a legend. `look` overrides."""
    for rank, (name, values) in enumerate(series.items(), first):
        every = max(1, len(x) // 10)
        ax.plot(x, values, label=name, **plain(rank) | {"markevery": every} | look)
    ax.legend(fontsize=8)
    return ax


def forecasts(ax: Axes, table: pd.DataFrame, names: Mapping[str, str], trained: pd.DataFrame) -> Axes:
    """Forecast accuracy with its interval over α, a line a kind (`forecast.as_table`), and trained runs as crosses."""
    known = table.dropna(subset="accuracy")
    for rank, (kind, rows) in enumerate(known.groupby("kind", sort=False)):
        look = plain(rank)
        ax.plot(rows["alpha"], 100 * rows["accuracy"], label=f"forecast: {names[kind]}", **look)
        ax.fill_between(rows["alpha"], 100 * rows["low"], 100 * rows["high"], color=look["color"], alpha=0.15)
    for _, run in trained.iterrows():
        mean, low, high = (100 * run[f"accuracy_sampled{end}"] for end in ("", "_low", "_high"))
        ax.errorbar(run["alpha"], mean, yerr=[[mean - low], [high - mean]], fmt="kx", markersize=9, capsize=3)
    ax.plot([], [], "kx", markersize=9, label="trained: tempered")
    ax.set(xlabel="α (1 is the base)", ylabel="accuracy (%)", ylim=(0, 102))
    ax.legend(fontsize=8)
    return ax


def by_group(ax: Axes, grouped: Mapping[str, pd.DataFrame]) -> Axes:
    """Trained against forecast accuracy of groups of questions (`forecast_check.by_group`), a line a run."""
    for rank, (name, rows) in enumerate(grouped.items()):
        ax.plot(100 * rows["forecast"], 100 * rows["trained"], label=name, **plain(rank))
    ax.plot([0, 100], [0, 100], color="black", linewidth=0.8, linestyle=":", label="as forecast")
    ax.set(xlabel="forecast under p^α (%)", ylabel="trained (%)", xlim=(-3, 106), ylim=(-3, 106))
    ax.legend(fontsize=8)
    return ax


def by_tokens(ax: Axes, methods: pd.DataFrame, trained: pd.DataFrame) -> Axes:
    """Accuracy with its interval over the tokens spent, a line a method (`baselines.as_table`), and trained runs as crosses with
    their label."""
    for rank, (method, rows) in enumerate(methods.groupby("method", sort=False)):
        reach = 100 * np.abs(rows[["low", "high"]].to_numpy().T - rows["accuracy"].to_numpy())
        ax.errorbar(
            rows["tokens"], 100 * rows["accuracy"], reach, label=method, elinewidth=0.7, capsize=2, **plain(rank)
        )
    for number, (_, run) in enumerate(trained.sort_values("accuracy_sampled").iterrows()):
        place, shift = (run["length_mean"], 100 * run["accuracy_sampled"]), (5, 4 if number % 2 else -10)
        ax.plot(*place, "k+", markersize=9)
        ax.annotate(run["label"], place, shift, textcoords="offset points", fontsize=7)
    ax.set(xscale="log", xlabel="tokens a problem (log scale)", ylabel="accuracy (%)", ylim=(0, 102))
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def over_alpha(ax: Axes) -> Axes:
    """A logarithmic axis of α, with the numbers that one reads."""
    ax.set(xscale="log", xlabel="α (log scale; 1 is the base)")
    ax.set_xticks([2.0**i for i in range(-2, 6)], ["¼", "½", "1", "2", "4", "8", "16", "32"])
    ax.xaxis.set_minor_locator(NullLocator())
    return ax


def accuracy_bars(accuracies: Mapping[str, float], title: str) -> None:
    """Shows a bar for each named accuracy, from 0 to 1, in percent."""
    figure, ax = plt.subplots(figsize=(7, 0.6 + 0.4 * len(accuracies)))
    ax.barh(list(accuracies), [100 * value for value in accuracies.values()], color="#0072B2")
    ax.invert_yaxis()
    ax.set(xlabel="accuracy (%)", xlim=(0, 100), title=title)
    plt.show()


def to_plane(policy: np.ndarray) -> np.ndarray:
    """Distributions over three completions [..., 3] as points of an equilateral triangle with side 1, [..., 2]."""
    return np.asarray(policy) @ np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])


def simplex(
    ax: Axes, corners: tuple[str, str, str], velocity: Callable[[np.ndarray], np.ndarray], side: int = 12
) -> Axes:
    """The triangle of all policies over three completions, with an arrow for a flow at each of its inner grid points.

    `velocity` maps a policy [3] to dπ/dt [3]. Arrows have one length and are darker where the flow is faster.
    """
    ax.fill(*to_plane(np.eye(3)).T, facecolor="none", edgecolor="black", linewidth=1)
    inner = [(i, j, side - i - j) for i in range(1, side) for j in range(1, side - i)]
    points = np.array(inner) / side
    arrows = to_plane(np.array([velocity(point) for point in points]))
    speed = np.hypot(*arrows.T)
    arrows = np.divide(arrows, speed[:, None], out=np.zeros_like(arrows), where=speed[:, None] > 1e-12)
    ax.quiver(
        *to_plane(points).T, *arrows.T, speed, cmap="Greys", clim=(-0.4 * speed.max(), speed.max() + 1e-12),
        pivot="mid", scale=1.3 * side, width=0.006,
    )  # fmt: skip
    offsets = (-3, -5, "right", "top"), (3, -5, "left", "top"), (0, 5, "center", "bottom")
    for corner, place, (x, y, across, up) in zip(corners, to_plane(np.eye(3)), offsets):
        ax.annotate(corner, place, (x, y), textcoords="offset points", ha=across, va=up, fontsize=9)
    ax.set(aspect="equal", xlim=(-0.15, 1.15), ylim=(-0.12, 1.0))
    ax.axis("off")
    return ax
