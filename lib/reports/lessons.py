"""Drawings of the lessons that need no run: what a reward prefers, and how a corpus divides its probability."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from lib.reports import figures


def ties(ax: Axes, gaps: Mapping[str, float], alpha: float) -> Axes:
    """The log-odds of a right against a wrong completion under the optimum of `tilted`, in nats, over β⁻¹: a line per base. `gaps`
    has S_p(right) − S_p(wrong) of each base, in nats. A ring marks the β⁻¹ at which both are equally likely."""
    tie = {name: -alpha * gap for name, gap in gaps.items()}
    weights = np.linspace(0, 1.5 * max(10.0, *tie.values()), 50)
    figures.lines(ax, weights, {name: alpha * gap + weights for name, gap in gaps.items()})
    ax.axhline(0, color="black", linewidth=1)
    for at in (at for at in tie.values() if at >= 0):
        ax.plot(at, 0, "o", color="black", markerfacecolor="white", markersize=10, zorder=3)
    said = [f"{name} needs $β^{{-1}}$ > {at:.1f}" if at >= 0 else f"{name} needs no task reward" for name, at in tie.items()]
    ax.set_title("For the right completion to be the likelier one,\n" + ", ".join(said))
    ax.set(xlabel="$β^{-1}$, the weight of the task reward (nats)", ylabel="log-odds, right against wrong (nats)")
    return ax


def corpus_tree(ax: Axes, direct: float, forget: float, slip: float, wordings: int, columns: int = 4) -> Axes:
    """The probability tree of a tiny base's corpus, for a sum with carries: direct or worked, and what comes of each. `direct`,
    `forget` and `slip` are probabilities. A leaf is ONE right worked solution of so many columns, with its S_p in nats."""
    worked, one = 1 - direct, (1 - direct) * ((1 - slip) / wordings) ** columns
    places = {"root": (0, 0.5), "direct": (1, 0.78), "worked": (1, 0.2), "wrong": (2, 0.93), "right": (2, 0.63), "one": (2, 0.35)}
    places["others"] = (2, 0.05)
    branches = [("root", "direct", direct, "direct"), ("root", "worked", worked, "worked")]
    branches += [("direct", "wrong", direct * forget, "carries forgotten"), ("direct", "right", direct * (1 - forget), "right")]
    branches += [("worked", "one", one, "one right solution"), ("worked", "others", worked - one, "all other worked ones")]
    for start, end, chance, name in branches:
        (x0, y0), (x1, y1) = places[start], places[end]
        ax.plot([x0, x1], [y0, y1], color="0.5", linewidth=0.5 + 9 * chance, solid_capstyle="round", zorder=1)
        leaf = f", $S_p$ = {np.log(chance):.2f}" if end in ("wrong", "right", "one") else ""
        text = f"{name}\n{chance:.2%}{leaf}" if chance < 0.01 else f"{name}\n{chance:.1%}{leaf}"
        ax.text(x1 + 0.03, y1, text, va="center", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    likelier = "a solution" if one > direct * forget else "the wrong direct answer"
    ax.set_title(f"{wordings} wording{'s' * (wordings > 1)}: {likelier} is the\nlikeliest single completion")
    ax.set(xlim=(-0.1, 2.9), ylim=(-0.05, 1.05))
    ax.axis("off")
    return ax


def powers(ax: Axes, p: np.ndarray, right: np.ndarray, alphas: tuple[float, ...] = (1, 2, 4)) -> Axes:
    """The probabilities of a few completions, `p` [N], under $p^\\alpha$ for each α, in percent, side by side; those that are not
    `right` [N] are hatched. The title says how often each is right."""
    rows = {alpha: 100 * p**alpha / (p**alpha).sum() for alpha in alphas}
    width = 0.8 / len(alphas)
    for place, (alpha, share) in enumerate(rows.items()):
        at = np.arange(len(p)) + (place - (len(alphas) - 1) / 2) * width
        shade = str(0.85 - 0.7 * place / max(1, len(alphas) - 1))
        bars = ax.bar(at, share, width, color=shade, edgecolor="black", label=f"$p^{{{alpha:g}}}$" if alpha != 1 else "$p$")
        for bar, is_right in zip(bars, right, strict=True):
            bar.set_hatch("" if is_right else "///")
    names = [f"{'right' if is_right else 'WRONG'} {number}" for number, is_right in enumerate(right, 1)]
    ax.set_xticks(range(len(p)), names)
    ax.set_title("right in " + ", ".join(f"{share[right].sum():.0f}%" for share in rows.values()) + " of the samples")
    ax.set(ylabel="probability (%)", ylim=(0, 100))
    return ax
