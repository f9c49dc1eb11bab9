"""The figures of notebook 07: the runs of a profile side by side, a panel per base. `steps` and `summary` are `results.load`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.evaluation import statistics
from lib.profiles import Profile
from lib.reports import figures

LAST = 10  # a title gives the mean of the last one of so many parts of training
NAMED = ("task", "sharpen", "random")  # the objectives that a title names; and others only if there is none but the control
MOST = 4  # labels in a title
ACROSS = 4  # panels side by side


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
    """A figure with a column per base, and its axes [rows, models]. Of more than `ACROSS` bases there are three in a row."""
    across = len(models) if len(models) <= ACROSS else 3
    blocks = -(-len(models) // across)
    size = (5.2 * across, (3.4 * rows + 0.4) * blocks)
    figure, made = plt.subplots(rows * blocks, across, figsize=size, squeeze=False, sharey=sharey if blocks == 1 else False)
    axes = made.reshape(blocks, rows, across).transpose(1, 0, 2).reshape(rows, -1)
    for ax in axes[:, len(models) :].flat:
        ax.remove()
    axes = axes[:, : len(models)]
    for row in axes if sharey and blocks > 1 else ():
        for ax in row[1:]:
            ax.sharey(row[0])
    return figure, axes


def over_training(ax: Axes, model: str, lines: Mapping[tuple[str, str], pd.DataFrame], quantity: Quantity) -> Axes:
    """A quantity of the training samples of one base by step (`figures.by_step`); `lines` is `results.lines`. The title orders the
    objectives by their mean over the last tenth of the steps and all seeds, the highest first."""
    figures.by_step(ax, lines, quantity.column, quantity.scale).set_ylabel(quantity.label)
    if quantity.ends:
        ax.set_ylim(*quantity.ends)
    steps = 1 + max(int(rows["step"].max()) for rows in lines.values())
    last, ends = max(1, steps // LAST), {}
    for key, rows in lines.items():
        late = rows[rows["step"] >= steps - last]
        ends[key] = quantity.scale * late[quantity.column].mean()
    order = sorted(named(ends).items(), key=lambda one: -one[1])
    told = ", ".join(f"{name} {quantity.value.format(value)}" for name, value in order)
    ax.set_title(f"{model}, last {last} of {steps} steps:\n{told}".replace("-", "−"))
    return ax


def named(values: Mapping[tuple[str, str], float], of: Sequence[str] = NAMED) -> dict[str, float]:
    """What a title has room for of values by (objective, label): those of the objectives `of`, and of any others if there are none
    of these but the control. Where an objective has several labels they are named: without the objective if it is the only one,
    and else two."""
    chosen = {key: value for key, value in values.items() if key[0] in of}
    if {objective for objective, _ in chosen} <= {"random"}:
        chosen = dict(values)
    several = Counter(objective for objective, _ in chosen)
    names = {label if several[objective] > 1 else objective: value for (objective, label), value in chosen.items()}
    if len(several) == 1:
        (only,) = several
        names = {name.removeprefix(f"{only} "): value for name, value in names.items()}
    return dict(list(names.items())[: MOST if len(several) in (1, len(chosen)) else 2])


def final_title(model: str, summary: pd.DataFrame) -> str:
    """Accuracy on held-out problems, the mean over seeds: `m: base 53.1%,` and in a second line `after task 95.6%, sharpen 83.6%`;
    of more than two the first and the last."""
    rows = summary[summary["model"] == model]
    means = 100 * rows.groupby(["objective", "label"], sort=False)["accuracy_sampled"].mean()
    (base,) = means["base"]
    after = named(means.drop("base", level="objective").to_dict(), ("task", "sharpen"))
    told = [f"{name} {value:.1f}%" for name, value in after.items()]
    told = [told[0], "…", told[-1]] if len(told) > 2 else told  # a title has room for two
    return f"{model}: base {base:.1f}%,\nafter {', '.join(told)}"


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
        left[key] = gains[:, -1].mean()
    ax.axhline(0, color="black", linewidth=0.8)
    told = ", ".join(f"{name} {gain:+.0f}".replace("-", "−") for name, gain in named(left).items())
    ax.set_title(f"{model}: at k = {ks[-1]} the base solves {start[-1]:.1f}%;\ngained there: {told} points")
    ax.set_xscale("log", base=2)
    ax.set_xticks(ks, [str(k) for k in ks])
    ax.set(xlabel="k (samples per problem)", ylabel="pass@k less that of the base (points)")
    return ax


def asks_again(profile: Profile, model: str) -> bool:
    """Whether, by its settings, a model is asked training problems more than once, and so could remember them."""
    rows = [row for row in profile.rows.values() if row["model"] == model]
    configs = [(profile.train_config(**row), row.get("round", 1)) for row in rows]
    return any(rounds * one.steps * one.prompts_per_step > one.train_problems for one, rounds in configs)


def late_accuracy(steps: pd.DataFrame) -> pd.Series:
    """Accuracy on the training samples of each run, from 0 to 1: the mean over the last quarter of its steps."""
    whole = steps.groupby("run")["step"].transform("max") + 1
    return steps[steps["step"] + 1 > 0.75 * whole].groupby("run")["task_accuracy"].mean()


def gains(model: str, summary: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """By how many points each run of a model is right more often than the control of its seed (rate, round, order), which saw the
    same problems: `trained_on` by `late_accuracy`, and `held_out`. With `run`, `objective`, `label`; empty without a control."""
    rows, late = summary[summary["model"] == model], late_accuracy(steps[steps["model"] == model])
    rows = rows.assign(trained_on=100 * rows["run"].map(late), held_out=100 * rows["accuracy_sampled"])
    keys, both = [key for key in ("seed", "learning_rate", "round", "order") if key in rows], ["trained_on", "held_out"]
    control = rows[rows["objective"] == "random"].groupby(keys, as_index=False)[both].mean()
    after = rows[~rows["objective"].isin(["base", "random"])].merge(control, on=keys, suffixes=("", "_control"))
    less = {one: after[one] - after[f"{one}_control"] for one in both}
    return after[["run", "objective", "label"]].assign(**less)


def remembered(ax: Axes, model: str, gained: pd.DataFrame) -> Axes:
    """`gains` on problems that were trained on (open) and on held-out ones (filled): a line of the axes per label, the mean over
    seeds, with a dot for each. The title has both of `task` and `sharpen`."""
    labels = list(dict.fromkeys(zip(gained["objective"], gained["label"], strict=True)))
    looks, kinds = figures.styles(labels), {"trained_on": "problems that were trained on", "held_out": "held-out problems"}
    told = {}
    for up, kind in enumerate(kinds):
        for place, key in enumerate(labels):
            seeds, look = gained.loc[gained["label"] == key[1], kind], looks[key] | {"linestyle": "none", "markersize": 9}
            ax.plot(seeds, np.full(len(seeds), place + 0.3 * up), ".", color="black", markersize=4)
            ax.plot(seeds.mean(), place + 0.3 * up, **look | {"markerfacecolor": look["color"] if up else "white"})
            told[kind, key] = seeds.mean()
    for kind, face in zip(kinds, ("white", "0.4"), strict=True):
        ax.plot([], [], "o", color="0.4", markerfacecolor=face, label=f"{kinds[kind]}, mean")
    ax.plot([], [], ".", color="black", label="each seed")
    ends = {kind: named({key: told[kind, key] for key in labels}, ("task", "sharpen")) for kind in kinds}
    said = {kind: ", ".join(f"{name} {gain:+.0f}".replace("-", "−") for name, gain in ends[kind].items()) for kind in kinds}
    ax.set_title(f"{model}, points above the control:\nheld out {said['held_out']};\ntrained on {said['trained_on']}")
    ax.set_yticks(np.arange(len(labels)) + 0.15, [label for _, label in labels])
    ax.invert_yaxis()
    ax.set(xlabel="accuracy less that of the control (points)", xlim=(min(0, 1.1 * gained[[*kinds]].min(axis=None)), None))
    return ax


def largest_steps(steps: pd.DataFrame) -> pd.DataFrame:
    """The step with the largest estimate of KL(π‖p) of each base and label, over its seeds: a row each, the largest first."""
    found = steps.loc[steps.groupby(["model", "label"], sort=False)["kl"].idxmax(), ["model", "label", "run", "step", "kl"]]
    return found.sort_values("kl", ascending=False).reset_index(drop=True)
