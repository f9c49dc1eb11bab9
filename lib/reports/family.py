"""A family of bases: what was foretold of each without training, beside what training did. `data/results/<profile>/family.csv`."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lib.data.arithmetic import sums
from lib.data.corpus_law import Law, accuracy
from lib.evaluation import forecast, runner
from lib.models import built
from lib.profiles import Profile
from lib.reports import figures, optima, results
from lib.storage import files, folders
from lib.storage.errors import UsageError

ALPHA = 8.0  # of the forecast: the largest for which samples usually have one
SHARES = tuple(np.linspace(0.4, 0.75, 15))  # of direct answers, for the lines of a figure
MARKERS = {1: "o", 2: "s", 4: "^"}  # by the number of wordings


def collect(profile: Profile) -> bool:
    """Writes a row per base: its share of direct answers and wordings; its accuracy; what the law of its corpus, a forecast from
    its samples and the exact optimum say of sharpening; what `sharpen` and the control did, the mean and the ends over seeds.
    False, with a message, if not every run is evaluated yet."""
    summary = results.evaluations(profile)
    if summary is None:
        return False
    exact, rows = optima.load(profile.name), []
    if unknown := sorted(set(profile.models) - set(built.FAMILY)):
        raise UsageError(f"{unknown[0]} is no base of the family: choose a profile of {', '.join(built.FAMILY)}.")
    last = summary[summary["checkpoint"] != "best"]
    for model in profile.models:
        own, recipe = last[last["model"] == model], built.FAMILY[model]
        base = own[own["objective"] == "base"].iloc[0]
        trained = own[own["objective"] == "sharpen"]["accuracy_sampled"]
        (point,) = forecast.forecast(forecast.from_table(*runner.graded(Path(base["path"]))), [ALPHA])
        value, low, high = point.accuracy or (np.nan,) * 3
        row = {"model": model, "direct_share": recipe.direct_share, "wordings": recipe.wordings, "base": base["accuracy_sampled"]}
        row |= {"law_base": by_law(recipe.direct_share, recipe.wordings, 1), "forecast": value, "low": low, "high": high}
        row |= {"law": by_law(recipe.direct_share, recipe.wordings, ALPHA)}
        row |= {"optimum": exact.query("model == @model and objective == 'sharpen'")["accuracy_optimum"].mean()}
        row |= {"trained": trained.mean(), "lowest_seed": trained.min(), "highest_seed": trained.max()}
        rows.append(row | {"control": own[own["objective"] == "random"]["accuracy_sampled"].mean()})
    files.write_table(folders.results_folder(profile.name) / "family.csv", pd.DataFrame(rows))
    return True


def by_law(share: float, wordings: int, alpha: float) -> float:
    """How often p^α is right if p is the law of a corpus: the mean over 500 test sums."""
    return accuracy(Law(share, wordings), itertools.islice(sums("test"), 500), alpha)


def load(profile: str) -> pd.DataFrame:
    """The table of a profile; raises UsageError if there is none."""
    return results.read_table(profile, "family", "bases of a family")


def by_the_law(ax: Axes, wordings: Sequence[int] = (1, 2, 4), shares: Sequence[float] = SHARES) -> Axes:
    """The change of accuracy (points) from α = 1 to `ALPHA` under the exact law of the corpus, over the share of direct answers: a
    line per number of wordings. The title gives, for one wording, the share at which sharpening so far stops to help."""
    for rank, many in enumerate(wordings):
        change = [100 * (by_law(share, many, ALPHA) - by_law(share, many, 1)) for share in shares]
        look = figures.plain(rank) | {"marker": None}
        ax.plot(shares, change, label=f"law, α = {ALPHA:g}, {many} wording(s)", **look)
        if many == 1 and change[0] > 0 > change[-1]:
            last = int(np.argmax(np.array(change) < 0))  # the first share at which it hurts
            zero = np.interp(0, change[last - 1 : last + 1][::-1], shares[last - 1 : last + 1][::-1])
            ax.set_title(f"by the law, sharpening to α = {ALPHA:g} helps one wording\nup to {100 * zero:.0f}% direct answers")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(xlabel="share of direct answers in the corpus", ylabel="change of accuracy by sharpening (points)")
    return ax


def phases(ax: Axes, table: pd.DataFrame, shares: Sequence[float] = SHARES) -> Axes:
    """`by_the_law`, and markers for what training did, with the ends over seeds."""
    by_the_law(ax, sorted(int(many) for many in table["wordings"].unique()), shares)
    for rank, (wordings, rows) in enumerate(table.groupby("wordings")):
        ends = 100 * np.abs(rows[["lowest_seed", "highest_seed"]].to_numpy().T - rows["trained"].to_numpy())
        marker = {"marker": MARKERS[int(wordings)], "linestyle": "none", "color": figures.plain(rank)["color"], "capsize": 3}
        gained = 100 * (rows["trained"] - rows["base"])
        ax.errorbar(rows["direct_share"], gained, ends, label=f"trained, {wordings} wording(s)", **marker)
    helped = table["trained"] > table["base"]
    with_it, without = (set(table.loc[rows, "wordings"]) for rows in (helped, ~helped))
    title = f"sharpening helps {helped.sum()} of {len(table)} bases"
    if with_it and without and not with_it & without:
        title += f": those with {' or '.join(map(str, sorted(with_it)))} wording(s)"
    ax.set_title(title)
    return ax


def foretold(ax: Axes, table: pd.DataFrame) -> Axes:
    """Change of accuracy: foretold by the exact optimum (filled) and by a forecast from samples (open), against trained."""
    trained = 100 * (table["trained"] - table["base"])
    for wordings, rows in table.groupby("wordings"):
        own, marker = trained[rows.index], MARKERS[int(wordings)]
        ax.plot(100 * (rows["optimum"] - rows["base"]), own, marker, color="black", label=f"exact optimum, {wordings} wording(s)")
        forecasts = 100 * (rows["forecast"] - rows["base"])
        label = f"forecast at α = {ALPHA:g}, {wordings} wording(s)"
        ax.plot(forecasts, own, marker, color="black", markerfacecolor="white", label=label)
    ends = [*ax.get_xlim()]
    ax.plot(ends, ends, ":", color="0.4", label="as foretold")
    ax.axhline(0, color="black", linewidth=0.6)
    ax.axvline(0, color="black", linewidth=0.6)
    right = (np.sign(table["optimum"] - table["base"]) == np.sign(table["trained"] - table["base"])).sum()
    ax.set_title(f"the exact optimum has the direction\nof {right} of {len(table)} trained bases")
    ax.set(xlabel="foretold change of accuracy (points)", ylabel="trained change of accuracy (points)")
    return ax
