"""An audit in words: what `make audit` prints and notebook 09 shows."""

from collections.abc import Sequence

import pandas as pd

from lib.audit import rates, regression, samples
from lib.audit.decomposition import Audit
from lib.audit.families import STANDARD
from lib.evaluation.statistics import Interval

ACCURACIES = {"base": "base", "sharpened": "sharpened to p^α*", "sharpened_length": "with length", "trained": "trained"}
PARAMETERS = {"alpha_star": "α*", "lambda_star": "λ*", "gamma_star": "γ*"}


def whole(table: pd.DataFrame, found: Audit) -> str:
    """An audit, solve rates beside it, and the fallback where a family is refused."""
    parts = [described(found), described_rates(table)]
    if found.refusals:
        parts.insert(1, described_fallback(table))
    return "\n\n".join(parts)


def described(found: Audit) -> str:
    """An audit as a Markdown table, a row per step from p to π, and what was refused."""
    accuracy, names, alpha = found.accuracy, list(found.shares), found.parameters.get("alpha_star")
    first = "flattening (α* < 1): not sharpening" if found.flattened else "sharpening"
    if alpha is not None and alpha.low < 1 < alpha.high:
        first = "neither sharpening nor flattening (α* may be 1)"
    fits = dict(zip(names, [*(f"{PARAMETERS.get(n, n)} = {shown(v)}" if v else "" for n, v in found.parameters.items()), ""]))
    rows = [[{names[0]: first}.get(name, name), percent(share), fits[name]] for name, share in found.shares.items()]
    lines = [
        "p is the base, π the trained model, and q ∝ p^α*·exp(λ*·r + γ*·T) is what comes nearest to π: r is 1 for a right answer, "
        "else 0, and T the number of tokens.",
        _table(["what RL did", "share of KL(π‖p)", "fit"], rows),
        f"KL(π‖p) = {shown(found.kl)} nats per completion; {found.questions} questions, worth {found.ess:.0f} samples each.",
        f"Accuracy: {', '.join(f'{ACCURACIES[name]} {percent(value)}' for name, value in accuracy.items())}.",
    ]
    if found.beyond_reach:
        what = "Selection" if found.shares["selection"] else "Selection, taken first,"
        lines += [f"{what} of answers that the base gives less than once in 1,024 tries: {percent(found.beyond_reach)} of KL."]
    return "\n\n".join([*lines, *(f"Refused, {name}: {reason}." for name, reason in found.refusals.items())])


def described_fallback(table: pd.DataFrame) -> str:
    """What can be said where the samples do not reach: shares of another quantity, and labelled so."""
    found = regression.regress(samples.pooled(samples.checked(table), STANDARD), STANDARD)
    if found is None:
        return "There is no fallback, since log π is not known, or −∞, for some samples."
    shares = ", ".join(f"{name} {percent(share)}" for name, share in found.shares.items())
    return f"Not of KL, but of the variance of log π − log p within a question (log-variance divergence): {shares}."


def described_rates(table: pd.DataFrame) -> str:
    """Solve rates of both models beside each other, in sentences."""
    each = rates.by_question(table)
    kept, lost, gained, neither, gained_by_chance, lost_by_chance = rates.support(each)
    both = rates.tries(each)
    most = len(both.base)
    return "\n\n".join(
        [
            f"Questions solved at least once: {kept} by both, {lost} by the base alone ({lost_by_chance:.1f} by chance alone), "
            f"{gained} by the trained model alone ({gained_by_chance:.1f} by chance alone), {neither} by neither.",
            f"pass@1 {both.base[0]:.1%} → {both.trained[0]:.1%}, pass@{most} {both.base[-1]:.1%} → {both.trained[-1]:.1%}. "
            f"The base's pass@k is not lower from k = {_tries(both.crossing, most)}. With a perfect judge the base needs k = "
            f"{_tries(both.best_of, most)} for the trained model's accuracy.",
        ]
    )


def _tries(value: Interval, most: int) -> str:
    mean, low, high = (f"more than {most}" if end > most else f"{end:.0f}" for end in value)
    return mean if low == high else f"{mean} ({low} to {high})"


def shown(value: Interval | None) -> str:
    """An interval with two digits, a dash for none."""
    return "–" if value is None else "{:.2f} ({:.2f} to {:.2f})".format(*value).replace("inf", "∞")


def percent(value: Interval | None) -> str:
    """An interval in percent, a dash for none."""
    return "–" if value is None else "{:.0%} ({:.0%} to {:.0%})".format(*value).replace("-0%", "0%")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    head, *body = (f"| {' | '.join(cells)} |" for cells in (heads, *rows))
    return "\n".join([head, "|---" * len(heads) + "|", *body])
