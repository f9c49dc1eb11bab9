"""The families that a trained model is projected on: which features of a completion the base may be tilted by, in which order.

F_k = { q(y|x) = p(y|x)·exp(Σ_{j≤k} θ_j·f_j(x,y)) / Z_x(θ) }, one θ for all questions x. A feature of your own is one more entry of
the list that `lib.audit.decomposition.audit` takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.storage.errors import UsageError

MOST = 6  # features: the mean over orders projects on every subset of them


@dataclass(frozen=True)
class Feature:
    """A number f(x, y) of each completion: `of` takes the table of samples (`lib.audit.samples`) and returns one value per row.
    `parameter` names its θ in tables, plus `offset`: α is θ + 1."""

    name: str
    parameter: str
    of: Callable[[pd.DataFrame], object]
    offset: float = 0.0


SHARPENING = Feature("sharpening", "alpha_star", lambda table: table["base_logprob"], 1.0)
SELECTION = Feature("selection", "lambda_star", lambda table: table["correct"])
LENGTH = Feature("length", "gamma_star", lambda table: table["length"])
STANDARD = (SHARPENING, SELECTION, LENGTH)


def values(table: pd.DataFrame, features: Sequence[Feature]) -> np.ndarray:
    """The features of each row, [rows, K]. Raises UsageError for too many of them, for two of one name, or for a value that is no
    finite number, with its row."""
    names = [feature.name for feature in features]
    if names[:2] != ["sharpening", "selection"] or len(set(names)) < len(names) or len(names) > MOST:
        raise UsageError(
            f"The features are {', '.join(names)}: give sharpening, selection, and up to {MOST - 2} others, each once."
        )
    found = np.empty((len(table), len(features)))
    for place, feature in enumerate(features):
        try:
            found[:, place] = pd.to_numeric(pd.Series(feature.of(table)), errors="coerce")
        except KeyError:
            raise UsageError(f"There is no column {feature.name!r} in the samples: add it, or leave the feature out.") from None
    if len(bad := np.argwhere(~np.isfinite(found))):
        row, place = bad[0]
        raise UsageError(f"The feature {names[place]} of row {row + 1} is no finite number: mend that row, or leave it out.")
    return found
