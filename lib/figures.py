"""Figures: one style, one colour and dash a regime, one way to save. A plotter takes data and axes, and reads no file."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib import runs
from lib.runs import ROOT

# Okabe and Ito's colours, in an order of clearly falling lightness where lines cross; dashes and markers do it in grey
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


def style(regime: str) -> dict:
    """The colour, dash and marker of a regime, as keywords for `plot`."""
    color, dash, marker = STYLE[regime]
    return {"color": color, "linestyle": dash, "marker": marker}


def save(figure: Figure, name: str, folder: Path = ROOT / "figures") -> Path:
    """Writes `<name>.png` and `<name>.svg`, atomically and without dates, and returns the PNG's path."""
    for suffix, metadata in ((".svg", {"Date": None}), (".png", None)):
        with runs.atomic(Path(folder) / f"{name}{suffix}") as path:
            figure.savefig(path, metadata=metadata)
    return Path(folder) / f"{name}.png"


def smooth(values: np.ndarray, window: int = 5) -> np.ndarray:
    """A centred running mean that shortens its window at the ends, [T] to [T]."""
    values, half = np.asarray(values, dtype=float), window // 2
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def by_step(ax: Axes, metrics: dict[str, list[dict]], column: str, window: int = 5) -> Axes:
    """One line a run: `metrics` maps a legend label, which begins with the regime, to the lines of `metrics.jsonl`."""
    for label, rows in metrics.items():
        steps, values = [row["step"] for row in rows], [row[column] for row in rows]
        look = style(label.split()[0])
        ax.plot(steps, smooth(values, window), label=label, markevery=max(1, len(steps) // 8), markersize=5, **look)
    ax.set_xlabel("training step (updates)")
    return ax


def accuracies(ax: Axes, rows: list[dict]) -> Axes:
    """Sampled accuracy with its 95% interval, and greedy accuracy beside it; a row of `summary.csv` each."""
    for place, row in enumerate(rows):
        color, _, marker = STYLE[row["regime"]]
        mean, low, high = (100 * row[f"accuracy_sampled{end}"] for end in ("", "_low", "_high"))
        ax.errorbar(mean, place, xerr=[[mean - low], [high - mean]], color=color, marker=marker, capsize=3, markersize=7)
        ax.plot(100 * row["accuracy_greedy"], place, "|", color=color, markersize=12, markeredgewidth=2)
    ax.plot([], [], "ko", label="sampled, T = 1 (95% interval)")
    ax.plot([], [], "k|", markersize=12, markeredgewidth=2, linestyle="none", label="greedy")
    ax.set_yticks(range(len(rows)), [row["label"] for row in rows])
    ax.invert_yaxis()
    ax.set_xlim(-2, 102)
    ax.set_xlabel("accuracy on test problems (%)")
    return ax


def pass_curves(ax: Axes, rows: list[dict], ks: list[int]) -> Axes:
    """pass@k against k for rows of `summary.csv`."""
    for row in rows:
        values = [100 * row[f"pass_at_{k}"] for k in ks]
        ax.plot(ks, values, label=row["label"], markersize=5, **style(row["regime"]))
    ax.set_xscale("log", base=2)
    ax.set_xticks(ks, [str(k) for k in ks])
    ax.set_xlabel("k (samples a problem)")
    ax.set_ylabel("pass@k (%)")
    return ax
