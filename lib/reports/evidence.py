"""What committed results say to the claims of `lib.reports.claims`: sentences with numbers, and whether a verdict still fits."""

import pandas as pd

from lib.evaluation.statistics import Interval
from lib.reports.elicitation import WORKED
from lib.storage.folders import ROOT

BASES = ("one_wording", "many_wordings")
PROFILE = "cpu"  # three seeds of every objective, 420 steps each, and the control
LONGER = "fair"  # three seeds of `sharpen`, `tempered` and `task`, trained until little changes, and the control
DIGITS = "digits"  # sums of four and five digits, three seeds of `task`, `sharpen` and the control, in two orders
OBJECTIVES = ("task", "sharpen", "tempered", "random")


def table(name: str, profile: str = PROFILE) -> pd.DataFrame:
    """A committed table of a profile; empty if there is none."""
    path = ROOT / "data" / "results" / profile / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def change(model: str, objective: str, profile: str = PROFILE) -> Interval:
    """By how much an objective changed accuracy from its base on held-out problems, all seeds together: mean and 95% interval."""
    return _difference(model, objective, "last", profile)


def task_beyond(model: str, objective: str, profile: str = PROFILE) -> Interval:
    """By how much `task` is right more often than another objective on held-out problems, as in `change`."""
    return _difference(model, objective, "task", profile)


def _difference(model: str, objective: str, after: str, profile: str) -> Interval:
    rows = table("differences", profile).query("model == @model and after == @after")
    row = rows[rows["label"].str.split().str[0] == objective].iloc[0]
    return Interval(row["mean"], row["low"], row["high"])


def points(one: Interval) -> str:
    """`+38.1 points (+36.0 to +40.2)`."""
    return f"{100 * one.mean:+.1f} points ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def accuracy(model: str, objective: str, profile: str = PROFILE) -> pd.Series:
    """The row of `labels.csv` of an objective: its accuracy over all seeds, of the `lowest_seed` and of the `highest_seed`."""
    return table("labels", profile).query("model == @model and objective == @objective").iloc[0]


def optimum(model: str, objective: str, profile: str = PROFILE) -> pd.Series:
    """The mean over seeds of `optimum.csv`."""
    return table("optimum", profile).query("model == @model and objective == @objective").mean(numeric_only=True)


def forecasts(profile: str = PROFILE) -> pd.DataFrame:
    """The forecast of each `tempered` run of a profile, and whether it moved in the forecast's direction."""
    bases = table("summary", profile).query("objective == 'base'").set_index("model")["accuracy_sampled"]
    rows = pd.concat([table(f"forecast_check_{model}", profile).assign(base=bases[model], model=model) for model in BASES])
    return rows.assign(right_direction=(rows["trained"] - rows["base"]) * (rows["forecast"] - rows["base"]) > 0)


def sharpening(model: str, objective: str, profile: str = PROFILE) -> str:
    """The share of sharpening in what an objective did, mean over its seeds, or what stands in its place."""
    rows = table("audit", profile).query("model == @model and objective == @objective")
    if rows["share_sharpening"].notna().all():
        return f"{rows['share_sharpening'].mean():.0%} sharpening"
    if rows["share_flattening"].notna().all():
        return f"{rows['share_flattening'].mean():.0%} flattening"
    refused = rows["refusal"].notna().sum()
    if refused:
        return f"refused in {refused} of its {len(rows)} runs"
    sharper, most = rows["share_sharpening"].notna().sum(), rows[["share_sharpening", "share_flattening"]].max(axis=None)
    return f"sharpening in {sharper} and flattening in {len(rows) - sharper} of its runs, at most {most:.1%}"


def elicited(model: str, label: str) -> pd.Series:
    """The row of `elicitation.csv` of a label on the problems of `cpu`."""
    return table("elicitation").query("model == @model and label == @label").iloc[0]


def controlled(profile: str = PROFILE) -> bool:
    """Whether the control of a profile stayed at its base, on both bases."""
    found = table("control", profile)
    return bool(set(found["model"]) == set(BASES) and found["allowed"].eq(True).all())


def of_optima() -> str:
    """How often the exact optimum of `sharpen` is right, beside its base."""
    said = []
    for model in BASES:
        row = optimum(model, "sharpen")
        said.append(f"the likeliest completion of `{model}` is right on {row.accuracy_optimum:.1%} of the problems")
        said[-1] += f", where the base is right in {row.accuracy_base:.1%} of its samples"
    return f"Computed without training, from all likely completions: {'; '.join(said)}. Exact for toy distributions: notebook 01."


