"""Figures of what sharpening converges to (notebook 01): accuracy over α and β⁻¹, the phase diagram, lengths."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from lib.reports import figures

LOOKS = {True: ("#0072B2", ""), False: ("#E69F00", "///")}  # colour and hatch of a right and of a wrong completion


def likeliest(ax: Axes, log_q: ArrayLike, right: ArrayLike, count: int = 20) -> Axes:
    """A bar for each of the `count` likeliest completions, in percent, the likeliest first, hatched where it is wrong. `log_q`
    [N] in nats, `right` [N] 0 or 1. The title says how often the distribution is right."""
    q, right = np.exp(np.asarray(log_q, dtype=float)), np.asarray(right)
    order = np.argsort(-q, kind="stable")[:count]
    for place, completion in enumerate(order):
        color, hatch = LOOKS[bool(right[completion])]
        ax.bar(place, 100 * q[completion], color=color, hatch=hatch, edgecolor="black", linewidth=0.5)
    ax.set(xlabel="completion, by probability (hatched: wrong)", ylabel="probability (%)", xticks=[], xlim=(-0.7, count - 0.3))
    ax.set_title(f"{100 * q @ right:.1f}% right")
    return ax


def accuracy_over_alpha(ax: Axes, alphas: ArrayLike, accuracies: Mapping[str, ArrayLike]) -> Axes:
    """Accuracy, given from 0 to 1 and drawn in percent, over α on a log scale: a line for each name."""
    figures.lines(ax, np.asarray(alphas), {name: 100 * np.asarray(values) for name, values in accuracies.items()})
    figures.over_alpha(ax).set(ylabel="accuracy (%)", ylim=(-3, 103))
    return ax


def slopes(ax: Axes, alphas: ArrayLike, covariances: Mapping[str, ArrayLike]) -> Axes:
    """Cov(r, log p) under p^α, in nats, over α on a log scale: a line for each name, and 0."""
    figures.over_alpha(figures.lines(ax, np.asarray(alphas), covariances)).set(ylabel="Cov(r, log p) under $p^α$ (nats)")
    ax.axhline(0, color="black", linewidth=1)
    return ax


def phase_diagram(ax: Axes, alphas: ArrayLike, covariances: ArrayLike, accuracies: ArrayLike) -> Axes:
    """Accuracy of p^α, from 0 to 1 [bases, αs], as colour and contours in percent, over α and over each base's own Cov(r, log p) in
    nats [bases], which must increase. The title has the accuracy of the outermost bases at the largest α."""
    alphas, covariances, percent = np.asarray(alphas), np.asarray(covariances), 100 * np.asarray(accuracies)
    filled = ax.contourf(alphas, covariances, percent, levels=np.arange(0, 101, 10), cmap="cividis")
    contours = ax.contour(alphas, covariances, percent, levels=[5, 20, 80, 95], colors=["w", "w", "k", "k"])
    ax.clabel(contours, fmt="%d%%", fontsize=8)
    ax.figure.colorbar(filled, ax=ax, label="accuracy of $p^α$ (%)")
    ax.axhline(0, color="white", linewidth=1)
    ax.axvline(1, color="white", linewidth=1)
    figures.over_alpha(ax).set(xlim=(alphas[0], alphas[-1]), ylabel="Cov(r, log p) under the base (nats)")
    ends = f"at α = {alphas[-1]:g} from {percent[0, -1]:.0f}% at the bottom to {percent[-1, -1]:.0f}% at the top"
    ax.set_title(f"In this family the sign of the covariance decides:\n{ends}")
    ax.grid(False)
    return ax


def over_weight(ax: Axes, weights: ArrayLike, accuracies: Mapping[str, ArrayLike]) -> Axes:
    """Accuracy, given from 0 to 1 and drawn in percent, over the weight β⁻¹ of the task reward: a line for each name."""
    figures.lines(ax, np.asarray(weights), {name: 100 * np.asarray(values) for name, values in accuracies.items()})
    ax.set(xlabel="$β^{-1}$, the weight of the task reward (nats)", ylabel="accuracy (%)", ylim=(-3, 103))
    return ax


def lengths(ax: Axes, found: Mapping[str, ArrayLike], most: int = 120) -> Axes:
    """The probability of each length 1 … T, given from 0 to 1 [T] and drawn in percent on a log scale: a line for each name. The
    title compares the share of empty completions, EOS alone, of the first and the last."""
    first, last = list(found)[0], list(found)[-1]
    tokens = np.arange(1, len(np.asarray(found[first])) + 1)
    figures.lines(ax, tokens, {name: 100 * np.asarray(length) for name, length in found.items()})
    ax.set(xlabel="length (tokens, EOS included)", ylabel="probability (%)", yscale="log", ylim=(1e-3, 110), xlim=(0, most))
    empty = [f"{100 * np.asarray(found[name])[0]:.0f}% at {name}" for name in (first, last)]
    ax.set_title(f"Sharpening shortens. Empty completions:\n{', '.join(empty)}")
    return ax


def winners(ax: Axes, exponents: ArrayLike, best: Mapping[str, ArrayLike]) -> Axes:
    """The length, in tokens, of the completion with the largest log p / T^w over the exponent w [W]: a step line for each name,
    whose values are [W]. The title is about the first one."""
    exponents = np.asarray(exponents)
    figures.lines(ax, exponents, best, drawstyle="steps-mid")
    start, *_, end = np.asarray(next(iter(best.values())))
    ax.set_title(f"{next(iter(best))}: by log p the best has {start} token{'s' if start != 1 else ''},\nby log p / T it has {end}")
    ax.set(xlabel="w (0: log p, the sum; 1: log p / T, the mean)", ylabel="tokens of the best by log p / $T^w$", yscale="log")
    ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    ax.set_yticks(ticks[: np.searchsorted(ticks, max(np.max(lengths) for lengths in best.values())) + 1])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.minorticks_off()
    return ax
