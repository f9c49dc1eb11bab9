"""Runs in rounds, each from the last one's policy: how far their seeds drift apart. `data/results/<profile>/between.csv`.

The distances are `lib.evaluation.between`."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from lib.evaluation import between, pairs
from lib.profiles import Profile
from lib.reports import audits, evidence, figures, markdown, results
from lib.storage import files, folders
from lib.storage.errors import UsageError

COMMITTED = "rounds"  # the profile that the claim rests on: `tempered` α=2, `task` and the control, three rounds, three seeds
ABOUT = ["model", "objective", "alpha", "round"]


def collect(profile: Profile) -> bool:
    """Writes a row per model, objective, round and pair of seeds; False, with a message, if not every run is evaluated yet."""
    summary = results.evaluations(profile)
    if summary is None:
        return False
    if "round" not in summary or summary["seed"].nunique() < 2:
        raise UsageError(
            f"{profile.name} has no rounds, or one seed, so that no seeds can drift apart: choose a profile such as rounds."
        )
    runs = summary[(summary["checkpoint"] != "best") & (summary["objective"] != "base")].drop_duplicates("run")
    rows = []
    for (model, label), seeds in runs.groupby(["model", "label"], sort=False):
        config = profile.eval_configs(model)[0]
        sides = {name: audits.pair_of_run(profile, name).trained for name in seeds["run"]}
        said = {name: audits.samples_of_run(profile, name)[0].query("source == 'base'") for name in seeds["run"]}
        about = {**seeds.iloc[0][ABOUT].to_dict(), "label": label}
        for a, b in itertools.combinations(seeds["run"], 2):
            names = dict(zip(("seed", "other_seed"), (profile.rows[one]["seed"] for one in (a, b)), strict=True))
            found = between.kl(pairs.judged(sides[a], sides[b], config))
            distances = dict(zip(("kl", "kl_low", "kl_high"), found, strict=True))
            rows.append(about | names | distances | {"log_odds_spread": between.log_odds_spread(said[a], said[b])})
    files.write_table(folders.results_folder(profile.name) / "between.csv", pd.DataFrame(rows))
    return True


def load(profile: str) -> pd.DataFrame:
    """The table of a profile; raises UsageError if there is none."""
    return results.read_table(profile, "between", "distances between seeds")


def overview(profile: str) -> pd.DataFrame:
    """What became of the runs of a profile, a row per model, objective and round: the mean over seeds of sampled accuracy and of
    direct answers (%), of entropy (nats per token) and KL(π‖p) (nats per completion), the lowest and highest α* of an audit, and
    how much better the best checkpoint is than the last one (points, with its 95% interval)."""
    keys = ["model", "objective", "round"]
    summary, audit = results.load(profile)[0].query("objective != 'base'"), audits.load(profile)
    means = summary.groupby(keys, sort=False)[["accuracy_sampled", "direct_share", "entropy", "kl"]].mean()
    found = means.assign(accuracy_sampled=lambda t: 100 * t["accuracy_sampled"], direct_share=lambda t: 100 * t["direct_share"])
    stars = audit.groupby(keys, sort=False)["alpha_star"].agg(["min", "max"]).add_prefix("alpha_star_")
    gaps = results.load_differences(profile).query("after == 'best'")[["model", "label", "mean", "low", "high"]]
    named = summary.drop_duplicates(keys)[[*keys, "label"]].merge(gaps, how="left", on=["model", "label"]).set_index(keys)
    return found.join(stars).join(100 * named[["mean", "low", "high"]].add_prefix("best_minus_last_"))


def apart(ax: Axes, table: pd.DataFrame, column: str, power: int = 1) -> Axes:
    """A distance between seeds by round: a line per objective through the means, a dot per pair of seeds. Dotted is what the first
    round's distance of `tempered` would become if each round arrived, and only multiplied log-odds by α: times α^(power·(t − 1)).
    The axis is logarithmic, and starts at 1e-4: an estimate of KL may be below 0."""
    grown = []
    for objective, rows in table.groupby("objective", sort=False):
        mean, look = rows.groupby("round")[column].mean(), figures.style(str(objective))
        ax.plot(mean.index, mean, label=objective, **look)
        ax.plot(rows["round"], rows[column], ".", color=look["color"], markersize=4, alpha=0.6)
        grown.append(f"{objective} × {mean.iloc[-1] / mean.iloc[0]:.1f}")
        if objective == "tempered":
            alpha = rows["alpha"].iloc[0]
            theory = mean.iloc[0] * np.power(float(alpha), power * (mean.index - 1))
            ax.plot(mean.index, theory, ":", color="black", label="tempered, if each round arrived")
    ax.set(yscale="log", xlabel="round", xticks=sorted(table["round"].unique()))
    ax.set_ylim(bottom=max(1e-4, ax.get_ylim()[0]))
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
    ax.set_title(f"{table['model'].iloc[0]}, from the first round to the last:\n{', '.join(grown)}")
    return ax


def distances(column: str = "kl") -> pd.DataFrame:
    """How far apart the seeds of the profile `rounds` are: a row per model and objective, a column per round, means over pairs."""
    return _by_round(evidence.table("between", COMMITTED), column)


def _by_round(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    return rows.groupby(["model", "objective", "round"])[column].mean().unstack()


def growth() -> pd.DataFrame:
    """By which factor the distance in log-odds of two seeds of the profile `rounds` grew from the first round to the last: a row
    per model and objective, a column per pair of seeds."""
    keys = ["model", "objective", "seed", "other_seed"]
    ways = evidence.table("between", COMMITTED).sort_values("round").groupby(keys)["log_odds_spread"]
    return (ways.last() / ways.first()).unstack(keys[2:])


def of_drift() -> str:
    """How far apart seeds are after each of three rounds, and what the rounds did to the models, beside the control."""
    ends = evidence.table("labels", COMMITTED).assign(round=lambda t: t.groupby(["model", "objective"]).cumcount() + 1)
    columns = {
        "KL between seeds (nats)": (distances(), ".3f"),
        "KL from the base (nats)": (_by_round(ends, "kl"), ".2f"),
        "seeds apart in log-odds (nats)": (distances("log_odds_spread"), ".2f"),
        "grew by": (growth(), ".1f"),
        "$\\alpha^*$ of the audit": (_by_round(evidence.table("audit", COMMITTED), "alpha_star"), ".2f"),
        "right (%)": (100 * _by_round(ends, "accuracy_sampled"), ".1f"),
    }
    rows = []
    for key in itertools.product(evidence.BASES, ("tempered", "task", "random")):
        cells = (", ".join(format(one, form) for one in values.loc[key]) for values, form in columns.values())
        rows.append([*(f"`{name}`" for name in key), *cells])
    best = evidence.table("differences", COMMITTED).query("after == 'best' and label.str.startswith('tempered')")
    gaps = [f"{100 * worst:.1f} points on `{model}`" for model, worst in best.groupby("model")["mean"].max().items()]
    pairs = evidence.table("between", COMMITTED).query("objective == 'tempered' and model == 'many_wordings' and round == 3")
    nats = [f"{one.kl:.3f} ({one.kl_low:.3f} to {one.kl_high:.3f})" for one in pairs.itertuples()]
    moved = 100 * evidence.table("control", COMMITTED)["moved"].abs().max()
    return (
        "Three rounds of 140 steps, three seeds each. Each round takes the policy that the last one reached as its base, and "
        "`tempered` has $\\alpha = 2$. If each round arrived, $\\alpha^*$ would be 2, 4 and 8 or somewhat less, and what is apart "
        "in log-odds would double with each. Each cell has the means after rounds 1, 2 and 3.\n\n"
        f"{markdown.table(['base', 'objective', *columns], rows)}\n\n"
        "*Grew by*: the factor from the first round to the last of the distance in log-odds on a typical problem (the median), "
        "for the seeds 0 and 1, 0 and 2, 1 and 2. KL is a mean over problems, and one can carry it: the pairs of `tempered` on "
        f"`many_wordings` end at {', '.join(nats)} nats, with 95% intervals over problems (LOG.md names the problem). The "
        f"control's mean over seeds stays within {moved:.1f} points of its base. The best checkpoint of `tempered` is better than "
        f"the last, in the worst round, by {' and '.join(gaps)}. In exact computations only sharpening in rounds separates two "
        "runs exponentially (notebook 02)."
    )


def seeds_separate_alike() -> bool:
    """Whether on both bases the distances between seeds of `tempered` grew as those of `task` and of the control, within a fifth,
    with accuracies of the seeds within five points, and a control that stayed at its base."""
    grown, labels = growth().mean(axis=1).unstack(), evidence.table("labels", COMMITTED)
    alike = grown.rdiv(grown["tempered"], axis=0).stack().between(1 / 1.2, 1.2).all()
    near = labels.query("objective == 'tempered'").eval("highest_seed - lowest_seed").max() < 0.05
    return bool(alike and near and evidence.controlled(COMMITTED))
