"""An audit in words: what `make audit` prints and notebook 09 shows."""

import pandas as pd

from lib.audit import rates
from lib.audit.decomposition import Audit
from lib.evaluation.statistics import Interval
from lib.reports import markdown

ACCURACIES = {
    "base": "base",
    "sharpened": "base sharpened to p^α*",
    "sharpened_length": "base sharpened and tilted by length",
    "trained": "trained",
}
PARAMETERS = {"alpha_star": "α*", "lambda_star": "λ*", "gamma_star": "γ*"}


def whole(table: pd.DataFrame, found: Audit) -> str:
    """An audit, solve rates beside it, and the fallback where a family is refused."""
    parts = [verdict(found), described(found), described_rates(table)]
    if found.refusals and "all shares" not in found.refusals:
        parts.insert(2, described_fallback(found))
    return "\n\n".join(parts)


def verdict(found: Audit) -> str:
    """One sentence: the shares, the largest first, and then what is left."""
    told = {name: share.mean for name, share in found.shares.items() if share}
    if not told:
        return "What RL did cannot be divided from these samples: the reasons are below."
    first, rest = next(iter(found.shares)), told.pop("rest", None)
    called = {first: "flattening" if found.flattened else first}
    ordered = sorted(told, key=lambda name: -told[name])
    parts = [f"{called.get(name, name)} {told[name]:.0%}" for name in ordered]
    parts += [] if rest is None else [f"and {rest:.0%} is explained by none of these"]
    return f"What RL did: {', '.join(parts)}.".replace("-0%", "0%")


def described(found: Audit) -> str:
    """An audit as a Markdown table, a row per step from p to π, and what was refused."""
    accuracy, names, alpha = found.accuracy, list(found.shares), found.parameters.get("alpha_star")
    first = "flattening (α* < 1): not sharpening" if found.flattened else "sharpening"
    if alpha is not None and alpha.low < 1 < alpha.high:
        first = "neither sharpening nor flattening (α* may be 1)"
    fits = dict(zip(names, [*(f"{PARAMETERS.get(n, n)} = {shown(v)}" if v else "" for n, v in found.parameters.items()), ""]))
    rows = [[{names[0]: first}.get(name, name), percent(share), fits[name]] for name, share in found.shares.items()]
    accuracies = [f"{name} {percent(accuracy[key])}" for key, name in ACCURACIES.items() if key in accuracy]
    lines = [
        "p is the base, π the trained model, and q ∝ p^α*·exp(λ*·r + γ*·T) is what comes nearest to π: r is 1 for a right answer, "
        "else 0, and T the number of tokens.",
        markdown.table(["what RL did", "share of KL(π‖p)", "fit"], rows),
        f"KL(π‖p) = {shown(found.kl)} nats per completion. {found.questions} questions, whose weighted samples count like "
        f"{found.ess:.0f} equal ones each.",
        f"Accuracy, from the samples of both models: {', '.join(accuracies)}.",
    ]
    if found.beyond_reach:
        what = "Selection" if found.shares["selection"] else "Selection, taken first,"
        where = "on questions that the base answers rightly less than once in 1,024 tries"
        lines += [f"{what} {where}: {percent(found.beyond_reach)} of KL."]
    return "\n\n".join([*lines, *(f"Refused, {name}: {reason}." for name, reason in found.refusals.items())])


def described_fallback(found: Audit) -> str:
    """What can be said where the samples do not reach: shares of another quantity, and labelled so."""
    if found.fallback is None:
        return "There is no fallback, since log π is not known, or −∞, for some samples."
    shares = ", ".join(f"{name} {percent(share)}" for name, share in found.fallback.shares.items())
    return f"Not of KL, but of the variance of log π − log p within a question (log-variance divergence): {shares}."


def described_rates(table: pd.DataFrame) -> str:
    """Solve rates of both models beside each other, in sentences."""
    each = rates.by_question(table)
    kept, lost, gained, neither, gained_by_chance, lost_by_chance = rates.support(each)
    both = rates.tries(each)
    most = len(both.base)
    return "\n\n".join(
        [
            f"Questions solved at least once: {kept} by both, {lost} by the base alone (chance would give {lost_by_chance:.1f}), "
            f"{gained} by the trained model alone (chance would give {gained_by_chance:.1f}), {neither} by neither.",
            f"Counted: pass@1 {both.base[0]:.1%} → {both.trained[0]:.1%}, pass@{most} {both.base[-1]:.1%} → {both.trained[-1]:.1%}."
            f" The base solves as many questions as the trained one with {_tries(both.crossing, most)} tries each. For what the "
            f"trained model gets right in one try, the base needs {_tries(both.best_of, most)}, and a perfect judge.",
        ]
    )


def _tries(value: Interval, most: int) -> str:
    mean, low, high = (f"more than {most}" if end > most else f"{end:.0f}" for end in value)
    return mean if low == high else f"{mean} ({low} to {high})"


def shown(value: Interval | None) -> str:
    """An interval with two digits, a dash for none."""
    return "–" if value is None else "{:.2f} ({:.2f} to {:.2f})".format(*value).replace("inf", "∞").replace("-0.00", "0.00")


def percent(value: Interval | None) -> str:
    """An interval in percent, a dash for none."""
    return "–" if value is None else "{:.0%} ({:.0%} to {:.0%})".format(*value).replace("-0%", "0%")
