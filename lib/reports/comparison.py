"""The figures of notebook 07: the runs of a profile side by side, a panel per base. `steps` and `summary` are `results.load`."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.evaluation import statistics
from lib.reports import figures

LAST = 10  # a title gives the mean of the last one of so many parts of training
NAMED = ("task", "sharpen", "random")  # the objectives that a title names, as far as they are there


class Quantity(NamedTuple):
    """A column of `steps.csv` times `scale`, the axis `label` with its unit, how a title shows a `value`, and the `ends` of an axis
    that has fixed ones."""

    column: str
    label: str
    value: str
    scale: float = 1.0
    ends: tuple[float, float] | None = None


ACCURACY = Quantity("task_accuracy", "accuracy on training samples (%)", "{:.0f}%", 100, (0, 102))
LENGTH = Quantity("length", "length (tokens)", "{:.0f} tokens")
DIRECT = Quantity("direct_share", "direct answers (%)", "{:.0f}%", 100, (-2, 102))
LIKELIHOOD = Quantity("reference_logprob", "$S_p$ (nats per completion)", "{:.2f}")
KL = Quantity("kl", "KL(π‖p) (nats per completion)", "{:.2f} nats")


def grid(models: Sequence[str], rows: int = 1, sharey: Literal["row"] | bool = "row") -> tuple[Figure, np.ndarray]:
    """A figure with a column per base, and its axes [rows, models]."""
    size = (5.2 * len(models), 3.4 * rows + 0.4)
    return plt.subplots(rows, len(models), figsize=size, squeeze=False, sharey=sharey)


def over_training(ax: Axes, model: str, lines: Mapping[tuple[str, str], pd.DataFrame], quantity: Quantity) -> Axes:
    """A quantity of the training samples of one base by step (`figures.by_step`); `lines` is `results.lines`. The title orders the
    objectives by their mean over the last tenth of the steps and all seeds, the highest first."""
    figures.by_step(ax, lines, quantity.column, quantity.scale).set_ylabel(quantity.label)
    if quantity.ends:
        ax.set_ylim(*quantity.ends)
    steps = 1 + max(int(rows["step"].max()) for rows in lines.values())
    last, ends = max(1, steps // LAST), {}
    for (objective, _), rows in lines.items():
        late = rows[rows["step"] >= steps - last]
        ends[objective] = quantity.scale * late[quantity.column].mean()
    order = sorted((name for name in NAMED if name in ends), key=lambda name: -ends[name])
    told = ", ".join(f"{name} {quantity.value.format(ends[name])}" for name in order)
    ax.set_title(f"{model}, last {last} of {steps} steps:\n{told}".replace("-", "−"))
    return ax


def ends(summary: pd.DataFrame, model: str, column: str = "accuracy_sampled", of: Sequence[str] = ("base", *NAMED)) -> str:
    """A column of each objective on held-out problems, in percent, the mean over seeds: `base 53.1%, task 95.6%`."""
    means = summary[summary["model"] == model].groupby("objective", sort=False)[column].mean()
    return ", ".join(f"{name} {100 * means[name]:.1f}%" for name in of if name in means)


def pass_gains(ax: Axes, model: str, summary: pd.DataFrame) -> Axes:
    """pass@k on held-out problems less that of the base, in points, against k: a line per label through the means over seeds, a dot
    for each seed. The title says what is left at the largest k, and how much the base solves there."""
    rows = summary[summary["model"] == model]
    ks = statistics.powers_of_two(int(rows["samples"].max()))
    columns = [f"pass_at_{k}" for k in ks]
    start = 100 * rows.loc[rows["objective"] == "base", columns].mean().to_numpy()
    trained = rows[rows["objective"] != "base"]
    looks = figures.styles(zip(trained["objective"], trained["label"], strict=True))
    left = {}
    for key, seeds in trained.groupby(["objective", "label"], sort=False):
        gains = 100 * seeds[columns].to_numpy() - start
        ax.plot(ks, gains.mean(axis=0), label=key[1], **looks[key])
        ax.plot(np.tile(ks, len(gains)), gains.ravel(), ".", color=looks[key]["color"], markersize=3)
        left[key[0]] = gains[:, -1].mean()
    ax.axhline(0, color="black", linewidth=0.8)
    told = ", ".join(f"{name} {left[name]:+.0f}".replace("-", "−") for name in NAMED if name in left)
    ax.set_title(f"{model}: at k = {ks[-1]} the base solves {start[-1]:.0f}%;\ngained there: {told} points")
    ax.set_xscale("log", base=2)
    ax.set_xticks(ks, [str(k) for k in ks])
    ax.set(xlabel="k (samples per problem)", ylabel="pass@k less that of the base (points)")
    return ax


def largest_steps(steps: pd.DataFrame) -> pd.DataFrame:
    """The step with the largest estimate of KL(π‖p) of each base and label, over its seeds: a row each, the largest first."""
    found = steps.loc[steps.groupby(["model", "label"], sort=False)["kl"].idxmax(), ["model", "label", "run", "step", "kl"]]
    return found.sort_values("kl", ascending=False).reset_index(drop=True)
