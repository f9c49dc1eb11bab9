"""What the paper, this kit and its sceptics claim, and what committed results say of it: `docs/claims.md`.

Each claim's numbers are computed from result files, and its verdict rests on a comparison (`holds`) that the tests make again, so
that a verdict cannot outlive the results that it was given for."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from lib.evaluation.statistics import Interval
from lib.reports import markdown
from lib.reports.elicitation import WORKED
from lib.storage.folders import ROOT

BASES = ("one_wording", "many_wordings")
PROFILE = "cpu"  # whose results the claims rest on: three seeds of every objective, and the control


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


def accuracy(model: str, objective: str) -> pd.Series:
    """The row of `labels.csv` of an objective: its accuracy over all seeds, of the `lowest_seed` and of the `highest_seed`."""
    return table("labels").query("model == @model and objective == @objective").iloc[0]


def optimum(model: str, objective: str) -> pd.Series:
    """The mean over seeds of `optimum.csv`."""
    return table("optimum").query("model == @model and objective == @objective").mean(numeric_only=True)


def foretold(profile: str = PROFILE) -> pd.DataFrame:
    """The forecast of each `tempered` run of a profile, and whether it moved in the forecast's direction."""
    bases = table("summary", profile).query("objective == 'base'").set_index("model")["accuracy_sampled"]
    rows = pd.concat([table(f"forecast_check_{model}", profile).assign(base=bases[model], model=model) for model in BASES])
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
        said.append(f"the likeliest completion of `{model}` is right on {row.accuracy_optimum:.1%} of the problems")
        said[-1] += f", where the base is right in {row.accuracy_base:.1%} of its samples"
    return f"Computed without training, from all likely completions: {'; '.join(said)}. Exact for toy distributions: notebook 01."


def _limited() -> str:
    names = ("task", "sharpen", "tempered", "random")
    said = [f"on `{m}`, {', '.join(f'`{name}` {points(change(m, name))}' for name in names)}" for m in BASES]
    ends = [accuracy(m, "task") for m in BASES]
    seeds = [f"{end.lowest_seed:.1%} to {end.highest_seed:.1%}" for end in ends]
    best = [f"{optimum(m, 'sharpen').accuracy_optimum:.1%}" for m in BASES]
    return (
        f"Change of accuracy over three seeds, 95% intervals over seeds and questions: {'; '.join(said)}. The seeds of `task` end "
        f"at {seeds[0]} and at {seeds[1]}. The exact optimum of `sharpen` is right on {best[0]} and on {best[1]} of the problems."
    )


def _arrived() -> str:
    said = []
    for (model, label), rows in table("optimum").groupby(["model", "label"], sort=False):
        said.append(f"`{model}`, {label}: {rows['way'].min():.0%} to {rows['way'].max():.0%}")
    best = [optimum(m, "sharpen").accuracy_optimum for m in BASES]
    task = [accuracy(m, "task").accuracy_sampled for m in BASES]
    return (
        f"The way to its own optimum that the three runs of each have gone: {'; '.join(said)}. The exact optimum of `sharpen` "
        f"is right on {best[0]:.1%} and {best[1]:.1%} of the problems, where `task` reaches {task[0]:.1%} and {task[1]:.1%}."
    )


def _control() -> str:
    said = [f"`{r.model}` at {r.learning_rate:g}: {100 * r.moved:+.1f} points" for r in table("control", "rates").itertuples()]
    return f"What `random` did to accuracy, three seeds each: {'; '.join(said)}."


def _audited() -> str:
    names = [(m, o) for m in BASES for o in ("sharpen", "task", "random")]
    said = [f"`{model}`, `{objective}`: {sharpening(model, objective)}" for model, objective in names]
    return f"Of KL(π‖p), mean over seeds: {'; '.join(said)}."


def _foretold() -> str:
    said = []
    for model, rows in foretold().groupby("model", sort=False):
        one = rows.iloc[0]
        ends = f"{rows['trained'].min():.1%} to {rows['trained'].max():.1%}"
        said.append(f"on `{model}` {one.forecast:.1%} ({one.low:.1%} to {one.high:.1%}), and three seeds ended at {ends}")
    return f"For `tempered` at α = 4 the forecast was: {'; '.join(said)}. Only the latter have arrived at their optimum."


def elicited(model: str, label: str) -> pd.Series:
    """The row of `elicitation.csv` of a label on the problems of `cpu`."""
    return table("elicitation").query("model == @model and label == @label").iloc[0]


def _elicited() -> str:
    said = []
    for model in BASES:
        base, made, task = (elicited(model, label) for label in ("base", WORKED, "task"))
        ways = f"made to show its work in {made.accuracy:.1%} ({made.kl:.2f} nats away)"
        beyond = points(Interval(task.minus_worked, task.minus_worked_low, task.minus_worked_high))
        after = f"after `task` in {task.accuracy:.1%} ({task.kl:.2f} nats away), which is {beyond} more"
        greedy = [accuracy(model, "base").accuracy_greedy, elicited(model, f"{WORKED}, greedy").accuracy]
        greedy += [accuracy(model, "task").accuracy_greedy]
        decoded = f"with greedy decoding the three are right on {', '.join(f'{one:.1%}' for one in greedy)} of the problems"
        said.append(f"`{model}` is right in {base.accuracy:.1%} of its samples, {ways}, {after}; {decoded}")
    return f"A base shows its work if its first token may not be the box, and nothing is trained. {'. '.join(said)}."


