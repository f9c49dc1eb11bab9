"""What the paper, this kit and its sceptics claim, and what committed results say of it: `docs/claims.md`.

Each claim's numbers are computed from result files, and its verdict rests on a comparison (`holds`) that the tests make again, so
that a verdict cannot outlive the results that it was given for."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from lib.evaluation.optimum import ARRIVED
from lib.evaluation.statistics import Interval
from lib.reports import markdown
from lib.storage.folders import ROOT

BASES = ("one_wording", "many_wordings")
PROFILE = "quick"  # whose results the claims rest on; one with three seeds is `cpu`


@dataclass(frozen=True)
class Claim:
    """`claim` in a sentence, and who makes it (`by`); the `verdict` in words, with `evidence` from the files `rests_on`, and what
    `would_change` it. `holds` says whether the results still are those that the verdict was given for; None if there are none."""

    claim: str
    by: str
    verdict: str
    evidence: Callable[[], str]
    holds: Callable[[], bool] | None
    rests_on: tuple[str, ...]
    would_change: str


def table(name: str, profile: str = PROFILE) -> pd.DataFrame:
    """A committed table of a profile; empty if there is none."""
    path = ROOT / "data" / "results" / profile / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def change(model: str, objective: str) -> Interval:
    """By how much an objective changed accuracy from its base on held-out problems, all seeds together: mean and 95% interval."""
    rows = table("differences").query("model == @model and after == 'last'")
    row = rows[rows["label"].str.split().str[0] == objective].iloc[0]
    return Interval(row["mean"], row["low"], row["high"])


def points(one: Interval) -> str:
    """`+38.1 points (+36.0 to +40.2)`."""
    return f"{100 * one.mean:+.1f} points ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def optimum(model: str, objective: str) -> pd.Series:
    """The mean over seeds of `optimum.csv`."""
    return table("optimum").query("model == @model and objective == @objective").mean(numeric_only=True)


def foretold() -> pd.DataFrame:
    """The forecast of each `tempered` run of the profile `forecast`, and whether it moved in the forecast's direction."""
    bases = table("summary", "forecast").query("objective == 'base'").set_index("model")["accuracy_sampled"]
    rows = pd.concat([table(f"forecast_check_{model}", "forecast").assign(base=bases[model]) for model in BASES])
    return rows.assign(right_direction=(rows["trained"] - rows["base"]) * (rows["forecast"] - rows["base"]) > 0)


def sharpening(model: str, objective: str) -> str:
    """The share of sharpening in what an objective did, mean over its seeds, or what stands in its place."""
    rows = table("audit").query("model == @model and objective == @objective")
    if rows["share_sharpening"].notna().all():
        return f"{rows['share_sharpening'].mean():.0%} sharpening"
    if rows["share_flattening"].notna().all():
        return f"{rows['share_flattening'].mean():.0%} flattening"
    return f"different in its {len(rows)} runs, or refused"


def _unfavourable() -> str:
    said = []
    for model in BASES:
        row = optimum(model, "sharpen")
        said.append(f"the likeliest completion of `{model}` is right on {row.accuracy_optimum:.0%} of the problems")
        said[-1] += f", where the base is right in {row.accuracy_base:.1%} of its samples"
    return f"Computed without training, from all likely completions: {'; '.join(said)}. Exact for toy distributions: notebook 01."


def _limited() -> str:
    said = [f"on `{m}`, `task` {points(change(m, 'task'))}, `sharpen` {points(change(m, 'sharpen'))}" for m in BASES]
    return f"Change of accuracy with one training seed: {'; '.join(said)}. The intervals are over questions."


def _arrived() -> str:
    rows = table("optimum").itertuples()
    said = [f"`{row.model}`, {row.label}: {row.way:.0%} ({row.way_low:.0%} to {row.way_high:.0%})" for row in rows]
    return f"How much of the way to its own optimum each run has gone: {'; '.join(said)}."


def _control() -> str:
    said = [f"`{r.model}` at {r.learning_rate:g}: {100 * r.moved:+.1f} points" for r in table("control", "rates").itertuples()]
    return f"What `random` did to accuracy, three seeds each: {'; '.join(said)}."


def _audited() -> str:
    names = [(m, o) for m in BASES for o in ("sharpen", "task", "random")]
    said = [f"`{model}`, `{objective}`: {sharpening(model, objective)}" for model, objective in names]
    return f"Of KL(π‖p), mean over seeds: {'; '.join(said)}."