def optimum_decides() -> bool:
    """Whether the optimum of `sharpen` is below its base on `many_wordings`, and above on `one_wording`."""
    rows = {model: optimum(model, "sharpen") for model in BASES}
    return all((row.accuracy_optimum < row.accuracy_base) == (model == "many_wordings") for model, row in rows.items())


def of_gains() -> str:
    """The change of accuracy by each objective, after 420 steps and after up to 1,500."""
    parts = []
    for profile, how in ((PROFILE, "After 420 steps"), (LONGER, "After 1,500 steps on `one_wording` and 800 on `many_wordings`")):
        said = [f"on `{m}`, {', '.join(f'`{name}` {points(change(m, name, profile))}' for name in OBJECTIVES)}" for m in BASES]
        parts.append(f"{how} (profile `{profile}`): {'; '.join(said)}.")
    ends = [accuracy(m, name, LONGER).accuracy_sampled for m in BASES for name in ("task", "sharpen")]
    best, apart = [optimum(m, "sharpen").accuracy_optimum for m in BASES], points(task_beyond("one_wording", "sharpen", LONGER))
    return (
        f"Change of accuracy over three seeds, 95% intervals over seeds and questions. {' '.join(parts)} So `task` and `sharpen` "
        f"end at {ends[0]:.1%} and {ends[1]:.1%} on `one_wording`, a difference of {apart}, and at {ends[2]:.1%} and {ends[3]:.1%} "
        f"on `many_wordings`. The exact optimum of `sharpen` is right on {best[0]:.1%} and {best[1]:.1%} of the problems."
    )


def sharpening_catches_up_on_one() -> bool:
    """Whether trained for longer `sharpen` is within a point of `task` on `one_wording`, after being below it, and loses on
    `many_wordings` in both; `task` gains everywhere."""
    gains = all(change(model, "task", profile).low > 0.3 for model in BASES for profile in (PROFILE, LONGER))
    early = change("one_wording", "task").low > change("one_wording", "sharpen").high
    late = [accuracy("one_wording", name, LONGER).accuracy_sampled for name in ("task", "sharpen")]
    ruined = all(change("many_wordings", "sharpen", profile).high < 0 for profile in (PROFILE, LONGER))
    return gains and early and abs(late[0] - late[1]) < 0.01 and ruined and controlled() and controlled(LONGER)


def of_arrival() -> str:
    """How far runs have come on the way to their own optimum, and what the audit says of those that have not arrived."""
    parts = []
    for profile in (PROFILE, LONGER):
        ways = []
        for (model, label), rows in table("optimum", profile).groupby(["model", "label"], sort=False):
            ways.append(f"`{model}`, {label}: {rows['way'].min():.0%} to {rows['way'].max():.0%}")
        parts.append(f"Profile `{profile}`: {'; '.join(ways)}")
    columns = ["kl", "share_sharpening", "share_selection", "share_length"]
    audits = table("audit", LONGER).query("model == 'one_wording'").groupby("objective")[columns].mean()
    said = []
    for name in ("task", "sharpen"):
        kl, *shares = audits.loc[name]
        said.append(f"`{name}` {kl:.2f} nats, {shares[0]:.0%} sharpening, {shares[1]:.0%} selection, {shares[2]:.0%} length")
    run, direct = optimum("one_wording", "sharpen", LONGER), accuracy("one_wording", "sharpen", LONGER).direct_share
    return (
        f"How much of the way to their own optimum the three runs have gone. {'. '.join(parts)}. On `one_wording`, `sharpen` stops "
        f"short of its optimum, and is right more often: {run.accuracy_reached:.1%} against {run.accuracy_optimum:.1%}. It "
        f"shows its work on all problems ({direct:.1%} of its answers are direct), also where the direct answer is likelier. The "
        f"audit finds no difference to `task`: {'; '.join(said)}."
    )


def arrival_differs() -> bool:
    """Whether all runs on `many_wordings` arrive if they are trained for longer, below their base, and none on `one_wording`."""
    near = [table("optimum", LONGER).query("model == 'many_wordings'")["way"].min() > 0.95]
    near += [table("optimum", LONGER).query("model == 'one_wording'")["way"].max() < 0.95]
    return all(near) and change("many_wordings", "sharpen", LONGER).high < 0 and sharpening_catches_up_on_one()


def of_elicitation() -> str:
    """The base made to show its work beside `task`."""
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
    return f"If its first token may not be the box, a base shows its work, without any training. {'. '.join(said)}."


def is_elicited(model: str) -> bool:
    """Whether showing work is more than three quarters of the gain of `task`, and with greedy decoding all of it."""
    base, made, task = (elicited(model, one).accuracy for one in ("base", WORKED, "task"))
    greedy = elicited(model, f"{WORKED}, greedy").accuracy >= accuracy(model, "task").accuracy_greedy
    return bool((made - base) / (task - base) > 0.75 and greedy)


