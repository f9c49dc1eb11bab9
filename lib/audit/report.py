"""An audit in words: what `make audit` prints and notebook 09 shows."""

from collections.abc import Sequence

import pandas as pd

from lib.audit import rates
from lib.audit.decomposition import Audit
from lib.evaluation.statistics import Interval

PARAMETERS = {"alpha_star": "α*", "lambda_star": "λ*", "gamma_star": "γ*"}


def described(found: Audit) -> str:
    """An audit as a Markdown table, a row per step from p to π, and what was refused."""
    accuracy, names = found.accuracy, list(found.shares)
    called = {names[0]: "flattening (α* < 1): not sharpening" if found.flattened else "sharpening"}
    fits = dict(zip(names, [*(f"{PARAMETERS.get(n, n)} = {shown(v)}" if v else "" for n, v in found.parameters.items()), ""]))
    rows = [[called.get(name, name), percent(share), fits[name]] for name, share in found.shares.items()]
    head = _table(["what RL did", "share of KL(π‖p)", "fit"], rows)
    parts = [f"{name.replace('_', ' with ')} {percent(accuracy[name])}" for name in accuracy]
    lines = [
        f"KL(π‖p) = {shown(found.kl)} nats per completion, {found.questions} questions, {found.ess:.0f} effective samples each."
    ]
    lines += [f"Accuracy: {', '.join(parts)}."]
    if found.beyond_reach:
        lines += [
            f"Of the selection, {percent(found.beyond_reach)} of KL is beyond the base's reach (right less than once in 1,024)."
        ]
    lines += [f"Refused, {name}: {reason}." for name, reason in found.refusals.items()]
    return "\n\n".join([head, *lines])


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
            f"The base's pass@k is not lower from k = {_tries(both.crossing, most)}. With a perfect judge the base needs "
            f"{_tries(both.best_of, most)} tries for the trained model's accuracy.",
        ]
    )


def _tries(value: Interval, most: int) -> str:
    mean, low, high = (f"more than {most}" if end > most else f"{end:.0f}" for end in value)
    return mean if low == high else f"{mean} ({low} to {high})"


def shown(value: Interval | None) -> str:
    return "–" if value is None else "{:.2f} ({:.2f} to {:.2f})".format(*value).replace("inf", "∞")


def percent(value: Interval | None) -> str:
    return "–" if value is None else "{:.0%} ({:.0%} to {:.0%})".format(*value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    head, *body = (f"| {' | '.join(cells)} |" for cells in (heads, *rows))
    return "\n".join([head, "|---" * len(heads) + "|", *body])
