"""What the paper and this kit claim, and what committed results say of it: `docs/claims.md`, and a short form for the README.

Each claim's numbers are computed from result files, and its verdict rests on a comparison (`holds`) that the tests make again, so
that a verdict cannot outlive the results that it was given for."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from lib.evaluation.statistics import Interval
from lib.reports import markdown
from lib.storage.folders import ROOT

BASES = ("one_wording", "many_wordings")


@dataclass(frozen=True)
class Claim:
    """`claim` in a sentence, and who makes it (`by`); the `verdict` in words, with `evidence` from the files `rests_on`, and what
    `would_change` it. `holds` says whether the results are still those that the verdict was given for."""

    claim: str
    by: str
    verdict: str
    evidence: Callable[[], str]
    holds: Callable[[], bool]
    rests_on: tuple[str, ...]
    would_change: str


def table(name: str, profile: str = "cpu") -> pd.DataFrame:
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


def spread(model: str, objective: str) -> float:
    """The distance between the best and the worst seed, in accuracy."""
    row = table("labels").query("model == @model and objective == @objective").iloc[0]
    return row["highest_seed"] - row["lowest_seed"]


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
    return f"Change of accuracy, three seeds: {'; '.join(said)}."


def _unstable() -> str:
    apart = {(m, o): f"{100 * spread(m, o):.1f}" for m in BASES for o in ("sharpen", "task")}
    said = [f"on `{m}`, {apart[m, 'sharpen']} points for `sharpen` and {apart[m, 'task']} for `task`" for m in BASES]
    return f"Between the best and the worst of three seeds there are, {'; '.join(said)}. Rounds of sharpening were not trained yet."


def _arrived() -> str:
    rows = table("optimum")
    said = [f"`{m}`, `{o}`: {optimum(m, o).way:.0%}" for m in BASES for o in ("sharpen", "tempered")]
    return f"Of the way to their own optimum, {len(rows)} runs have behind them, on average over seeds: {'; '.join(said)}."


def _control() -> str:
    said = [f"`{r.model}` at {r.learning_rate:g}: {100 * r.moved:+.1f} points" for r in table("control", "rates").itertuples()]
    return f"What `random` did to accuracy, three seeds each: {'; '.join(said)}."


def _audited() -> str:
    names = [(m, o) for m in BASES for o in ("tempered", "task", "random")]
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
        ("data/results/cpu/optimum.csv", "figures/cpu_own_optimum.png"),
        "Nothing can for these two bases: the optimum is computed, not sampled. How often real bases are of which kind is open.",
    ),
    Claim(
        "The gains of sharpening are limited, and those of a task reward are robust.",
        "the paper",
        "holds",
        _limited,
        lambda: all(change(m, "task").low > 0 and change(m, "sharpen").mean < change(m, "task").mean for m in BASES),
        ("data/results/cpu/differences.csv", "figures/cpu_final_accuracy.png"),
        "A base on which sharpening gains as much as the task reward, with a control that stays.",
    ),
    Claim(
        "Sharpening is unstable.",
        "the paper",
        "open",
        _unstable,
        lambda: True,
        ("data/results/cpu/labels.csv",),
        "Sharpening in rounds, each with the last policy as its reference, from several seeds.",
    ),
    Claim(
        "Where sharpening lost, it had arrived at its own optimum, so that more training would not have helped it.",
        "the kit",
        "open",
        _arrived,
        lambda: True,
        ("data/results/cpu/optimum.csv", "figures/cpu_own_optimum.png"),
        "Longer runs at the same rate, beside a control of the same length.",
    ),
    Claim(
        "A run proves nothing without a control at its learning rate.",
        "the kit",
        "holds",
        _control,
        lambda: table("control", "rates").groupby("allowed").size().to_dict().keys() == {True, False},
        ("data/results/rates/control.csv",),
        "A rate at which training without any signal moves nothing, and with a signal everything.",
    ),
    Claim(
        "An audit can tell how much of what RL did was sharpening.",
        "the kit",
        "holds",
        _audited,
        lambda: all(table("audit").query("model == @m and objective == 'tempered'")["alpha_star"].gt(1).all() for m in BASES),
        ("data/results/cpu/audit.csv", "figures/cpu_audit.png"),
        "A model that was sharpened by a known α, and an audit that does not find it.",
    ),
    Claim(
        "Samples of the base say in advance what sharpening will do.",
        "the kit",
        "holds for the direction",
        _foretold,
        lambda: foretold()["right_direction"].all(),
        ("data/results/forecast/forecast_check_one_wording.csv", "data/results/forecast/forecast_check_many_wordings.csv"),
        "A base for which the forecast has an interval and training goes the other way.",
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
