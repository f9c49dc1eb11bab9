"""Runs in rounds, each from the last one's policy: how far their seeds drift apart. `data/results/<profile>/between.csv`.

The distances are `lib.evaluation.between`."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lib.evaluation import between, pairs
from lib.profiles import Profile
from lib.reports import audits, figures, results
from lib.storage import files, folders
from lib.storage.errors import UsageError

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
    round's distance of `tempered` would become if each round only multiplied log-odds by α: times α^(power·(t − 1)). The axis is
    logarithmic, and starts at 1e-4: an estimate of KL may be below 0."""
    grown = []
    for objective, rows in table.groupby("objective", sort=False):
        mean, look = rows.groupby("round")[column].mean(), figures.style(str(objective))
        ax.plot(mean.index, mean, label=objective, **look)
        ax.plot(rows["round"], rows[column], ".", color=look["color"], markersize=4, alpha=0.6)
        grown.append(f"{objective} × {mean.iloc[-1] / mean.iloc[0]:.1f}")
        if objective == "tempered":
            alpha = rows["alpha"].iloc[0]
            theory = mean.iloc[0] * np.power(float(alpha), power * (mean.index - 1))
            ax.plot(mean.index, theory, ":", color="black", label=f"× {alpha:g}{'²' if power == 2 else ''} per round")
    ax.set(yscale="log", xlabel="round", xticks=sorted(table["round"].unique()))
    ax.set_ylim(bottom=max(1e-4, ax.get_ylim()[0]))
    ax.set_title(f"{table['model'].iloc[0]}, from the first round to the last:\n{', '.join(grown)}")
    return ax
