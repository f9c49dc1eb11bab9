"""Figures: one style, one colour and dash per objective, one way to save. A plotter takes data and axes, and reads no file."""

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import ArrayLike

from lib.evaluation import metrics
from lib.rewards.objectives import OBJECTIVES
from lib.storage import files, folders

BASE: Any = SimpleNamespace(color="#000000", dash=":", marker="x")
BAR: dict[str, Any] = {"marker": "|", "linestyle": "none", "markersize": 12, "markeredgewidth": 2}
plt.style.use(Path(__file__).with_name("figures.mplstyle"))


def style(objective: str, rank: int = 0) -> dict[str, Any]:
    """The colour, dash and marker of an objective, or of the `base`, as keywords for `plot`. `rank` counts the labels of one
    objective, such as its α: each next one is lighter, and its marker is open."""
    look = BASE if objective == "base" else OBJECTIVES[objective]
    lighter = tuple(1 - (1 - part) * 0.6**rank for part in to_rgb(look.color))
    face = "white" if rank else lighter
    return {"color": lighter, "linestyle": look.dash, "marker": look.marker, "markerfacecolor": face, "markersize": 5}


def styles(labels: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """The style of each (objective, label), ranked within its objective in the order given."""
    looks: dict[tuple[str, str], dict[str, Any]] = {}
    for objective, label in dict.fromkeys(labels):
        looks[objective, label] = style(objective, sum(other == objective for other, _ in looks))
    return looks


def legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend below the figure for every label in any of its axes, with as many columns as the figure is wide."""
    entries = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels())}
    for columns in range(min(6, len(entries)), 0, -1):
        made = figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns, fontsize=8)
        if columns == 1 or made.get_window_extent().width <= figure.bbox.width:
            return
        made.remove()


def save(figure: Figure, name: str, folder: Path = folders.HOME / "figures") -> None:
    """Writes `<name>.png` and `<name>.svg`, atomically and without dates; titles that are too wide are broken into lines."""
    for _ in range(3):  # a title that became narrower moves the panels
        figure.draw_without_rendering()
        broken = [_fit_title(ax, figure) for ax in figure.axes]
        if not any(broken):
            break
    for suffix, metadata in (("svg", {"Date": None}), ("png", None)):
        with files.atomic(folder / f"{name}.{suffix}") as path:
            figure.savefig(path, format=suffix, metadata=metadata)


def _fit_title(ax: Axes, figure: Figure) -> bool:
    """Breaks a title that would run into the next panel or out of the figure, and says whether it did; one with a formula is left
    as it is."""
    here, text = ax.get_window_extent(), ax.get_title(loc="left")
    others = [other.get_window_extent() for other in figure.axes]
    beside = [box.x0 for box in others if box.x0 > here.x1 - 1 and box.y0 < here.y1 and here.y0 < box.y1]
    room = min([*beside, figure.bbox.x1]) - here.x0 - 8
    for title in ax.findobj(Text):
        if not isinstance(title, Text) or title.get_text() != text or not text:
            continue
        while (width := title.get_window_extent().width) > room and "$" not in title.get_text():
            letters = max(1, int(max(map(len, title.get_text().split("\n"))) * room / width))
            broken = textwrap.fill(text.replace("\n", " "), letters, break_long_words=False, break_on_hyphens=False)
            if broken == title.get_text():
                break
            title.set_text(broken)
    return ax.get_title(loc="left") != text


def smooth(values: ArrayLike, window: int = 5) -> np.ndarray:
    """A centred running mean that shortens its window at the ends, [T] to [T]."""
    return pd.Series(values).rolling(window, center=True, min_periods=1).mean().to_numpy()


def by_step(ax: Axes, lines: Mapping[tuple[str, str], pd.DataFrame], column: str, scale: float = 1.0) -> Axes:
    """One line per (objective, label): the running mean over 5 steps of a column of `steps.csv`, averaged over seeds."""
    looks = styles(lines)
    for key, rows in lines.items():
        mean = rows.groupby("step")[column].mean()
        ax.plot(mean.index, scale * smooth(mean), label=key[1], markevery=max(1, len(mean) // 8), **looks[key])
    ax.set_xlabel("training step (updates; running mean of 5)")
    return ax


def intervals(ax: Axes, rows: pd.DataFrame, metric: metrics.Metric, bar: str | None = None) -> Axes:
    """A metric with its 95% interval, a line of the axes per label, its seeds close together; `bar` is a column to draw with it."""
    labels, looks = list(rows["label"].unique()), styles(zip(rows["objective"], rows["label"]))
    scale = 100 if metric.rate else 1
    for label, seeds in rows.groupby("label"):
        look = looks[seeds["objective"].iloc[0], label]
        places = labels.index(label) + (np.linspace(-0.2, 0.2, len(seeds)) if len(seeds) > 1 else np.zeros(1))
        mean, low, high = (scale * seeds[f"{metric.name}{end}"] for end in ("", "_low", "_high"))
        ax.errorbar(mean, places, xerr=[mean - low, high - mean], capsize=3, **look | {"linestyle": "none", "markersize": 7})
        if bar:
            ax.plot(scale * seeds[bar], places, color=look["color"], **BAR)
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.set_xlabel(metric.label)
    return ax


def accuracies(ax: Axes, labels: pd.DataFrame, runs: pd.DataFrame) -> Axes:
    """Sampled accuracy of each label with its 95% interval, greedy accuracy as a bar, and where there are several seeds a dot for
    each. `labels` is `results.load_labels`, `runs` is `results.load`."""
    intervals(ax, labels, metrics.METRICS["accuracy_sampled"], "accuracy_greedy")
    for place, (label, seeds) in enumerate(zip(labels["label"], labels["seeds"], strict=True)):
        if seeds > 1:
            of = 100 * runs.loc[runs["label"] == label, "accuracy_sampled"]
            ax.plot(of, np.full(len(of), place + 0.28), "o", color="black", markersize=3, markerfacecolor="white")
    if labels["seeds"].max() > 1:
        ax.plot([], [], "o", color="black", markersize=3, markerfacecolor="white", label="each training seed")
    ax.plot([], [], "ko", label="sampled, temperature 1 (95% interval)")
    ax.plot([], [], color="black", label="greedy", **BAR)
    ax.set(xlim=(-2, 102), xlabel="accuracy on test problems (%)")
    return ax


def further(ax: Axes, rows: pd.DataFrame, metric: metrics.Metric, of: Sequence[str] = ("base", "task", "sharpen")) -> Axes:
    """`intervals` with a title that says what the metric is for these objectives, as far as they are there."""
    means = rows.groupby("objective", sort=False)[metric.name].mean()
    said = [f"{name} {metric.shown(means[name])}" for name in of if name in means]
    intervals(ax, rows, metric).set_title(f"{rows['model'].iloc[0]}:\n{', '.join(said)}")
    return ax


def kinds(ax: Axes, best: pd.DataFrame) -> Axes:
    """A dot per problem: the highest S_p of a `worked` against that of a `direct` completion, in nats, with the diagonal."""
    worked = best["worked"] > best["direct"]
    for name, part, marker, color in (("worked", best[worked], "o", "#0072B2"), ("direct", best[~worked], "x", "#D55E00")):
        ax.scatter(part["direct"], part["worked"], marker=marker, color=color, s=18, alpha=0.7, label=f"{name} is likelier")
    ax.axline((-1, -1), slope=1, color="black", linewidth=1)
    ax.set(xlabel="likeliest direct completion, $S_p$ (nats)", ylabel="likeliest worked completion, $S_p$ (nats)")
    return ax


def plain(rank: int) -> dict[str, Any]:
    """The style of the rank-th line that is no objective: it takes that of the rank-th objective."""
    return style(list(OBJECTIVES)[rank])


def lines(ax: Axes, x: ArrayLike, series: Mapping[str, ArrayLike], first: int = 0, **look: Any) -> Axes:
    """A line for each named series over x, told apart by `plain` from rank `first` on, with a legend. `look` overrides."""
    for rank, (name, values) in enumerate(series.items(), first):
        ax.plot(x, values, label=name, **plain(rank) | {"markevery": max(1, np.size(x) // 10)} | look)
    ax.legend(fontsize=8)
    return ax


def over_alpha(ax: Axes) -> Axes:
    """A logarithmic axis of α, with the numbers that one reads."""
    ax.set(xscale="log", xlabel="α (log scale; 1 is the base)")
    ax.set_xticks([2.0**i for i in range(-2, 6)], ["¼", "½", "1", "2", "4", "8", "16", "32"])
    ax.xaxis.minorticks_off()
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


def simplex(ax: Axes, corners: tuple[str, str, str], velocity: Callable[[np.ndarray], np.ndarray], side: int = 12) -> Axes:
    """The triangle of all policies over three completions, with an arrow for a flow at each of its inner grid points. `velocity`
    maps a policy [3] to dπ/dt [3]. Arrows have one length and are darker where the flow is faster."""
    ax.fill(*to_plane(np.eye(3)).T, facecolor="none", edgecolor="black", linewidth=1)
    points = np.array([(i, j, side - i - j) for i in range(1, side) for j in range(1, side - i)]) / side
    arrows = to_plane(np.array([velocity(point) for point in points]))
    speed = np.hypot(*arrows.T)
    arrows = np.divide(arrows, speed[:, None], out=np.zeros_like(arrows), where=speed[:, None] > 1e-12)
    ax.quiver(
        *to_plane(points).T, *arrows.T, speed, cmap="Greys", clim=(-0.4 * speed.max(), speed.max() + 1e-12),
        pivot="mid", scale=1.3 * side, width=0.006,
    )  # fmt: skip
    offsets = (-10, -5, "left", "top"), (10, -5, "right", "top"), (0, 5, "center", "bottom")  # not beside it: a next one is there
    for corner, place, (x, y, across, up) in zip(corners, to_plane(np.eye(3)), offsets):
        ax.annotate(corner, place, (x, y), textcoords="offset points", ha=across, va=up, fontsize=9)
    ax.set(aspect="equal", xlim=(-0.15, 1.15), ylim=(-0.12, 1.0))
    ax.axis("off")
    return ax