def _is_elicited(model: str) -> bool:
    """Whether showing work is more than three quarters of the gain of `task`, and with greedy decoding all of it."""
    base, made, task = (elicited(model, one).accuracy for one in ("base", WORKED, "task"))
    greedy = elicited(model, f"{WORKED}, greedy").accuracy >= accuracy(model, "task").accuracy_greedy
    return bool((made - base) / (task - base) > 0.75 and greedy)


def controlled() -> bool:
    """Whether the control of the profile stayed at its base, on both bases."""
    return bool(set(table("control")["model"]) == set(BASES) and table("control")["allowed"].eq(True).all())


def _order_is_kept(model: str) -> bool:
    """Whether `task` is above `sharpen` as trained, by both intervals, and above its exact optimum."""
    above = accuracy(model, "task").accuracy_sampled > optimum(model, "sharpen").accuracy_optimum
    return bool(change(model, "task").low > max(0, change(model, "sharpen").high) and above)


def _differ_in_arrival() -> bool:
    """Whether no run on `one_wording` has arrived, and all on `many_wordings` nearly have, below their base."""
    short = [optimum("one_wording", name).way < 0.8 for name in ("sharpen", "tempered")]
    near = [optimum("many_wordings", name).way > 0.9 for name in ("sharpen", "tempered")]
    return all([*short, *near]) and change("many_wordings", "sharpen").high < 0


def _tells_apart() -> bool:
    """Whether every run of `sharpen` has a larger share of sharpening than every run of `task` on its base."""
    shares = table("audit").fillna({"share_sharpening": 0.0}).groupby(["model", "objective"])["share_sharpening"]
    low, high = shares.min(), shares.max()
    return all(low[model, "sharpen"] > high[model, "task"] for model in BASES)


CLAIMS = (
    Claim(
        "The optimum of sharpening can be unfavourable.",
        "the paper",
        "holds where the likeliest completions are wrong, and not where they are right",
        _unfavourable,
        lambda: all(
            (optimum(model, "sharpen").accuracy_optimum < optimum(model, "sharpen").accuracy_base) == (model == "many_wordings")
            for model in BASES
        ),
        (f"data/results/{PROFILE}/optimum.csv", f"figures/{PROFILE}_own_optimum.png"),
        "For these two bases nothing: the optimum is computed, not sampled. How many real bases are of which kind is open.",
    ),
    Claim(
        "The gains of sharpening are limited, and those of a task reward are robust.",
        "the paper",
        "holds on both bases after 420 steps; longer runs are being tried (profile `fair`)",
        _limited,
        lambda: all(map(_order_is_kept, BASES)) and controlled(),
        (f"data/results/{PROFILE}/differences.csv", f"data/results/{PROFILE}/labels.csv", f"figures/{PROFILE}_final_accuracy.png"),
        "A base whose likeliest completions are right more often than `task` makes it. These two were made for the purpose.",
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
        "wrong on `many_wordings`; open on `one_wording`, whose runs did stop early",
        _arrived,
        lambda: _differ_in_arrival() and controlled(),
        (f"data/results/{PROFILE}/optimum.csv", f"figures/{PROFILE}_own_optimum.png"),
        "Longer runs on `one_wording`, beside `task` and a control of the same length: the profile `fair`, which is being run.",
    ),
    Claim(
        "RL with a task reward teaches these bases something that they could not do.",
        "a sceptic",
        "mostly fails on sums of four digits: the bases could do it, and RL makes them show their work; five points are left",
        _elicited,
        lambda: all(map(_is_elicited, BASES)) and controlled(),
        (f"data/results/{PROFILE}/elicitation.csv", f"figures/{PROFILE}_elicitation.png"),
        "A problem that the base never solves in many tries, and a run that does: sums of five digits are being tried.",
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
        "holds in worlds whose answer is known; on trained runs it tells `sharpen` from `task`, on `one_wording` not by much",
        _audited,
        _tells_apart,
        (f"data/results/{PROFILE}/audit.csv", f"figures/{PROFILE}_audit.png"),
        "A model that was sharpened by a known α, and an audit that does not find it.",
    ),
    Claim(
        "Samples of the base say in advance what sharpening will do.",
        "the kit",
        "holds for the direction; for the size only of runs that have arrived",
        _foretold,
        lambda: (
            foretold()["right_direction"].all()
            and foretold().groupby("model")["inside"].agg(["min", "max"]).to_numpy().tolist() == [[True, True], [False, False]]
        ),
        tuple(f"data/results/{PROFILE}/forecast_check_{model}.csv" for model in BASES),
        "A base for which the forecast has an interval and training goes the other way, or arrives outside it.",
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
