"""How near a run has come to the optimum of its own objective, where that is known.

`sharpen` maximises E[S_p]: its optimum on a question is log p of the likeliest completion. `tempered` maximises E[α·S_p − S_π]: its
optimum is log Z_α = log Σ_y p(y|x)^α, and what is missing is KL(π‖p^α). `lib.models.search` finds both on a tiny base."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lib.evaluation import statistics
from lib.evaluation.metrics import Graded
from lib.evaluation.statistics import Interval
from lib.models import search
from lib.models.search import Likely
from lib.models.tokens import Model, Tokenizer

FLOOR = -6.0  # nats; completions down to there are searched: about 400 beginnings at a time
CERTAIN = 0.9  # of the questions, whose optimum must be known for a way to be given
ARRIVED = 0.95  # of the way


class Distance(NamedTuple):
    """Of one run: its objective's mean at the `base`, at the `reached` policy and at the `optimum` (nats per completion; the mean
    of the lower bounds), the `way` that it has come, (reached − base) / (optimum − base), with its 95% interval over questions, and
    what is `left`, optimum − reached, by the lower and by the upper bound of the optimum. `certain` is the share of questions whose
    optimum is known to 0.01 nats; below `CERTAIN`, as for α near 1, the way and the accuracy at the optimum are NaN. `accuracy` is
    the mean over questions of the chance of a right answer, at the same places."""

    base: float
    reached: float
    optimum: float
    way: Interval
    left: float
    left_at_most: float
    certain: float
    accuracy_base: float
    accuracy_reached: float
    accuracy_optimum: float


def search_questions(
    model: Model, tokenizer: Tokenizer, prompts: Sequence[Sequence[int]], known: Sequence[float], max_tokens: int
) -> list[Likely]:
    """The likeliest completions of each prompt, down to `FLOOR`, or to `known`, log p of the likeliest that somebody wrote, where
    that is lower still."""
    floors = [min(FLOOR, one - 0.05) for one in known]
    return search.likely(model, tokenizer, prompts, floors, max_tokens)


def bounds(found: Sequence[Likely], objective: str, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """(lower, upper) bounds of the optimum of each question, [P] each, in nats per completion; of `sharpen` without the factor α.
    Raises ValueError for an objective whose optimum is not known here."""
    if objective == "sharpen":
        mode = np.array([one.logprob[0] for one in found])
        return mode, mode
    if objective == "tempered" and alpha > 1:
        low, high = np.array([one.log_partition(alpha) for one in found]).T
        return low, high
    raise ValueError(f"The optimum of {objective} at α = {alpha:g} is not known here: choose sharpen, or tempered with α above 1.")


def accuracy(found: Sequence[Likely], correct: Sequence[np.ndarray], objective: str, alpha: float) -> np.ndarray:
    """The chance of a right answer at the optimum, [P]: of the likeliest completion, or under p^α among the completions found.
    `correct` [P] says of each completion found whether it is right."""
    if objective == "sharpen":
        return np.array([right[0] for right in correct], dtype=float)
    weights = [np.exp(alpha * (one.logprob - one.logprob[0])) for one in found]
    return np.array([weight @ right / weight.sum() for weight, right in zip(weights, correct, strict=True)])


def values(graded: Graded, objective: str, alpha: float) -> np.ndarray:
    """The objective's mean per question, [P]: S_p, or α·S_p − S_π."""
    reference = graded.mean("reference_logprob")
    return reference if objective == "sharpen" else alpha * reference - graded.mean("policy_logprob")


def distance(base: Graded, run: Graded, found: Sequence[Likely], correct: Sequence[np.ndarray], row: Mapping[str, Any]) -> Distance:
    """How near a run has come; `row` has its `objective` and `alpha`. `found`, and which of it is `correct`, are in the order of
    the questions."""
    objective, alpha = row["objective"], row["alpha"]
    low, high = bounds(found, objective, alpha)
    start, end = (values(graded, objective, alpha) for graded in (base, run))
    weights = statistics.resampled(len(low))
    whole = (weights @ (end - start)) / (weights @ (low - start))
    certain = float(np.mean(high - low < 0.01))
    known = 1.0 if certain >= CERTAIN else np.nan
    way = known * (end - start).mean() / (low - start).mean()
    return Distance(
        base=start.mean(),
        reached=end.mean(),
        optimum=low.mean(),
        way=Interval(float(way), *statistics.percentiles(known * whole, len(low))),
        left=(low - end).mean(),
        left_at_most=(high - end).mean(),
        certain=certain,
        accuracy_base=base.mean("correct").mean(),
        accuracy_reached=run.mean("correct").mean(),
        accuracy_optimum=known * accuracy(found, correct, objective, alpha).mean(),
    )


def table(rows: Sequence[tuple[Mapping[str, Any], Distance]]) -> pd.DataFrame:
    """A row per run."""
    found = []
    for about, one in rows:
        flat = one._asdict() | dict(zip(("way", "way_low", "way_high"), one.way, strict=True))
        found.append({**about, **flat})
    return pd.DataFrame(found)
