"""Figures of what happens on the way (notebooks 02 and 14): flows, distances of neighbours, sampled runs, noise."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from lib.reports import figures
from lib.rewards.objectives import Objective
from lib.theory import distributions, dynamics
from lib.theory.distributions import Distribution

CORNERS = ("wrong", "right A", "right B")


def flow(ax: Axes, dist: Distribution, objective: Objective, starts: Sequence[ArrayLike], edge: bool = False) -> Axes:
    """The natural-gradient flow of an objective on three completions, of which the first is wrong, with its paths from the base (a
    ring) and from `starts` (log π, nats, [3] each). The star is where the path from the base ends; `edge` marks the edge of right
    completions. The title says how often that end is right."""
    figures.simplex(ax, CORNERS, lambda policy: dynamics.velocity(objective, dist, policy))
    times = np.geomspace(1e-3, 40 * max(1, objective.beta_inv), 200)
    for start in [dist.log_p, *starts]:
        path = np.exp(dynamics.natural_flow(objective, dist, start, times))
        ax.plot(*figures.to_plane(path).T, color="#0072B2", linewidth=1.5)
    end = distributions.optimum(objective, dist)
    for policy, marker in ((dist.log_p, "o"), (end, "*")):
        ax.plot(*figures.to_plane(np.exp(policy)), marker, color="black", markerfacecolor="white", markersize=11)
    if edge:
        ax.plot(*figures.to_plane(np.eye(3)[1:]).T, color="black", linewidth=3)
    ax.set_title(f"{objective.name}: ends {100 * distributions.expected(end, dist.reward):.0f}% right", fontsize=10)
    return ax


def distances(ax: Axes, times: ArrayLike, growth: Mapping[str, ArrayLike]) -> Axes:
    """How many times as large a distance in log-odds has become, over time or rounds [T], on a log scale: a line for each name,
    which stands at the line's end, away from that of a line that ends close by. The title names the largest factor."""
    times = np.asarray(times, dtype=float)
    figures.lines(ax, times, growth)
    ax.legend().remove()
    ends = {name: float(np.asarray(growth[name])[-1]) for name in sorted(growth, key=lambda name: np.asarray(growth[name])[-1])}
    near = 0.06 * np.log(max(ends.values()) / min(ends.values()))
    up = dict.fromkeys(ends, 0.0)
    for low, high in zip(ends, list(ends)[1:]):
        if np.log(ends[high] / ends[low]) < near:
            up[low], up[high] = up[low] - 4, up[high] + 4
    for name, end in ends.items():
        ax.annotate(name, (times[-1], end), (6, up[name]), textcoords="offset points", va="center", fontsize=8)
    largest, factor = list(ends.items())[-1]
    ax.set_title(f"{largest}: {factor:,.0f} times as far apart\nafter {times[-1]:g} rounds")
    ax.set(yscale="log", xlabel="t (time of a flow, or rounds)", ylabel="distance in log-odds (times that of the start)")
    return ax


def total_variations(ax: Axes, seen: Mapping[str, ArrayLike]) -> Axes:
    """The total variation between two policies, given from 0 to 1 [rounds + 1] and drawn in percent, in each round: a line per
    pair. The title has where each pair ends."""
    rounds = np.arange(len(np.asarray(next(iter(seen.values())))))
    figures.lines(ax, rounds, {name: 100 * np.asarray(values) for name, values in seen.items()})
    said = [f"{name}: {100 * np.asarray(values)[-1]:.0f}%" for name, values in seen.items()]
    ax.set_title("How different their samples are at the end:\n" + ", ".join(said))
    ax.set(xlabel="round", ylabel="total variation (%)", ylim=(-3, 103))
    return ax


def odds(ax: Axes, times: ArrayLike, ways: Mapping[str, ArrayLike]) -> Axes:
    """The odds of two completions over time, both on a log scale: a line for each name, whose values are log-odds in nats [T]. Thin
    and black is ½·√t, for comparison with the first one, which the title is about."""
    times = np.asarray(times, dtype=float)
    figures.lines(ax, times, {name: np.exp(np.asarray(values)) for name, values in ways.items()})
    ax.plot(times, 0.5 * np.sqrt(times), color="black", linewidth=1, label="½·√t")
    first, values = next(iter(ways.items()))
    ax.set_title(f"{first}: the odds grow like √t,\nto {np.exp(np.asarray(values)[-1]):.0f} at t = {times[-1]:,.0f}")
    ax.set(xscale="log", yscale="log", xlabel="t (rate × steps)", ylabel="odds of the two right completions", ylim=(0.8, None))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=8)
    return ax


def runs(ax: Axes, sampled: ArrayLike, exact: ArrayLike) -> Axes:
    """A number by step: thin grey lines for sampled runs [runs, steps + 1], and thick and black the exact path [steps + 1]."""
    sampled = np.atleast_2d(sampled)
    for number, values in enumerate(sampled):
        ax.plot(values, color="#777777", linewidth=0.8, label=None if number else f"{len(sampled)} sampled runs")
    ax.plot(np.asarray(exact), color="black", linewidth=2.5, label="exact gradient")
    ax.set_xlabel("step")
    return ax


def by_length(ax: Axes, sizes: ArrayLike, values: Mapping[str, ArrayLike], what: str) -> Axes:
    """A number over the length T in tokens [L], both on a log scale: a line for each name. `what` is the label of the number. The
    title has the power of T with which each one grows, fitted to its upper half."""
    sizes = np.asarray(sizes, dtype=float)
    figures.lines(ax, sizes, values)
    late = slice(len(sizes) // 2, None)
    powers = {name: np.polyfit(np.log(sizes[late]), np.log(np.asarray(v)[late]), 1)[0] for name, v in values.items()}
    grown = ", ".join(f"{name} like $T^{{{round(power, 1) + 0.0:.1f}}}$" for name, power in powers.items())
    ax.set_title(f"{what}:\n{grown}", fontsize=10)
    ax.set(xscale="log", yscale="log", xlabel="T (tokens per completion)", ylabel=what)
    return ax


def landing(ax: Axes, table: pd.DataFrame) -> Axes:
    """How far each objective is from its optimum, in percent of the probability that would have to move: at the start, after exact
    gradients, and after sampled steps. `table` has these three columns, `start`, `exact` and `sampled`, from 0 to 1, and a row per
    objective. The title has the farthest of the sampled ones, `random` aside, rounded up, and `random`."""
    places = np.arange(len(table))
    for column, marker, face, size in (("start", "x", "black", 6), ("exact", "o", "white", 8), ("sampled", "s", "#777777", 5)):
        ax.plot(100 * table[column], places, marker, label=column, color="black", markerfacecolor=face, markersize=size)
    farthest = math.ceil(1000 * table["sampled"].drop("random").max() - 1e-9) / 10
    control = 100 * table.loc["random", "sampled"]
    ax.set_title(f"Sampled, every objective is within {farthest:.1f}% of its optimum;\nrandom has moved {control:.0f}% away")
    ax.set_yticks(places, list(table.index))
    ax.invert_yaxis()
    ax.set_xlabel("distance to the optimum (% of the probability)")
    ax.legend(fontsize=8)
    return ax