def _foretold() -> str:
    rows = foretold()
    right, inside = rows["right_direction"].sum(), rows["inside"].sum()
    return f"Of {len(rows)} trained runs of `tempered`, {right} moved in the direction of the forecast, {inside} into its interval."


CLAIMS = (
    Claim(
        "The optimum of sharpening can be unfavourable.",
        "the paper",
        "holds only if the likeliest completions are wrong",
        _unfavourable,
        lambda: all(
            (optimum(model, "sharpen").accuracy_optimum < optimum(model, "sharpen").accuracy_base) == (model == "many_wordings")
            for model in BASES
        ),
        ("data/results/quick/optimum.csv", "figures/quick_own_optimum.png"),
        "For these two bases nothing: the optimum is computed, not sampled. How many real bases are of which kind is open.",
    ),
    Claim(
        "The gains of sharpening are limited, and those of a task reward are robust.",
        "the paper",
        "open, since three seeds are still to come; one seed agrees",
        _limited,
        lambda: all(change(m, "task").low > 0 and change(m, "sharpen").mean < change(m, "task").mean for m in BASES),
        ("data/results/quick/differences.csv", "figures/quick_final_accuracy.png"),
        "Three seeds that disagree, or a sharpening that has arrived and gains as much: the optimum on `one_wording` is not far "
        "below what `task` reaches.",
    ),
    Claim(
        "Sharpening is unstable.",
        "the paper",
        "open, not tried on trained models yet",
        lambda: "In exact flows it depends on what two runs share. Only sharpening in rounds separates them exponentially.",
        None,
        ("notebooks/02_instability.ipynb",),
        "Sharpening in rounds, each with the last policy as its reference, from several seeds.",
    ),
    Claim(
        "Where sharpening loses against the task reward, training may have stopped too early.",
        "a sceptic",
        "open, since three seeds are still to come; one seed agrees for `one_wording`, and not for `many_wordings`",
        _arrived,
        lambda: (
            optimum("one_wording", "sharpen").way < ARRIVED
            and optimum("many_wordings", "sharpen").accuracy_optimum < optimum("many_wordings", "sharpen").accuracy_reached
        ),
        ("data/results/quick/optimum.csv", "figures/quick_own_optimum.png"),
        "Longer runs at the same rate, beside a control of the same length. On `many_wordings` the way that is left leads down.",
    ),
    Claim(
        "A learning rate proves nothing without a control.",
        "the kit",
        "holds",
        _control,
        lambda: set(table("control", "rates").query("allowed")["learning_rate"]) == {1e-4},
        ("data/results/rates/control.csv",),
        "Training without any signal that moves nothing at 3e-4, with another optimiser for instance.",
    ),
    Claim(
        "An audit can tell how much of what RL did was sharpening.",
        "the kit",
        "holds in worlds whose answer is known; on trained runs it agrees with what they were trained for",
        _audited,
        lambda: table("audit").query("objective in ('sharpen', 'tempered')")["alpha_star"].gt(1).all(),
        ("data/results/quick/audit.csv", "figures/quick_audit.png"),
        "A model that was sharpened by a known α, and an audit that does not find it.",
    ),
    Claim(
        "Samples of the base say in advance what sharpening will do.",
        "the kit",
        "open; six runs with one seed each, and no control, agree in the direction, not in the size",
        _foretold,
        lambda: foretold()["right_direction"].all() and not foretold()["inside"].all(),
        ("data/results/forecast/forecast_check_one_wording.csv", "data/results/forecast/forecast_check_many_wordings.csv"),
        "A base for which the forecast has an interval and training goes the other way. These runs were trained at 1e-3, where the "
        "control does not stay, so that their distance from the forecast may be drift.",
    ),
)


def page() -> str:
    """Every claim with its verdict, its evidence and its files, as Markdown."""
    parts = []
    for one in CLAIMS:
        files = ", ".join(f"[{path.split('/', 1)[1]}](../{path})" for path in one.rests_on)
        parts.append(
            f"### {one.claim}\n\n*Claimed by {one.by}.* **Verdict: {one.verdict}.**\n\n{one.evidence()}\n\n"
            f"Rests on {files}. What would change it: {one.would_change}"
        )
    return "\n\n".join(parts)


def short() -> str:
    """The claims and their verdicts, as a Markdown table."""
    return markdown.table(["claim", "made by", "verdict"], [[one.claim, one.by, one.verdict] for one in CLAIMS])


def body() -> str:
    """What stands in `docs/claims.md`: the table, then each claim."""
    return f"{short()}\n\n{page()}"
