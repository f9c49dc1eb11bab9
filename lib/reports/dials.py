"""What the sliders of the theory notebooks show: each function takes the numbers of its dials, computes with `lib.theory`, and
shows one figure. `lib.notebooks.explore` calls them."""

import matplotlib.pyplot as plt
import numpy as np

from lib.reports import figures, flows, theory
from lib.rewards import objectives
from lib.theory import distributions, dynamics, examples, sequences
from lib.theory.distributions import Distribution

STARTS = distributions.log_of([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.3, 0.1, 0.6]])
SEVEN = Distribution.of([0.3, 0.25, 0.15, 0.1, 0.1, 0.05, 0.05], [0, 1, 0, 1, 1, 0, 1])
ROUNDS = 10


def one_wrong(wordings: int, alpha: float) -> None:
    """The likeliest completions of p^α, if 90% of p is spread over so many right wordings and 10% is one wrong string."""
    dist = examples.one_wrong(wordings)
    figure, ax = plt.subplots(figsize=(7, 2.6))
    theory.likeliest(ax, distributions.power(dist.log_p, alpha), dist.reward)
    ax.set_title(f"{wordings} wordings, α = {alpha:g}: {100 * distributions.accuracy(dist, alpha):.1f}% right")
    plt.show()


def verifier(alpha: float, accepted_right: int, accepted_wrong: int) -> None:
    """Accuracy over β⁻¹ of the base `disagree` for a verifier that accepts so many of its 50 right and of its 5 wrong strings."""
    dist, accepts, weights = examples.three_bases()["disagree"], np.zeros(55), np.linspace(0, 8, 41)
    accepts[:accepted_right] = accepts[50 : 50 + accepted_wrong] = 1
    tilted = [distributions.tilt(dist.log_p, accepts, alpha, weight) for weight in weights]
    slope = distributions.covariance(tilted[0], dist.reward, accepts)
    figure, ax = plt.subplots(figsize=(7, 2.8))
    theory.over_weight(ax, weights, {f"α = {alpha:g}": distributions.expected(tilted, dist.reward)})
    ax.set_title(f"Cov(r, v) = {round(float(slope), 3) + 0.0:+.3f} at $β^{{-1}}$ = 0")
    plt.show()


def lengths(alpha: float, hazard: float) -> None:
    """The lengths of independent tokens that end with so much hazard, under p and under p^α."""
    base = examples.independent_tokens(hazard)
    found = {f"α = {a:g}": sequences.Sharpened(base, a, 200).marginals().length for a in dict.fromkeys((1.0, alpha))}
    figure, ax = plt.subplots(figsize=(7, 2.8))
    theory.lengths(ax, found, int(4 / hazard))
    ax.set_title(", ".join(f"{name}: mean length {length @ np.arange(1, 201):.1f}" for name, length in found.items()))
    plt.show()


def garden(alpha: float, first: float, ways: int) -> None:
    """Accuracy on a garden path whose likely first token leads to so many wrong continuations, under p^α and at temperature 1/α."""
    base = examples.garden_path(first, ways)
    cold = sequences.local_temperature(base, alpha)
    sharp, local = (sequences.Sharpened(model, a, 4).moments().accuracy for model, a in ((base, alpha), (cold, 1)))
    title = f"first token {100 * first:.0f}%, {ways} continuations, α = {alpha:g}"
    figures.accuracy_bars({"base": 1 - first, "$p^α$": sharp, "temperature 1/α": local}, title)


def flow(objective: str, alpha: float, beta_inv: float, wrong: float) -> None:
    """One objective's flow; `wrong` is the base's probability of the wrong completion. Each objective uses the numbers that it
    has a use for."""
    dist = Distribution.of([wrong, 0.6 * (1 - wrong), 0.4 * (1 - wrong)], [0, 1, 1])
    uses: dict[str, float] = {} if objective == "task" else {"alpha": alpha}
    uses |= {"beta_inv": beta_inv} if objective in ("tilted", "task+likelihood") else {}
    figure, ax = plt.subplots(figsize=(4.5, 3.8))
    flows.flow(
        ax, dist, objectives.named(objective, uses.get("alpha"), uses.get("beta_inv")), list(STARTS), edge=objective == "task"
    )
    ax.set_title(ax.get_title("left") + "".join(f", {name} {value:g}" for name, value in uses.items()), fontsize=9)
    plt.show()


def rounds(alpha: float, difference: float) -> None:
    """The probability of the first completion of two neighbours in each round; they start so far above and below a tie of 35%."""
    starts = {"above": 0.35 + difference, "below": 0.35 - difference}
    paths = {n: dynamics.sharpen_in_rounds(np.log([p, 0.7 - p, 0.3]), alpha, ROUNDS)[:, 0] for n, p in starts.items()}
    figure, ax = plt.subplots(figsize=(7, 2.8))
    figures.lines(ax, range(ROUNDS + 1), {name: 100 * np.exp(path) for name, path in paths.items()})
    title = f"α = {alpha:g}: {100 * difference:.3f} points above and below a tie"
    ax.set(xlabel="round", ylabel="first completion (%)", ylim=(-3, 103), title=title)
    plt.show()


def noise(objective: str, group: int, rate: float) -> None:
    """Three runs of RLOO with so many completions per step and such a rate, and the exact path."""
    chosen = objectives.named(objective)
    sampled = [dynamics.rloo(chosen, SEVEN, SEVEN.log_p, 200, group, rate, seed) for seed in range(3)]
    exact = distributions.ascend(chosen, SEVEN, SEVEN.log_p, 200, rate)
    figure, ax = plt.subplots(figsize=(7, 2.8))
    flows.runs(ax, distributions.effective_number(np.array(sampled)), distributions.effective_number(exact))
    ax.set(ylabel="effective completions", ylim=(0.8, 7), title=f"{objective}, {group} completions per step, rate {rate:g}")
    plt.show()