def of_beyond() -> str:
    """Sums of one digit more than the base has ever seen."""
    rows = table("beyond", DIGITS)
    base, runs = rows[rows["run"] == "base"].iloc[0], rows[rows["run"] != "base"]
    short = table("labels", DIGITS).query("objective == 'task' and data_set == 'arithmetic/test'")["accuracy_sampled"]
    far = {objective: runs[runs["label"].str.startswith(objective)]["kl"] for objective in ("task", "random")}
    nats = {name: f"{kl.min():.1f} to {kl.max():.1f} nats" for name, kl in far.items()}
    never = f"`one_wording` solves {base.solved} of {base.questions} problems in {base.tries} tries each"
    steps = table("steps", DIGITS)
    later = steps[steps["run"].str.contains("task-shortest_first") & (steps["step"] >= steps["step"].max() // 2 + 1)]
    signal = "no sample is ever right" if (later["task_accuracy"] == 0).all() else "some samples are right"
    either = f"solve {runs['solved'].max()} of {runs['questions'].max()} in {runs['tries'].max()} tries each"
    return (
        f"On sums of five digits, one more than the base was made for, {never}. Trained on four and five digits, in any order or "
        f"the short ones first, {len(runs)} runs, six each of `task`, `sharpen` and the control, {either}. `task` is right in "
        f"{short.min():.1%} to {short.max():.1%} on up to four digits then. In the second half of its runs with the short ones "
        f"first, where every problem has five digits, {signal}. It moves by {nats['task']} on these problems, and so does the "
        f"control, by {nats['random']}"
    )


def nothing_is_beyond() -> bool:
    """Whether neither the base nor any run solves a sum of five digits, beside a control that stayed at its base."""
    return bool((table("beyond", DIGITS)["solved"] == 0).all() and table("control", DIGITS)["allowed"].eq(True).all())


def of_control() -> str:
    """What `random` did at each learning rate."""
    said = [f"`{r.model}` at {r.learning_rate:g}: {100 * r.moved:+.1f} points" for r in table("control", "rates").itertuples()]
    return f"What `random` did to accuracy, three seeds each: {'; '.join(said)}."


def of_audits() -> str:
    """The share of sharpening in what three objectives did, after 420 steps and after up to 1,500."""
    parts = []
    for profile in (PROFILE, LONGER):
        names = [(m, o) for m in BASES for o in ("sharpen", "task", "random")]
        said = [f"`{model}`, `{objective}`: {sharpening(model, objective, profile)}" for model, objective in names]
        parts.append(f"Profile `{profile}`: {'; '.join(said)}")
    return f"Shares of $\\mathrm{{KL}}(\\pi\\Vert p)$, mean over seeds. {'. '.join(parts)}."


def tells_apart(model: str, profile: str) -> bool:
    """Whether `sharpen` has clearly more sharpening than `task` in a profile: every run of it by a twentieth."""
    shares = table("audit", profile).fillna({"share_sharpening": 0.0}).groupby(["model", "objective"])["share_sharpening"]
    return bool(shares.min()[model, "sharpen"] > shares.max()[model, "task"] + 0.05)


def of_forecasts() -> str:
    """The forecast of `tempered` beside what three seeds came to."""
    parts = []
    for profile in (PROFILE, LONGER):
        said = []
        for model, rows in forecasts(profile).groupby("model", sort=False):
            one = rows.iloc[0]
            ends = f"{rows['trained'].min():.1%} to {rows['trained'].max():.1%}"
            said.append(f"on `{model}` {one.forecast:.1%} ({one.low:.1%} to {one.high:.1%}), and the three seeds ended at {ends}")
        parts.append(f"Profile `{profile}`: {'; '.join(said)}")
    left = forecasts(LONGER).groupby("model")["kl_left"].mean()
    return (
        f"The forecast of `tempered` at $\\alpha = 4$. {'. '.join(parts)}. At the end of the longer runs, "
        f"$\\mathrm{{KL}}(\\pi\\Vert p^\\alpha)$ was {left['many_wordings']:.2f} nats on `many_wordings` and "
        f"{left['one_wording']:.2f} on `one_wording`."
    )


def forecasts_hold_where_runs_arrive() -> bool:
    """Whether all runs moved in the forecast's direction, and those on `many_wordings` alone, in both profiles, lie inside."""
    rows = pd.concat([forecasts(PROFILE), forecasts(LONGER)])
    inside = rows.groupby("model")["inside"].agg(["min", "max"])
    return bool(rows["right_direction"].all() and inside.loc["many_wordings", "min"] and not inside.loc["one_wording", "max"])
