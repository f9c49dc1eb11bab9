"""What committed results say of bases that were not made to order, for `lib.reports.claims`: a real pretrained model."""

import pandas as pd

from lib.reports.comparison import late_accuracy
from lib.reports.evidence import OBJECTIVES, accuracy, change, points, sharpening, table

REAL = "smollm"  # SmolLM2-135M-Instruct on multiplication tables, three seeds of `task`, `sharpen`, `tempered` and the control
MODEL = "SmolLM2-135M-Instruct"


def on_trained_problems() -> pd.DataFrame:
    """How often runs on the real model were right at the end, on problems that they were trained on: a row per objective, with
    the mean, lowest and highest seed."""
    late = late_accuracy(table("steps", REAL))
    objective = late.index.str.removeprefix(f"{MODEL}-").str.split("-").str[0]
    return late.groupby(objective).agg(["mean", "min", "max"])


def of_the_real_model() -> str:
    """Held-out and trained problems of the real model, its greedy answers, the forecast and the audit."""
    base, trained = accuracy(MODEL, "base", REAL), on_trained_problems()
    changes = ", ".join(f"`{name}` {points(change(MODEL, name, REAL))}" for name in OBJECTIVES)
    control, check = accuracy(MODEL, "random", REAL), table(f"forecast_check_{MODEL}", REAL)
    greedy = {name: f"{accuracy(MODEL, name, REAL).accuracy_greedy:.1%}" for name in ("base", "task", "sharpen")}
    seen = {name: f"{trained.loc[name, 'mean']:.1%}" for name in ("task", "sharpen", "random")}
    first, ends = check.iloc[0], f"{check['trained'].min():.1%} to {check['trained'].max():.1%}"
    return (
        f"`{MODEL}` on products of numbers up to 12, three seeds of 60 steps, on a GPU. On {base.problems:.0f} products that were "
        f"held out it is right in {base.accuracy_sampled:.1%} of its samples. Change of accuracy: {changes}. The control's seeds "
        f"end between {control.lowest_seed:.1%} and {control.highest_seed:.1%}, so it is a loose one. With greedy decoding the "
        f"untrained model is right on {greedy['base']}, after `task` on {greedy['task']}, after `sharpen` on {greedy['sharpen']}. "
        f"On the 51 products that were trained on, in the last quarter of the steps, `task` is right in {seen['task']} of the "
        f"samples, `sharpen` in {seen['sharpen']}, the control in {seen['random']}. The forecast of `tempered` at "
        f"$\\alpha = {first.alpha:g}$ was {first.forecast:.1%} ({first.low:.1%} to {first.high:.1%}), and its seeds ended at "
        f"{ends}. By the audit, what `sharpen` did is {sharpening(MODEL, 'sharpen', REAL)}, and what `task` did "
        f"{sharpening(MODEL, 'task', REAL)}; nearly all else is the rest, which no power of $p$ and no preference for right "
        "answers explains."
    )


def sharpening_does_most_for_the_real_model() -> bool:
    """Whether on held-out problems `sharpen` has more than three quarters of what `task` gains, both more than the control, and
    greedy decoding without training no less; and whether on the trained ones every seed of `task` is a fifth of all samples above
    every seed of `sharpen`."""
    gains = {name: change(MODEL, name, REAL) for name in ("task", "sharpen", "random")}
    most = gains["sharpen"].mean > 0.75 * gains["task"].mean and gains["sharpen"].low > gains["random"].high
    trained = on_trained_problems()
    taught = trained.loc["task", "min"] > trained.loc["sharpen", "max"] + 0.2
    untrained = accuracy(MODEL, "base", REAL).accuracy_greedy
    most = most and untrained >= table("labels", REAL)[["accuracy_sampled", "accuracy_greedy"]].max(axis=None)
    return bool(most and taught and table("control", REAL)["allowed"].eq(True).all())
